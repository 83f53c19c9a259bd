// SPDX-License-Identifier: Apache-2.0 OR MIT

// The page: for every case that the server gives it, a js-libp2p node of its own (and so a peer ID of its own) dials the
// address, pings, has a mebibyte echoed, reads what identify says, and has xnode ping it over the same connection. The
// connections stay open until the page goes. A STUN server is but asked. What came of it is shown, and left in window.results for the program that drives
// the browser.

import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { webTransport } from '@libp2p/webtransport'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { echo } from './echo.js'
import { show, showEnd } from './table.js'

const PINGS = 3
const ECHO_BYTES = 1 << 20
// STEP_MS bounds each step of a case.
const STEP_MS = 30_000

// startNode starts a node that can dial every transport that a browser has, on loopback too. It serves ping. With a relay's
// address it has a place there, and can be dialled.
function startNode (relay) {
  const rtcConfiguration = { iceServers: [] }
  return createLibp2p({
    addresses: { listen: relay == null ? [] : [`${relay}/p2p-circuit`, '/webrtc'] },
    transports: [
      webSockets(), webTransport(), webRTCDirect({ rtcConfiguration }), webRTC({ rtcConfiguration }), circuitRelayTransport()
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    // A ping's stream still counts while the remote has not closed its side; the default is one.
    services: { identify: identify(), ping: ping({ maxOutboundStreams: PINGS }) }
  })
}

// within bounds a promise that takes no signal.
function within (what, promise) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => { reject(new Error(`${what}: nothing within ${STEP_MS / 1000} s`)) }, STEP_MS)
    promise.then(resolve, reject).finally(() => { clearTimeout(late) })
  })
}

// timed returns how many milliseconds an operation takes.
async function timed (operation) {
  const start = performance.now()
  await operation()
  return performance.now() - start
}

// called waits until xnode has dialled the node, which it is told to do, and returns the connection that is not through a relay.
async function called (node) {
  const deadline = AbortSignal.timeout(STEP_MS)
  const own = () => node.getMultiaddrs().map(String).find(addr => addr.includes('/p2p-circuit/webrtc/'))
  while (own() == null) {
    deadline.throwIfAborted()
    await new Promise(resolve => { setTimeout(resolve, 50) })
  }
  const answer = await fetch(`call?addr=${encodeURIComponent(own())}`, { signal: deadline })
  if (!answer.ok) throw new Error(`dial by xnode: ${await answer.text()}`)
  const remote = await answer.json()
  const direct = () => node.getConnections().find(c => String(c.remotePeer) === remote && c.limits == null)
  while (direct() == null) {
    deadline.throwIfAborted()
    await new Promise(resolve => { setTimeout(resolve, 50) })
  }
  return direct()
}

// exercise does a case's steps in turn and notes what came of each in result.
async function exercise (node, result) {
  const said = new Map()
  let wake = () => {}
  node.addEventListener('peer:identify', ({ detail }) => {
    said.set(detail.connection.id, detail)
    wake()
  })
  let connection
  result.dial_ms = await timed(async () => {
    connection = result.called
      ? await called(node)
      : await node.dial(multiaddr(result.addr), { signal: AbortSignal.timeout(STEP_MS) })
  })
  const identified = new Promise(resolve => {
    wake = () => { if (said.has(connection.id)) resolve(said.get(connection.id)) }
    wake()
  })

  const { ping } = node.services
  result.ping_ms = []
  for (let i = 0; i < PINGS; i++) {
    result.ping_ms.push(await timed(() => ping.ping(connection.remotePeer, { signal: AbortSignal.timeout(STEP_MS) })))
  }
  result.echo_ms = await timed(() => echo(connection, ECHO_BYTES, AbortSignal.timeout(STEP_MS)))

  const identity = await within('identify', identified)
  result.agent = identity.agentVersion
  result.observed = String(identity.observedAddr)

  const answer = await fetch(`back?peer=${node.peerId}&count=${PINGS}`, { signal: AbortSignal.timeout(STEP_MS) })
  if (!answer.ok) throw new Error(`ping by xnode: ${await answer.text()}`)
  result.back_ms = await answer.json()
  if (connection.status !== 'open') throw new Error(`the connection is ${connection.status}`)
}

// mapped has a STUN server tell the browser where it is.
async function mapped (urls, result) {
  const connection = new RTCPeerConnection({ iceServers: [{ urls }] })
  try {
    connection.createDataChannel('')
    result.dial_ms = await timed(() => within('STUN', new Promise((resolve, reject) => {
      connection.onicecandidate = ({ candidate }) => {
        if (candidate == null) reject(new Error('STUN: no answer'))
        if (candidate?.type !== 'srflx') return
        result.observed = `${candidate.address}:${candidate.port}`
        resolve()
      }
      connection.setLocalDescription().catch(reject)
    })))
  } finally {
    connection.close()
  }
}

// run runs a case. One that wants a refusal works if the dial fails, for whatever reason the browser gives.
async function run (wanted) {
  const result = { ...wanted, ok: false }
  if (wanted.stun) {
    try {
      await mapped(wanted.addr, result)
      result.ok = true
    } catch (err) {
      result.error = `${err.name}: ${err.message}`
    }
    return result
  }
  const node = await startNode(wanted.called ? wanted.addr : undefined)
  result.peer = String(node.peerId)
  try {
    await exercise(node, result)
    result.ok = !wanted.refused
    if (wanted.refused) result.error = 'not refused'
  } catch (err) {
    result.error = `${err.name}: ${err.message}`
    result.ok = wanted.refused && result.dial_ms == null
  }
  return result
}

async function main () {
  const results = []
  const cases = await (await fetch('cases')).json()
  for (const wanted of cases) {
    const result = await run(wanted)
    results.push(result)
    show(result)
  }
  showEnd(results)
  return results
}

main().then(
  results => { window.results = { cases: results } },
  err => { window.results = { cases: [], error: `${err.name}: ${err.message}` } }
)
