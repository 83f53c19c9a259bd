// SPDX-License-Identifier: Apache-2.0 OR MIT

import { readFileSync } from 'node:fs'
import { generateKeyPair, generateKeyPairFromSeed, privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { dcutr } from '@libp2p/dcutr'
import { identify, identifyPush } from '@libp2p/identify'
import { mdns } from '@libp2p/mdns'
import { mplex } from '@libp2p/mplex'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { plaintext } from '@libp2p/plaintext'
import { preSharedKey } from '@libp2p/pnet'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { makeAutoNAT } from './autonat.js'
import { makeDelegated } from './delegated.js'
import { makeDHT } from './dht.js'
import { makePubSub } from './pubsub.js'
import { ECHO_PROTOCOL, PERF_PROTOCOL, serveEcho, servePerf } from './protocols.js'
import { UnsupportedError, UsageError } from './flags.js'
import { listenAddrs, makeTransports } from './transports.js'

// The library's defaults end a ping stream after 10 s, hold 300 connections and take five new ones a second from one address:
// too little for a benchmark.
const LONG_MS = 600_000
const MANY = 100_000

const securities = {
  noise: () => [noise()],
  tls: () => [tls()],
  plaintext: () => [plaintext()],
  both: () => [noise(), tls()]
}
const muxers = {
  yamux: () => [yamux({ maxInboundStreams: MANY, maxOutboundStreams: MANY })],
  // disconnectThreshold: mplex closes a connection on which more than this many streams are opened in one second.
  mplex: () => [mplex({ maxInboundStreams: MANY, maxOutboundStreams: MANY, disconnectThreshold: MANY })]
}

// startNode starts a node as the flags say. It serves identify, identify push, ping, echo and perf; it asks a new connection
// for identify by itself only when it listens, so that a client decides what it measures.
export async function startNode (flags, { listen = false, seed = flags.seed } = {}) {
  const streams = { maxInboundStreams: MANY, maxOutboundStreams: MANY }
  const listens = listen ? await listenAddrs(flags) : []
  const node = await createLibp2p({
    privateKey: await privateKey({ ...flags, seed }),
    addresses: {
      listen: listen ? [...listens, ...flags.relays.map(relay => `${relay}/p2p-circuit`)] : [],
      // Otherwise it tells nobody of an address on the Internet before AutoNAT has been there.
      appendAnnounce: flags['hole-punch'] && flags.port !== 0 ? listens.filter(addr => !/\/(0\.0\.0\.0|::)\//.test(addr)) : []
    },
    transports: [...await makeTransports(flags.dials), ...(flags.circuits ? [circuitRelayTransport()] : [])],
    connectionProtector: flags.pnet == null ? undefined : preSharedKey({ psk: readFileSync(flags.pnet) }),
    connectionEncrypters: securities[flags.security](),
    streamMuxers: muxers[flags.muxer](),
    peerDiscovery: flags.mdns ? [mdns()] : [],
    connectionMonitor: { enabled: false },
    connectionManager: {
      maxConnections: MANY,
      inboundConnectionThreshold: MANY,
      maxIncomingPendingConnections: MANY
    },
    services: {
      identify: identify({ runOnConnectionOpen: listen }),
      identifyPush: identifyPush(),
      ping: ping({ timeout: LONG_MS }),
      ...(flags.autonat != null && makeAutoNAT(flags.autonat)),
      ...(flags['hole-punch'] && { dcutr: dcutr() }),
      ...(flags['relay-service'] && { relay: relayService(flags) }),
      ...(flags.dht != null && { dht: makeDHT(flags) }),
      ...(flags.delegated != null && { delegated: makeDelegated(flags) }),
      ...(flags.pubsub != null && { pubsub: makePubSub(flags) })
    }
  })
  await node.handle(ECHO_PROTOCOL, serveEcho, streams)
  await node.handle(PERF_PROTOCOL, servePerf, streams)
  return node
}

// relayService makes a relay whose limits nobody reaches; with --relay-limits those of connections are the usual ones.
function relayService (flags) {
  return circuitRelayServer({
    maxInboundHopStreams: MANY,
    maxOutboundHopStreams: MANY,
    maxOutboundStopStreams: MANY,
    reservations: { maxReservations: MANY, applyDefaultLimit: flags['relay-limits'] === true }
  })
}

// privateKey gives the identity: --key reads a file with libp2p's protobuf form of a private key; --seed N is Ed25519 from 32
// bytes, N little-endian and then zeros, so that every implementation gets the same peer ID; seed 0 is random.
async function privateKey ({ key, seed, 'key-type': type }) {
  if (key != null) return privateKeyFromProtobuf(readFileSync(key))
  if (seed !== 0) {
    if (type !== 'ed25519') throw new UsageError('--seed makes Ed25519 keys only')
    const bytes = new Uint8Array(32)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(seed), true)
    return generateKeyPairFromSeed('Ed25519', bytes)
  }
  // @libp2p/crypto has ECDSA keys, but peerIdFromPublicKey of @libp2p/peer-id 6.0.15 does not take them.
  if (type === 'ecdsa') throw new UnsupportedError('js-libp2p has no ECDSA identity')
  return generateKeyPair({ ed25519: 'Ed25519', rsa: 'RSA', secp256k1: 'secp256k1' }[type])
}
