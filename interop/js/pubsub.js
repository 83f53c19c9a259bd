// SPDX-License-Identifier: Apache-2.0 OR MIT

import { floodsub } from '@libp2p/floodsub'
import { gossipsub } from '@libp2p/gossipsub'
import { sha256 } from 'multiformats/hashes/sha2'

// makePubSub gives the service for --pubsub and --unsigned. Messages without an author are named by what is in them.
export function makePubSub (flags) {
  const options = flags.unsigned
    ? { globalSignaturePolicy: 'StrictNoSign', msgIdFn: async message => (await sha256.digest(message.data)).digest }
    : { globalSignaturePolicy: 'StrictSign' }
  return flags.pubsub === 'floodsub' ? floodsub(options) : gossipsub({ ...options, allowPublishToZeroTopicPeers: true })
}

// talk subscribes a node to the topic. publish and messages answer the lines of those names; what the node publishes itself is
// not among the messages.
export function talk (node, { topic }) {
  const got = []
  const { pubsub } = node.services
  pubsub.addEventListener('message', ({ detail: m }) => {
    const from = m.from?.toString() ?? ''
    if (m.topic !== topic || from === node.peerId.toString()) return
    got.push({ topic: m.topic, from, data: Buffer.from(m.data).toString('base64') })
  })
  pubsub.subscribe(topic)
  return {
    messages: () => ({ messages: got, peers: pubsub.getSubscribers(topic).length }),
    publish: async text => {
      await pubsub.publish(topic, new TextEncoder().encode(text))
      return { published: 1 }
    }
  }
}
