// SPDX-License-Identifier: Apache-2.0 OR MIT

import { delegatedRoutingV1HttpApiClient } from '@helia/delegated-routing-v1-http-api-client'
import { peerIdFromCID } from '@libp2p/peer-id'
import { createIPNSRecord, marshalIPNSRecord, multihashToIPNSRoutingKey, unmarshalIPNSRecord } from 'ipns'
import { ipnsValidator } from 'ipns/validator'
import { contentID, found, peerId } from './dht.js'
import { UsageError } from './flags.js'

const NAME_LIFETIME_MS = 86_400_000

// makeDelegated gives the service for --delegated: helia's client of delegated routing over HTTP, which keeps no answers here.
export function makeDelegated (flags) {
  return delegatedRoutingV1HttpApiClient({ url: flags.delegated, cacheTTL: 0, timeout: flags.timeout })
}

const operations = {
  'find-peer': findPeer,
  'find-providers': findProviders,
  'put-name': putName,
  'get-name': getName
}

// ask runs one operation of the DHT's by asking the server, and returns its answer.
export async function ask (node, [name, ...args], signal) {
  if (operations[name] == null || args.length !== 1) {
    throw new UsageError(`dht ${[name, ...args].join(' ')}: want one of ${Object.keys(operations).join(', ')} with one argument`)
  }
  return operations[name](node.services.delegated, signal, args[0], node)
}

async function findPeer (client, signal, id) {
  for await (const { ID, Addrs } of client.getPeers(peerId(id).toCID(), { signal })) {
    return located(ID, Addrs)
  }
  throw new Error(`${id} not found`)
}

async function findProviders (client, signal, text) {
  const providers = []
  for await (const { ID, Addrs } of client.getProviders(await contentID(text), { signal })) {
    providers.push(located(ID, Addrs))
  }
  if (providers.length === 0) throw new Error('not found')
  return { providers }
}

// located is a peer of an answer, whose ID is a CID.
function located (id, multiaddrs) {
  return found({ id: peerIdFromCID(id), multiaddrs })
}

async function putName (client, signal, text, { peerId, components: { privateKey } }) {
  const record = await createIPNSRecord(privateKey, `/ipfs/${await contentID(text)}`, BigInt(Date.now()), NAME_LIFETIME_MS)
  await client.putIPNS(peerId.toCID(), marshalIPNSRecord(record), { signal })
  return { peer: peerId.toString() }
}

async function getName (client, signal, id) {
  const name = peerId(id)
  const record = await client.getIPNS(name.toCID(), { signal })
  await ipnsValidator(multihashToIPNSRoutingKey(name.toMultihash()), record)
  return { value: unmarshalIPNSRecord(record).value }
}
