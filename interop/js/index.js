// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The js-libp2p interop peer: one command line for every implementation, one JSON object a line on stdout, diagnostics on
// stderr. Exit 0: done; 1: not done, the last line says why; 2: usage error.

import { commands } from './commands.js'
import { parse, UnsupportedError, UsageError } from './flags.js'
import { print } from './output.js'

// A stray rejection inside the library must not end a serving peer, and must not be lost either.
process.on('unhandledRejection', err => { console.error('unhandled rejection:', err) })

async function main () {
  const { command, flags, args } = parse(process.argv.slice(2))
  const run = commands[command]
  const serving = command === 'listen' || command === 'idle'
  const profile = await startProfile(flags)
  let timer
  const deadline = new Promise((resolve, reject) => {
    // The operation's own signal fires first; this catches whatever in the library does not heed it.
    if (!serving) timer = setTimeout(() => { reject(new Error(`timed out after ${flags.timeout} ms`)) }, flags.timeout + 1000)
  })
  try {
    const result = await Promise.race([run(flags, args), deadline])
    if (result != null) print(result)
  } finally {
    clearTimeout(timer)
    await profile.stop()
  }
}

// startProfile honours --cpuprofile and --memprofile: files that Chrome's developer tools open.
async function startProfile ({ cpuprofile, memprofile }) {
  const { Session } = await import('node:inspector/promises')
  const { writeFileSync } = await import('node:fs')
  const { writeHeapSnapshot } = await import('node:v8')
  const session = new Session()
  if (cpuprofile != null) {
    session.connect()
    await session.post('Profiler.enable')
    await session.post('Profiler.start')
  }
  return {
    async stop () {
      if (cpuprofile != null) writeFileSync(cpuprofile, JSON.stringify((await session.post('Profiler.stop')).profile))
      if (memprofile != null) writeHeapSnapshot(memprofile)
    }
  }
}

// describe gives one line for an error; a failed dial hides its reasons in an AggregateError or a cause.
function describe (err) {
  const parts = [err?.message || err?.name || String(err)]
  for (const inner of err?.errors ?? []) parts.push(describe(inner))
  if (err?.cause != null) parts.push(describe(err.cause))
  return [...new Set(parts)].join(': ')
}

try {
  await main()
  process.exit(0)
} catch (err) {
  if (!(err instanceof UsageError || err instanceof UnsupportedError)) console.error(err)
  print({ ok: false, error: describe(err) })
  process.exit(err instanceof UsageError ? 2 : 1)
}
