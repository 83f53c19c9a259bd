// SPDX-License-Identifier: Apache-2.0 OR MIT

import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { reach } from './autonat.js'
import { ask } from './delegated.js'
import { checkOperation, operate } from './dht.js'
import { address } from './flags.js'
import { startNode } from './node.js'
import { cpuSeconds, print, quantile, stdinClosed } from './output.js'
import { talk } from './pubsub.js'
import { ECHO_PROTOCOL, PERF_PROTOCOL, PING_PROTOCOL, echo, perf, pings } from './protocols.js'
import { traits } from './transports.js'

const STREAM_OPTIONS = { maxOutboundStreams: 100_000 }

export const commands = {
  listen,
  ping: client(pingCommand),
  identify: client(identifyCommand),
  perf: client(perfCommand),
  echo: client(echoCommand),
  streams: client(streamsCommand),
  handshakes: handshakesCommand,
  idle: idleCommand,
  'dial-through': throughCommand,
  dht: dhtCommand
}

async function listen (flags) {
  const node = await startNode(flags, { listen: true })
  const event = flags.quiet ? () => {} : print
  const seen = new Map()
  node.addEventListener('peer:connect', ({ detail: peer }) => {
    const connection = node.getConnections(peer)[0]
    const line = { peer: peer.toString(), addr: connection?.remoteAddr.toString() ?? '', ...(connection && traits(connection)) }
    seen.set(line.peer, line)
    event({ event: 'peer:connect', ...line, limited: connection?.limits != null })
  })
  node.addEventListener('peer:disconnect', ({ detail: peer }) => {
    const id = peer.toString()
    event({ event: 'peer:disconnect', peer: id, addr: seen.get(id)?.addr ?? '' })
    seen.delete(id)
  })
  const found = new Map()
  node.addEventListener('peer:discovery', ({ detail: { id, multiaddrs } }) => {
    found.set(id.toString(), multiaddrs.map(String))
  })
  const talking = flags.pubsub == null ? undefined : talk(node, flags)
  await reserved(node, flags)
  print({ peer_id: node.peerId.toString(), addrs: node.getMultiaddrs().map(String) })
  for (const addr of flags.connect?.split(',') ?? []) {
    node.dial(address(addr)).catch(err => { console.error(`connect ${addr}:`, err) })
  }
  await stdinClosed(async line => {
    const [word, ...words] = line.split(/\s+/)
    if (word === 'gc') print(collected())
    // The library does not tell who has gone.
    if (word === 'discovered') print({ discovered: [...found].map(([peer, addrs]) => ({ peer, addrs })) })
    if (word === 'reach' && flags.autonat != null) print(reach(node))
    if (word === 'messages' && talking != null) print(talking.messages())
    if (word === 'publish' && talking != null) {
      print(await talking.publish(words.join(' ')).catch(err => ({ ok: false, error: err.message })))
    }
    if (word === 'dht' && (flags.dht ?? flags.delegated) != null) {
      const run = flags.dht != null ? operate : ask
      print(await run(node, words, AbortSignal.timeout(flags.timeout)).catch(err => ({ ok: false, error: err.message })))
    }
  })
  await node.stop()
}

// reserved waits until the node has its places at relays, and tells of WebRTC there if it listens for that.
async function reserved (node, { relays, transports, timeout }) {
  const signal = AbortSignal.timeout(timeout)
  const wanted = transports.includes('webrtc') ? '/p2p-circuit/webrtc/' : '/p2p-circuit/'
  while (node.getMultiaddrs().filter(addr => addr.toString().includes(wanted)).length < relays.length) {
    signal.throwIfAborted()
    await setTimeout(50)
  }
}

// collected collects garbage and tells what memory is left in use; Node has no goroutines and does not tell its stacks.
function collected () {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { heapTotal, heapUsed, external } = process.memoryUsage()
  return { heap_inuse: heapTotal + external, heap_alloc: heapUsed + external, stack_inuse: 0, goroutines: 0 }
}

// client wraps a command that works on one connection: it dials, runs and stops the node.
function client (run) {
  return async (flags, [addr]) => {
    const target = address(addr)
    const node = await startNode(flags)
    const signal = AbortSignal.timeout(flags.timeout)
    const start = performance.now()
    const connection = await node.dial(target, { signal })
    try {
      return await run({ node, connection, flags, signal, start, handshake: performance.now() - start })
    } finally {
      await node.stop()
    }
  }
}

async function pingCommand ({ node, connection, flags, signal, start, handshake }) {
  await node.services.identify.identify(connection, { signal })
  const identified = performance.now() - start
  const stream = await connection.newStream(PING_PROTOCOL, { signal, runOnLimitedConnection: true })
  const rtts = await pings(stream, flags.count, signal)
  return {
    handshake_ms: handshake,
    identified_ms: identified,
    rtt_min_ms: quantile(rtts, 0),
    rtt_median_ms: quantile(rtts, 0.5),
    rtt_p99_ms: quantile(rtts, 0.99),
    ...traits(connection)
  }
}

async function identifyCommand ({ node, connection, signal }) {
  const result = await node.services.identify.identify(connection, { signal })
  return {
    agent: result.agentVersion ?? '',
    protocol_version: result.protocolVersion ?? '',
    protocols: [...result.protocols].sort(),
    listen_addrs: result.listenAddrs.map(String),
    observed_addr: result.observedAddr?.getComponents().length > 0 ? result.observedAddr.toString() : '',
    // The library hands the record on only after it has verified the envelope.
    signed_peer_record: result.signedPeerRecord != null
  }
}

