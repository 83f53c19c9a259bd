// SPDX-License-Identifier: Apache-2.0 OR MIT

import { parseArgs } from 'node:util'
import { multiaddr } from '@multiformats/multiaddr'
import { spoken, transportOf } from './transports.js'

// UsageError ends the process with exit code 2, UnsupportedError with 1.
export class UsageError extends Error {}
export class UnsupportedError extends Error {
  constructor (what) { super(`unsupported: ${what}`) }
}

// What this peer does, by command: the number of positional arguments. Those of dht after the first are an operation's.
const positionals = { listen: 0, ping: 1, identify: 1, perf: 1, echo: 1, handshakes: 1, streams: 1, idle: 1, 'dial-through': 1, dht: null }

// The commands and flags of other peers' command lines that this peer does not take part in.
const foreignCommands = ['fetch', 'publish', 'subscribe', 'pubsub-bench', 'sim-gossip', 'rendezvous']
const foreignFlags = {
  rendezvous: 'string',
  bootstrap: 'string', fetch: 'string', data: 'string', window: 'string', nodes: 'string', degree: 'string', messages: 'string',
  rate: 'string'
}

const strings = ['transport', 'security', 'muxer', 'ip', 'connect', 'key', 'key-type', 'pnet', 'cpuprofile', 'memprofile', 'dht', 'dht-prefix', 'delegated', 'pubsub', 'topic', 'reserve', 'autonat']
const durations = { timeout: 60_000, wait: 10_000 }
const counts = { port: 0, seed: 0, count: 10, parallel: 1, size: 32, upload: 0, download: 0, block: 65536, conns: 1 }
const booleans = ['identify', 'fresh', 'unsigned', 'mdns', 'relay-service', 'relay-limits', 'hole-punch', 'quiet']
const words = {
  transport: ['tcp', 'ws', 'quic', 'wss', 'webtransport', 'webrtc-direct', 'webrtc', 'memory'],
  security: ['noise', 'tls', 'plaintext', 'both'],
  muxer: ['yamux', 'mplex'],
  'key-type': ['ed25519', 'rsa', 'secp256k1', 'ecdsa'],
  dht: ['server', 'client'],
  pubsub: ['gossipsub', 'floodsub'],
  autonat: ['v1', 'v2', 'both']
}

// parse reads the command line; flags and positional arguments mix in any order.
export function parse (argv) {
  const options = {}
  for (const name of [...strings, ...Object.keys(durations), ...Object.keys(counts)]) options[name] = { type: 'string' }
  for (const name of booleans) options[name] = { type: 'boolean' }
  for (const [name, type] of Object.entries(foreignFlags)) options[name] = { type }

  let parsed
  try {
    parsed = parseArgs({ args: argv, options, allowPositionals: true })
  } catch (err) {
    throw new UsageError(err.message)
  }
  const [command, ...args] = parsed.positionals
  if (foreignCommands.includes(command)) throw new UnsupportedError(`this peer has no command ${command}`)
  if (!(command in positionals)) throw new UsageError(`want a command: ${Object.keys(positionals).join(', ')}`)
  for (const name of Object.keys(foreignFlags)) {
    if (name in parsed.values) throw new UnsupportedError(`this peer has no flag --${name}`)
  }
  if (command === 'dht' ? args.length < 2 : args.length !== positionals[command]) {
    throw new UsageError(`${command} takes ${positionals[command] ?? '2 or more'} argument(s), got ${args.length}`)
  }
  return { command, args, flags: values(parsed.values, command, args) }
}

function values (given, command, [addr]) {
  const flags = { ...given }
  for (const [name, fallback] of Object.entries(counts)) flags[name] = count(name, given[name], fallback)
  for (const [name, fallback] of Object.entries(durations)) flags[name] = duration(name, given[name], fallback)
  for (const name of ['count', 'parallel', 'block', 'conns']) {
    if (flags[name] < 1) throw new UsageError(`--${name} must be at least 1`)
  }
  const relayOf = text => transportOf(address(text.split('/p2p-circuit')[0]))
  flags.transport = given.transport ?? (addr == null ? 'tcp' : addr.includes('/webrtc/') ? 'webrtc' : relayOf(addr))
  flags.security = given.security ?? (command === 'listen' ? 'both' : 'noise')
  flags.muxer = given.muxer ?? 'yamux'
  flags.ip = given.ip ?? '127.0.0.1'
  flags.topic = given.topic ?? 'interop'
  flags['key-type'] = given['key-type'] ?? 'ed25519'
  if (command === 'dial-through') flags['hole-punch'] = true
  if (command === 'dht') flags.dht ??= 'client'
  flags.transports = flags.transport.split(',')
  flags.relays = given.reserve?.split(',') ?? []
  const circuits = [...flags.relays, ...(addr?.includes('/p2p-circuit') ? [addr] : [])]
  flags.circuits = circuits.length > 0
  flags.dials = [...new Set([...flags.transports, ...circuits.map(relayOf)])]
  if (flags['relay-limits'] && !flags['relay-service']) throw new UsageError('--relay-limits goes with --relay-service')
  for (const name of Object.keys(words)) {
    for (const word of name === 'transport' ? flags.transports : [flags[name]]) {
      if (word != null && !words[name].includes(word)) throw new UsageError(`--${name} ${word}: want one of ${words[name].join(', ')}`)
    }
  }
  for (const name of flags.transports) {
    if (!spoken.includes(name)) throw new UnsupportedError(`this peer has no transport ${name}`)
  }
  return flags
}

// address reads a multiaddr.
export function address (text) {
  try {
    return multiaddr(text)
  } catch (err) {
    throw new UsageError(`${text}: ${err.message}`)
  }
}

function count (name, text, fallback) {
  if (text == null) return fallback
  const n = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(n)) throw new UsageError(`--${name} ${text}: want a whole number`)
  return n
}

// duration reads "500ms", "10s", "2m" or a bare number of seconds, and returns milliseconds.
function duration (name, text, fallback) {
  if (text == null) return fallback
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text)
  if (match == null) throw new UsageError(`--${name} ${text}: want a duration such as 10s`)
  return Math.round(Number(match[1]) * { ms: 1, s: 1000, m: 60_000 }[match[2] ?? 's'])
}
