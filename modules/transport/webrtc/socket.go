// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"

	"github.com/xnode-p2p/xnode/modules/transport/internal/dtlslink"
)

const (
	// maxAddresses bounds the addresses from which one connection receives, the
	// servers' among them: the ICE library keeps something for each.
	maxAddresses = 64
	// socketBuffer is how much a socket may hold, in bytes. What the system
	// gives at first is less than a burst of SCTP's.
	socketBuffer = 2 << 20
	// What a DTLS datagram begins with is from minDTLS up to maxDTLS.
	minDTLS, maxDTLS = 20, 64
)

// sockets are those of one connection. They are the network that the ICE library
// has.
type sockets struct {
	*stdnet.Net

	// selected is where the remote is, once that is settled.
	selected atomic.Pointer[netip.AddrPort]
	link     atomic.Pointer[dtlslink.Link]

	mu   sync.Mutex
	seen map[netip.AddrPort]struct{} // at most maxAddresses
}

func newSockets() (*sockets, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return &sockets{Net: n, seen: make(map[netip.AddrPort]struct{})}, nil
}

// ListenUDP implements [transport.Net].
func (s *sockets) ListenUDP(network string, at *net.UDPAddr) (transport.UDPConn, error) {
	c, err := net.ListenUDP(network, at)
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(socketBuffer) // as far as the system lets it
	return &socket{UDPConn: c, of: s}, nil
}

// ips are the IP addresses of the machine that remotes may be told of.
func (s *sockets) ips(h hosts) (list []netip.Addr) {
	interfaces, _ := s.Interfaces() // always nil
	for _, i := range interfaces {
		addrs, _ := i.Addrs() // without an error
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && h.allows(p.Addr().Unmap()) {
				list = append(list, p.Addr().Unmap())
			}
		}
	}
	return list
}

// knows tells whether datagrams from an address are received.
func (s *sockets) knows(from netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.seen[from]; ok {
		return true
	}
	if len(s.seen) >= maxAddresses {
		return false
	}
	s.seen[from] = struct{}{}
	return true
}

// takes hands a datagram of the connection to its link, past the library.
func (s *sockets) takes(b []byte, from netip.AddrPort) bool {
	if len(b) == 0 || b[0] < minDTLS || b[0] >= maxDTLS {
		return false
	}
	l, at := s.link.Load(), s.selected.Load()
	if l == nil || at == nil || *at != from {
		return false
	}
	l.Receive(b)
	return true
}

// socket is one socket of a connection.
type socket struct {
	*net.UDPConn
	of *sockets
}

// ReadFromAddrPort implements [ice.AddrPortReaderWriter].
func (s *socket) ReadFromAddrPort(b []byte) (n int, from netip.AddrPort, err error) {
	for {
		n, from, err = s.ReadFromUDPAddrPort(b)
		if err != nil {
			return n, from, err
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if !s.of.takes(b[:n], from) && s.of.knows(from) {
			return n, from, nil
		}
	}
}

// ReadFrom implements [net.PacketConn].
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteToAddrPort implements [ice.AddrPortReaderWriter].
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return s.WriteToUDPAddrPort(b, to)
}

var (
	_ transport.Net            = (*sockets)(nil)
	_ ice.AddrPortReaderWriter = (*socket)(nil)
)
