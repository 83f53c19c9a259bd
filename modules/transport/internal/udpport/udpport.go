// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package udpport lets the transports of a node share UDP sockets: QUIC
// connections of several protocols, in and out, and STUN and DTLS beside them,
// on one port.
//
// Spec: https://www.rfc-editor.org/rfc/rfc9443 (which datagrams are whose),
// https://www.rfc-editor.org/rfc/rfc9000 (QUIC).
//
// A socket is open while somebody has joined it, and while a listener, a dial or
// a connection on it lives. So a reload that replaces a transport, or takes one
// away, ends no connection.
package udpport

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/xnode-p2p/xnode/core"
)

// Node is what a socket needs of its node.
type Node interface {
	core.Identity
	core.Shares
}

// Port is one transport's part in a shared socket.
type Port struct {
	socket  *socket
	release func() error
}

// Join returns the port bound at an address, which it opens if no transport of
// the node has it. Port 0 is always a new one, and is joined by its real number
// afterwards. Its errors say in plain words what is wrong with the address.
func Join(n Node, at netip.AddrPort) (*Port, error) {
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if !at.Addr().IsValid() {
		return nil, errors.New("udp: no address")
	}
	if at.Port() != 0 {
		return share(n, portKey{at}, func() (*socket, error) { return open(n, at, true) })
	}
	s, err := open(n, at, true)
	if err != nil {
		return nil, err
	}
	p, err := share(n, portKey{s.at}, func() (*socket, error) { return s, nil })
	if err != nil || p.socket != s {
		return nil, errors.Join(err, fmt.Errorf("udp %s: is open twice", s.at), s.Close())
	}
	return p, nil
}

// JoinFor returns the port to dial an address from: one that the node has open
// and that packets to there can come from, or else one of any number that all
// such dials of the node share.
func JoinFor(n Node, to netip.AddrPort) (*Port, error) {
	to, wild, err := target(to)
	if err != nil {
		return nil, err
	}
	t, leave, err := shareTable(n)
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, at := range t.sources(to) {
		if p, err := share(n, portKey{at}, gone); err == nil {
			return p, nil
		}
	}
	return share(n, anyPortKey{wild}, func() (*socket, error) { return open(n, netip.AddrPortFrom(wild, 0), false) })
}

// joinAlone returns a port of any number to dial an address from, which nobody
// else joins.
func joinAlone(n Node, to netip.AddrPort) (*Port, error) {
	_, wild, err := target(to)
	if err != nil {
		return nil, err
	}
	return share(n, new(lonePortKey), func() (*socket, error) { return open(n, netip.AddrPortFrom(wild, 0), false) })
}

// target is an address to dial, and the one to dial it from.
func target(a netip.AddrPort) (to netip.AddrPort, wild netip.Addr, err error) {
	to = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	if !to.IsValid() || to.Addr().IsUnspecified() || to.Port() == 0 {
		return to, wild, fmt.Errorf("udp %s: no address to dial", to)
	}
	if to.Addr().Is6() {
		return to, netip.IPv6Unspecified(), nil
	}
	return to, netip.IPv4Unspecified(), nil
}

// Keys of what is shared.
type (
	portKey    struct{ at netip.AddrPort }
	anyPortKey struct{ ip netip.Addr }
	// lonePortKey is one port's by being a pointer; hence its size.
	lonePortKey struct{ _ byte }
	tableKey    struct{}
)

// gone is the opening of a socket that is wanted only if it is open.
func gone() (*socket, error) { return nil, net.ErrClosed }

func share(n Node, key any, open func() (*socket, error)) (*Port, error) {
	s, release, err := core.Share(n, key, open)
	if err != nil {
		return nil, err
	}
	return &Port{socket: s, release: sync.OnceValue(func() error { return s.giveUp(release) })}, nil
}

// Addr is the bound address.
func (p *Port) Addr() netip.AddrPort { return p.socket.at }

// Release gives the port up; nothing new may be begun on it. Its listeners must
// be closed. Connections on it live on, and the socket with them. It may be
// called more than once.
func (p *Port) Release() error { return p.release() }

// WriteTo sends a datagram from the port.
func (p *Port) WriteTo(b []byte, to netip.AddrPort) error {
	_, err := p.socket.quic.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return cause(err)
}

// WarnBuffers says in a log that the system gives the socket less memory than
// fast connections need, and how to change that, if it is so and has not been
// said yet of a socket of this node.
func (p *Port) WarnBuffers(log *slog.Logger) {
	if s := p.socket; s.buffers > 0 && s.buffers < wantBuffers && s.table.warnOnce() {
		log.Warn("the UDP buffers of this system are small; QUIC connections are slower than they could be",
			"have", s.buffers, "want", wantBuffers, "remedy", buffersRemedy)
	}
}
