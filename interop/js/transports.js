// SPDX-License-Identifier: Apache-2.0 OR MIT

import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'

// The transports, by their name on the command line: the socket they use, what follows the port in a listen address, and the
// library's module. Those that are native code are loaded only when they are needed. One without a socket is reached through relays.
const transports = {
  tcp: { socket: 'tcp', suffix: '', make: () => tcp() },
  ws: { socket: 'tcp', suffix: '/ws', make: () => webSockets() },
  wss: {
    socket: 'tcp',
    suffix: '/tls/ws',
    make: async () => {
      const { selfSigned, trustAll } = await import('./certificate.js')
      trustAll()
      return webSockets({ https: await selfSigned() })
    }
  },
  quic: { socket: 'udp', suffix: '/quic-v1', make: async () => (await import('@chainsafe/libp2p-quic')).quic() },
  'webrtc-direct': {
    socket: 'udp',
    suffix: '/webrtc-direct',
    make: async () => (await import('@libp2p/webrtc')).webRTCDirect()
  },
  webrtc: {
    suffix: '/webrtc',
    // The library's own default are servers of strangers.
    make: async () => (await import('@libp2p/webrtc')).webRTC({ rtcConfiguration: { iceServers: [] } })
  }
}

export const spoken = Object.keys(transports)

// makeTransports makes the library's modules for transports; that of wss is that of ws too.
export async function makeTransports (names) {
  const wanted = new Set(names.includes('wss') ? names.filter(name => name !== 'ws') : names)
  return Promise.all([...wanted].map(async name => transports[name].make()))
}

// listenAddrs gives one address a transport. A fixed port goes to the first transport on TCP and the first on UDP; each
// further one on the same sort of socket takes the next port.
export async function listenAddrs ({ transports: names, ip, port }) {
  const taken = { tcp: 0, udp: 0 }
  return Promise.all(names.map(async name => {
    const { socket, suffix } = transports[name]
    if (socket == null) return suffix
    let own = port === 0 ? 0 : port + taken[socket]++
    // The library takes a port that is free on TCP, which may be in use on UDP.
    if (name === 'webrtc-direct' && own === 0) own = await freeUDPPort(ip)
    return `/${isIPv6(ip) ? 'ip6' : 'ip4'}/${ip}/${socket}/${own}${suffix}`
  }))
}

async function freeUDPPort (ip) {
  const socket = createSocket(isIPv6(ip) ? 'udp6' : 'udp4')
  await new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(0, ip, resolve)
  })
  const { port } = socket.address()
  await new Promise(resolve => { socket.close(resolve) })
  return port
}

// transportOf names the transport of an address, in the words of the command line.
export function transportOf (addr) {
  const names = addr.getComponents().map(component => component.name)
  const order = ['webrtc', 'p2p-circuit', 'webrtc-direct', 'webtransport', 'quic-v1', 'wss', 'ws', 'memory', 'tcp']
  const name = order.find(name => names.includes(name)) ?? 'unknown'
  if (name === 'ws' && names.includes('tls')) return 'wss'
  return name === 'quic-v1' ? 'quic' : name
}

// traits names what a connection runs on. A transport that secures and multiplexes itself is its own muxer.
export function traits (connection) {
  const transport = transportOf(connection.remoteAddr)
  if (transport === 'quic') return { transport, security: 'tls', muxer: transport }
  if (transport === 'webrtc-direct') return { transport, security: 'noise', muxer: transport }
  if (transport === 'webrtc') return { transport, security: 'dtls', muxer: transport }
  return {
    transport,
    security: connection.encryption?.split('/')[1] ?? '',
    muxer: connection.multiplexer?.split('/')[1] ?? ''
  }
}
