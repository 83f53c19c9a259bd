// SPDX-License-Identifier: Apache-2.0 OR MIT

import { writeSync } from 'node:fs'

// print writes one JSON object as one line of stdout, at once: the process may end on the next statement.
export function print (object) {
  writeSync(1, `${JSON.stringify(object)}\n`)
}

// quantile returns the value below which the share q of the values lies (nearest rank); values are sorted in place.
export function quantile (values, q) {
  values.sort((a, b) => a - b)
  return values[Math.max(0, Math.ceil(q * values.length) - 1)] ?? 0
}

// cpuSeconds tells the user and system time that this process has used.
export function cpuSeconds () {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

// stdinClosed resolves when stdin ends; every line on the way is handed to onLine.
export async function stdinClosed (onLine = () => {}) {
  const { createInterface } = await import('node:readline')
  for await (const line of createInterface({ input: process.stdin })) await onLine(line.trim())
}
