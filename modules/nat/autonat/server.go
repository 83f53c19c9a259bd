// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// streamsPerPeer is how many requests of one peer may be under way.
	streamsPerPeer = 2
	// maxServing is how many of all may be.
	maxServing = 32
	// serveTime is how long serving one request may take.
	serveTime = 30 * time.Second
	// dialTime is how long dialling back may take.
	dialTime = 10 * time.Second
)

// server dials back those who ask.
type server struct {
	allowPrivate bool
	prober       core.Prober
	log          *slog.Logger
	routed       func(netip.Addr) bool                  // there is a way to the address
	pause        func(most time.Duration) time.Duration // before a dial that was paid for

	mu      sync.Mutex
	serving int  // requests under way
	first   rate // of version 1
	second  rate // of version 2
	paid    rate // of those of version 2 that are to be paid for with data
}

func newServer(s *Service, prober core.Prober) *server {
	c := s.Server
	return &server{
		allowPrivate: s.AllowPrivate, prober: prober, log: s.log,
		routed: s.routed, pause: s.pause,
		first:  rate{span: time.Minute, all: c.Requests1, one: c.PeerRequests1},
		second: rate{span: time.Minute, all: c.Requests, one: c.PeerRequests},
		paid:   rate{span: time.Minute, all: c.DataRequests},
	}
}

// hasRoute tells whether the system has a way to an address. Nothing is sent.
func hasRoute(ip netip.Addr) bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 1)))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// enter begins to serve a request if that may be; leave ends it.
func (s *server) enter(r *rate, p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving >= maxServing || !r.take(p, time.Now()) {
		return false
	}
	s.serving++
	return true
}

func (s *server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving--
}

// takePaid counts a dial that data are asked for.
func (s *server) takePaid(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paid.take(p, time.Now())
}

// observed is the IP address that a peer asks from; ok is false if it cannot be
// known, or is not one to dial.
func (s *server) observed(c core.Conn) (ip netip.Addr, ok bool) {
	a := c.RemoteMultiaddr()
	ip, ok = peer.IP(a)
	return ip, ok && !isRelayed(a) && !c.Stat().Limited && s.mayDial(a)
}

// mayDial tells whether an address is one that others may have dialled.
func (s *server) mayDial(a ma.Multiaddr) bool {
	return mayCheck(a, s.allowPrivate)
}

// mayCheck tells whether an address is one that it makes sense to ask others
// about: of a public host, or of any if that is allowed.
func mayCheck(a ma.Multiaddr, allowPrivate bool) bool {
	if _, ok := peer.IP(a); !ok || isRelayed(a) {
		return false
	}
	return peer.IsPublic(a) || allowPrivate && (peer.IsPrivate(a) || peer.IsLoopback(a))
}

// willing tells whether the server can dial an address, and may.
func (s *server) willing(p peer.ID, a ma.Multiaddr) bool {
	if a == nil || !s.mayDial(a) || s.prober.CanProbe(p, a) != nil {
		return false
	}
	ip, _ := peer.IP(a)
	return s.routed(ip)
}

func isRelayed(a ma.Multiaddr) bool {
	for _, c := range a {
		if c.Code() == ma.P_CIRCUIT {
			return true
		}
	}
	return false
}

// withoutPeer is an address of p without /p2p at its end; nil if that names
// somebody else.
func withoutPeer(a ma.Multiaddr, p peer.ID) ma.Multiaddr {
	if a == nil {
		return nil
	}
	transport, id := peer.SplitAddr(a)
	if id != "" && id != p {
		return nil
	}
	return transport
}

// serveContext ends with the time that serving may take.
func serveContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), serveTime)
}

// violation is the error of a peer that does not keep to the protocol.
func violation(err error) error {
	return fmt.Errorf("%w (%w)", err, &core.StreamError{Code: core.StreamProtocolViolation})
}
