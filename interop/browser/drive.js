// SPDX-License-Identifier: Apache-2.0 OR MIT

// Drives a browser: node drive.js '{"url": …, "chromium": …, "args": […], "screenshots": [FILE, …], "log": FILE}'. It loads the
// page once for every screenshot, each time in the same tab, and then closes the tab. After each load, and at the end, it has
// the server look at the node. The last line on stdout is what came of it, as JSON. What the page logs goes to the file.

import { createWriteStream } from 'node:fs'
import { chromium } from 'playwright-core'

// LOAD_MS bounds one load of the page with all its cases.
const LOAD_MS = 300_000
const NODE_MS = 90_000

const { url, chromium: executablePath, args, screenshots, log } = JSON.parse(process.argv[2])

// look waits until the node has exactly n connections and returns what the server says of that.
async function look (n) {
  const answer = await fetch(`${url}node?peers=${n}`, { signal: AbortSignal.timeout(NODE_MS) })
  return answer.ok ? answer.json() : { error: await answer.text() }
}

async function drive (browser) {
  // The context stays: with it all of the tab's connections would be dropped without a word.
  const context = await browser.newContext({ viewport: { width: 1500, height: 700 } })
  const page = await context.newPage()
  page.on('console', message => { logged.write(`${message.type()}: ${message.text()}\n`) })
  page.on('pageerror', err => { logged.write(`${err.stack}\n`) })
  const loads = []
  for (const path of screenshots) {
    await page.goto(url)
    await page.waitForFunction('window.results', undefined, { timeout: LOAD_MS })
    const load = await page.evaluate('window.results')
    await page.screenshot({ path, fullPage: true })
    load.node = await look(load.cases.filter(result => result.ok && !result.refused && !result.stun).length)
    loads.push(load)
  }
  await page.close()
  return { browser: browser.version(), loads, left: await look(0) }
}

const logged = createWriteStream(log)
const browser = await chromium.launch({
  executablePath,
  chromiumSandbox: false,
  args: [
    '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ...args
  ]
})
let status = 0
try {
  console.log(JSON.stringify(await drive(browser)))
} catch (err) {
  console.log(JSON.stringify({ ok: false, error: err.message }))
  status = 1
}
await browser.close()
logged.end()
process.exitCode = status
