// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// maxNames bounds the names that are announced for one address.
const maxNames = 8

// names announces the node's /tls/ws addresses with the names that there are
// certificates for, as /tls/sni/NAME/ws, and keeps that up to date.
type names struct {
	addrs  core.Addrs
	source core.CertificateSource

	stop    []func()
	running sync.WaitGroup
	changed chan struct{} // of one place: something has changed since it was taken
	done    chan struct{}

	announced []ma.Multiaddr
	withdraw  func()
}

func (s *names) start(n core.Node, source core.CertificateSource) {
	s.addrs, s.source = n, source
	s.changed, s.done = make(chan struct{}, 1), make(chan struct{})
	wake := func() {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
	s.stop = []func(){core.On(n, func(core.LocalAddrsChanged) { wake() }), source.Watch(wake)}
	wake()
	s.running.Go(s.run)
}

func (s *names) close() {
	for _, stop := range s.stop {
		stop()
	}
	if s.stop != nil {
		s.stop = nil
		close(s.done)
	}
	s.running.Wait()
}

func (s *names) run() {
	for {
		select {
		case <-s.changed:
			s.update()
		case <-s.done:
			s.announce(nil)
			return
		}
	}
}

// update announces what the names and the addresses of the moment are.
func (s *names) update() {
	var list []ma.Multiaddr
	for _, a := range s.addrs.Addrs() {
		list = append(list, s.named(a)...)
	}
	slices.SortFunc(list, func(x, y ma.Multiaddr) int { return x.Compare(y) })
	s.announce(slices.CompactFunc(list, ma.Multiaddr.Equal))
}

// named returns an address with each of the names that it has a certificate for.
func (s *names) named(a ma.Multiaddr) []ma.Multiaddr {
	web, err := parse(a)
	ip, isIP := peer.IP(a)
	if err != nil || !isIP || !web.secure || web.sni != "" {
		return nil
	}
	var list []ma.Multiaddr
	for _, name := range s.source.ServerNames(ip) {
		web.sni = name
		if named, err := web.multiaddr(web.at); err == nil && isHostname(name) && len(list) < maxNames {
			list = append(list, named)
		}
	}
	return list
}

// announce replaces what was announced.
func (s *names) announce(list []ma.Multiaddr) {
	if slices.EqualFunc(list, s.announced, ma.Multiaddr.Equal) {
		return
	}
	before := s.withdraw
	s.announced, s.withdraw = list, nil
	if len(list) > 0 {
		s.withdraw = s.addrs.Announce(list...)
	}
	if before != nil {
		before()
	}
}
