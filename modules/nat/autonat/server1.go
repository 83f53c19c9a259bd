// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxDials1 is how many addresses are dialled for one request of version 1.
	maxDials1 = 16
	// dialsAtOnce is how many of them at the same time.
	dialsAtOnce = 4
)

// serve1 serves a request of version 1.
func (s *server) serve1(stream core.Stream) error {
	if err := stream.SetDeadline(time.Now().Add(serveTime)); err != nil {
		return err
	}
	b, err := wire.ReadMessage(stream, maxMessage1)
	if err != nil {
		return err
	}
	request, err := unmarshalDial1(b)
	if err != nil {
		return violation(err)
	}
	answer := s.answer1(stream.Conn(), request)
	return wire.WriteMessage(stream, answer.marshal())
}

// answer1 dials one who asks, at its own IP address and nowhere else.
func (s *server) answer1(c core.Conn, request dial1) response1 {
	p := c.RemotePeer()
	if request.peer != p {
		return response1{status: status1BadRequest, text: "the peer is another than the one who asks"}
	}
	ip, ok := s.observed(c)
	if !ok {
		return response1{status: status1Refused, text: "the address that you ask from is not one to dial"}
	}
	if !s.enter(&s.first, p) {
		return response1{status: status1Refused, text: "too many requests"}
	}
	defer s.leave()
	addrs := s.targets1(p, ip, c.RemoteMultiaddr(), request.addrs)
	if len(addrs) == 0 {
		return response1{status: status1Refused, text: "no address to dial"}
	}
	ctx, cancel := serveContext()
	defer cancel()
	if reached := s.reach1(ctx, p, addrs); reached != nil {
		return response1{status: status1OK, addr: reached}
	}
	return response1{status: status1DialError, text: "no address could be reached"}
}

// targets1 lists what to dial: the address that the peer asks from, and those it
// names with that IP address in place of theirs.
func (s *server) targets1(p peer.ID, ip netip.Addr, from ma.Multiaddr, named []ma.Multiaddr) []ma.Multiaddr {
	var list []ma.Multiaddr
	for _, a := range append([]ma.Multiaddr{from}, named...) {
		a = atIP(withoutPeer(a, p), ip)
		if len(list) < maxDials1 && a != nil && s.willing(p, a) && !slices.ContainsFunc(list, a.Equal) {
			list = append(list, a)
		}
	}
	return list
}

// atIP is an address with another IP address of the same family; nil if it has
// none to replace.
func atIP(a ma.Multiaddr, ip netip.Addr) ma.Multiaddr {
	old, ok := peer.IP(a)
	if !ok || old.Is4() != ip.Is4() {
		return nil
	}
	rest := a[1:]
	if a[0].Code() == ma.P_IP6ZONE {
		rest = a[2:]
	}
	name := "/ip4/"
	if ip.Is6() {
		name = "/ip6/"
	}
	return slices.Concat(ma.StringCast(name+ip.WithZone("").String()), rest)
}

// reach1 returns the first address that is reached, or nil.
func (s *server) reach1(ctx context.Context, p peer.ID, addrs []ma.Multiaddr) ma.Multiaddr {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	next := make(chan ma.Multiaddr, len(addrs))
	for _, a := range addrs {
		next <- a
	}
	close(next)
	var mu sync.Mutex
	var reached ma.Multiaddr
	var wg sync.WaitGroup
	for range min(dialsAtOnce, len(addrs)) {
		wg.Go(func() {
			for a := range next {
				c, err := s.prober.Probe(ctx, p, a)
				if err != nil {
					continue
				}
				c.Close()
				mu.Lock()
				if reached == nil {
					reached = a
				}
				mu.Unlock()
				cancel()
			}
		})
	}
	wg.Wait()
	return reached
}