async function perfCommand ({ connection, flags, signal }) {
  const stream = await connection.newStream(PERF_PROTOCOL, { signal })
  const cpu = cpuSeconds()
  const result = await perf(stream, flags, signal)
  return { ...result, client_cpu_seconds: cpuSeconds() - cpu }
}

async function echoCommand ({ connection, flags, signal }) {
  const start = performance.now()
  const stream = await connection.newStream(ECHO_PROTOCOL, { signal })
  await echo(stream, flags.size, signal)
  return { ok: true, seconds: (performance.now() - start) / 1000 }
}

async function streamsCommand ({ connection, flags, signal }) {
  return repeat('streams', flags, async () => {
    const start = performance.now()
    const stream = await connection.newStream(ECHO_PROTOCOL, { signal, ...STREAM_OPTIONS })
    await echo(stream, flags.size, signal)
    return performance.now() - start
  })
}

// handshakesCommand dials count times. A node dials one peer once at a time, so each of the parallel workers has a node of its
// own; with --fresh every dial has. The latency is that of the dial, with --identify up to identify's answer.
async function handshakesCommand (flags, [addr]) {
  const target = address(addr)
  const signal = AbortSignal.timeout(flags.timeout)
  const seed = worker => flags.seed === 0 ? 0 : flags.seed + worker
  const nodes = []
  if (!flags.fresh) {
    for (let i = 0; i < Math.min(flags.parallel, flags.count); i++) nodes.push(await startNode(flags, { seed: seed(i) }))
  }
  const result = await repeat('handshakes', flags, async worker => {
    const node = flags.fresh ? await startNode(flags, { seed: 0 }) : nodes[worker]
    try {
      const start = performance.now()
      const connection = await node.dial(target, { signal, force: true })
      if (flags.identify) await node.services.identify.identify(connection, { signal })
      const latency = performance.now() - start
      await connection.close({ signal })
      return latency
    } finally {
      if (flags.fresh) await node.stop()
    }
  })
  await Promise.all(nodes.map(node => node.stop()))
  return result
}

// repeat runs an operation count times on parallel workers and sums up; the operation returns its latency in milliseconds.
async function repeat (noun, { count, parallel }, operation) {
  const latencies = []
  let started = 0
  let errors = 0
  let last
  const cpu = cpuSeconds()
  const start = performance.now()
  await Promise.all(Array.from({ length: Math.min(parallel, count) }, async (_, worker) => {
    while (started < count) {
      started++
      try {
        latencies.push(await operation(worker))
      } catch (err) {
        errors++
        last = err
        console.error(`${noun}: ${err.message}`)
      }
    }
  }))
  if (errors === count) throw last
  return {
    [`${noun}_per_second`]: latencies.length * 1000 / (performance.now() - start),
    client_cpu_seconds: cpuSeconds() - cpu,
    latency_median_ms: quantile(latencies, 0.5),
    latency_p99_ms: quantile(latencies, 0.99),
    errors
  }
}

// dhtCommand runs one operation of the DHT from a node that knows the target only. It listens: who provides must be reachable.
async function dhtCommand (flags, [addr, ...words]) {
  checkOperation(words)
  const target = address(addr)
  const node = await startNode(flags, { listen: true })
  const signal = AbortSignal.timeout(flags.timeout)
  try {
    await node.dial(target, { signal })
    return await operate(node, words, signal)
  } finally {
    await node.stop()
  }
}

// throughCommand dials through a relay, and waits for a direct connection that the two sides make of it. It listens, and tells
// the other side where. In the end it sends a ping over what there is then.
async function throughCommand (flags, [addr]) {
  const target = address(addr)
  const node = await startNode(flags, { listen: true })
  const signal = AbortSignal.timeout(flags.timeout)
  const start = performance.now()
  const direct = new Promise(resolve => {
    node.addEventListener('connection:open', ({ detail: connection }) => {
      if (connection.remotePeer.toString() === target.getComponents().at(-1).value && !connection.remoteAddr.toString().includes('/p2p-circuit')) {
        resolve({ connection, after: performance.now() - start })
      }
    })
  })
  try {
    const relayed = await node.dial(target, { signal })
    const result = { relayed_ms: performance.now() - start }
    result.relayed_rtt_ms = (await pingsOver(relayed, signal))[0]
    const found = await Promise.race([direct, setTimeout(flags.wait)])
    await pingsOver(found?.connection ?? relayed, signal)
    if (found == null) return { ...result, direct: false }
    return { ...result, direct: true, direct_after_ms: found.after, direct_addr: found.connection.remoteAddr.toString() }
  } finally {
    await node.stop()
  }
}

async function pingsOver (connection, signal) {
  return pings(await connection.newStream(PING_PROTOCOL, { signal, runOnLimitedConnection: true }), 1, signal)
}

// idleCommand holds conns connections, each from its own identity, until stdin closes.
async function idleCommand (flags, [addr]) {
  const target = address(addr)
  const signal = AbortSignal.timeout(flags.timeout)
  const nodes = []
  const start = performance.now()
  for (let i = 0; i < flags.conns; i++) {
    const node = await startNode(flags, { seed: flags.seed === 0 ? 0 : flags.seed + i })
    nodes.push(node)
    await node.dial(target, { signal })
  }
  print({ conns: flags.conns, seconds: (performance.now() - start) / 1000 })
  await stdinClosed()
  await Promise.all(nodes.map(node => node.stop()))
}
