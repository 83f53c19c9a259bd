// SPDX-License-Identifier: Apache-2.0 OR MIT

import { publicKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { kadDHT } from '@libp2p/kad-dht'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { UsageError } from './flags.js'

// makeDHT gives the service for --dht and --dht-prefix. Addresses pass as they are: all of these are loopback's. Records of the
// namespace that all interop peers agree on, /example, may be anything.
export function makeDHT (flags) {
  return kadDHT({
    protocol: `${flags['dht-prefix'] ?? '/ipfs'}/kad/1.0.0`,
    clientMode: flags.dht === 'client',
    peerInfoMapper: info => info,
    validators: { example: () => {} },
    selectors: { example: () => 0 },
    initialQuerySelfInterval: 10
  })
}

const operations = {
  'find-peer': { count: 1, run: findPeer },
  put: { count: 2, run: (dht, signal, node, key, value) => put(dht, signal, encode(key), encode(value)) },
  get: { count: 1, run: async (dht, signal, node, key) => ({ value: new TextDecoder().decode(await get(dht, signal, encode(key))) }) },
  'put-pk': { count: 0, run: putPublicKey },
  'get-pk': { count: 1, run: getPublicKey },
  provide: { count: 1, run: provide },
  'find-providers': { count: 1, run: findProviders }
}

// checkOperation throws unless words are one operation and what it takes.
export function checkOperation ([name, ...args]) {
  if (operations[name]?.count !== args.length) {
    throw new UsageError(`dht ${[name, ...args].join(' ')}: want one of ${Object.keys(operations).join(', ')} with what it takes`)
  }
}

// operate runs one operation on a node and returns its answer. A query waits by itself until the routing table has a peer.
export async function operate (node, words, signal) {
  checkOperation(words)
  const [name, ...args] = words
  return operations[name].run(node.services.dht, signal, node, ...args)
}

async function findPeer (dht, signal, node, id) {
  for await (const event of dht.findPeer(peerId(id), { signal })) {
    if (event.name === 'FINAL_PEER') return found(event.peer)
  }
  throw new Error(`${id} not found`)
}

async function put (dht, signal, key, value) {
  await delivered(dht.put(key, value, { signal }), 'PUT_VALUE')
  return { ok: true }
}

async function get (dht, signal, key) {
  let value
  for await (const event of dht.get(key, { signal })) {
    if (event.name === 'VALUE') value = event.value
  }
  if (value == null) throw new Error('not found')
  return value
}

async function putPublicKey (dht, signal, { peerId }) {
  await put(dht, signal, keyOf(peerId), publicKeyToProtobuf(peerId.publicKey))
  return { peer: peerId.toString() }
}

async function getPublicKey (dht, signal, node, id) {
  const key = publicKeyFromProtobuf(await get(dht, signal, keyOf(peerId(id))))
  return { peer: peerIdFromPublicKey(key).toString() }
}

async function provide (dht, signal, node, text) {
  const cid = await contentID(text)
  await delivered(dht.provide(cid, { signal }), 'ADD_PROVIDER')
  return { cid: cid.toString() }
}

async function findProviders (dht, signal, node, text) {
  const providers = new Map()
  for await (const event of dht.findProviders(await contentID(text), { signal })) {
    if (event.name !== 'PROVIDER') continue
    for (const peer of event.providers) providers.set(peer.id.toString(), found(peer))
  }
  if (providers.size === 0) throw new Error('not found')
  return { providers: [...providers.values()] }
}

// delivered wants one peer at least to have taken a message; the library takes none for no failure.
async function delivered (events, messageName) {
  let taken = 0
  let last
  for await (const event of events) {
    if (event.name === 'PEER_RESPONSE' && event.messageName === messageName) taken++
    if (event.name === 'QUERY_ERROR') last = event.error
  }
  if (taken === 0) throw last ?? new Error(`nobody took ${messageName}`)
}

export function found ({ id, multiaddrs }) {
  return { peer: id.toString(), addrs: multiaddrs.map(String).sort() }
}

export function peerId (text) {
  try {
    return peerIdFromString(text)
  } catch (err) {
    throw new UsageError(`${text}: ${err.message}`)
  }
}

function keyOf (id) {
  return Buffer.concat([encode('/pk/'), id.toMultihash().bytes])
}

// contentID is the CIDv1 of a text as raw bytes.
export async function contentID (text) {
  return CID.createV1(raw.code, await sha256.digest(encode(text)))
}

function encode (text) {
  return new TextEncoder().encode(text)
}
