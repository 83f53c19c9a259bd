// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/transport"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	webrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	webtransport "github.com/libp2p/go-libp2p/p2p/transport/webtransport"
	ma "github.com/multiformats/go-multiaddr"
)

// kind is one transport: how it is called, addressed and built.
type kind struct {
	name   string
	module string           // kinds of one module are one transport of the node
	suffix string           // what follows the port in a listen address
	socket string           // tcp or udp: kinds on one socket type need ports of their own
	speaks func(codes) bool // whether an address is this transport's
	full   func() libp2p.Option
	bare   func(*parts) (transport.Transport, error)
}

func kinds() []kind {
	return []kind{
		{
			name: "tcp", module: "tcp", socket: "tcp",
			speaks: func(c codes) bool { return c[ma.P_TCP] && !c[ma.P_WS] && !c[ma.P_WSS] },
			full:   func() libp2p.Option { return libp2p.Transport(tcp.NewTCPTransport) },
			bare: func(p *parts) (transport.Transport, error) {
				return tcp.NewTCPTransport(p.upgrader, p.rcmgr, nil)
			},
		},
		{
			name: "ws", module: "websocket", socket: "tcp", suffix: "/ws",
			speaks: func(c codes) bool { return c[ma.P_WS] && !c[ma.P_TLS] },
			full:   fullWebSocket, bare: bareWebSocket,
		},
		{
			name: "wss", module: "websocket", socket: "tcp", suffix: "/tls/ws",
			speaks: func(c codes) bool { return c[ma.P_WSS] || c[ma.P_WS] && c[ma.P_TLS] },
			full:   fullWebSocket, bare: bareWebSocket,
		},
		{
			name: "quic", module: "quic", socket: "udp", suffix: "/quic-v1",
			speaks: func(c codes) bool { return c[ma.P_QUIC_V1] && !c[ma.P_WEBTRANSPORT] },
			full:   func() libp2p.Option { return libp2p.Transport(quic.NewTransport) },
			bare: func(p *parts) (transport.Transport, error) {
				conns, err := p.quicConns()
				if err != nil {
					return nil, err
				}
				return quic.NewTransport(p.key, conns, nil, nil, p.rcmgr)
			},
		},
		{
			name: "webtransport", module: "webtransport", socket: "udp", suffix: "/quic-v1/webtransport",
			speaks: func(c codes) bool { return c[ma.P_WEBTRANSPORT] },
			full:   func() libp2p.Option { return libp2p.Transport(webtransport.New) },
			bare: func(p *parts) (transport.Transport, error) {
				conns, err := p.quicConns()
				if err != nil {
					return nil, err
				}
				return webtransport.New(p.key, nil, conns, nil, p.rcmgr)
			},
		},
		{
			name: "webrtc-direct", module: "webrtc-direct", socket: "udp", suffix: "/webrtc-direct",
			speaks: func(c codes) bool { return c[ma.P_WEBRTC_DIRECT] },
			full:   func() libp2p.Option { return libp2p.Transport(webrtc.New) },
			bare: func(p *parts) (transport.Transport, error) {
				return webrtc.New(p.key, nil, nil, p.rcmgr, listenUDP)
			},
		},
	}
}

func transportNames() string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

func transportNamed(name string) (kind, error) {
	for _, k := range kinds() {
		if k.name == name {
			return k, nil
		}
	}
	return kind{}, usagef("--transport %q: this peer has %s", name, transportNames())
}

// codes is the set of protocols in one multiaddr.
type codes map[int]bool

// transportOf returns the transport that addr is for.
func transportOf(addr ma.Multiaddr) (kind, error) {
	in := codes{}
	for _, p := range addr.Protocols() {
		in[p.Code] = true
	}
	for _, k := range kinds() {
		if k.speaks(in) {
			return k, nil
		}
	}
	return kind{}, usagef("address %s: this peer has %s", addr, transportNames())
}

// transportsFor returns the transports that --transport names, or the one of addr when it names none.
func (o *options) transportsFor(addr ma.Multiaddr) ([]kind, error) {
	if len(o.transports) > 0 {
		return o.namedTransports()
	}
	k, err := transportOf(addr)
	return []kind{k}, err
}

func (o *options) namedTransports() ([]kind, error) {
	var found []kind
	for _, name := range o.transports {
		k, err := transportNamed(name)
		if err != nil {
			return nil, err
		}
		found = append(found, k)
	}
	return found, nil
}

// listenAddrs returns one address a transport. A fixed port goes to the first transport on TCP and
// the first on UDP; each further one on the same kind of socket takes the next port.
func listenAddrs(kinds []kind, ip string, port int) ([]ma.Multiaddr, error) {
	at, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, usagef("--ip %q: not an IP address", ip)
	}
	family := "ip6"
	if at.Is4() {
		family = "ip4"
	}
	taken := map[string]int{}
	var addrs []ma.Multiaddr
	for _, k := range kinds {
		own := 0
		if port != 0 {
			own = port + taken[k.socket]
			taken[k.socket]++
		}
		addr, err := ma.NewMultiaddr(fmt.Sprintf("/%s/%s/%s/%d%s", family, at, k.socket, own, k.suffix))
		if err != nil {
			return nil, usagef("--ip %s --port %d: %w", ip, port, err)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}
