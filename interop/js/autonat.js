// SPDX-License-Identifier: Apache-2.0 OR MIT

import { autoNAT } from '@libp2p/autonat'
import { autoNATv2 } from '@libp2p/autonat-v2'
import { isPrivate } from '@libp2p/utils'

// makeAutoNAT gives the services that ask peers to dial this node, and dial those that ask.
export function makeAutoNAT (versions) {
  return {
    ...(versions !== 'v2' && { autonat: autoNAT() }),
    ...(versions !== 'v1' && { autonatv2: autoNATv2() })
  }
}

// reach tells what the services have found out, which is kept with the addresses: one that is verified for now can be reached,
// and one that is to be tried again later could not be. The library has no verdict on the node as a whole.
export function reach (node) {
  const addrs = node.components.addressManager.getAddressesWithMetadata()
    .filter(({ multiaddr }) => !isPrivate(multiaddr))
    .map(({ multiaddr, verified, expires }) => ({
      addr: multiaddr.toString(),
      reachability: verified ? 'public' : expires > Date.now() ? 'private' : 'unknown'
    }))
  const all = word => addrs.length > 0 && addrs.every(({ reachability }) => reachability === word)
  const some = addrs.some(({ reachability }) => reachability === 'public')
  return { reachability: some ? 'public' : all('private') ? 'private' : 'unknown', addrs }
}
