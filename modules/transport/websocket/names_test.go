// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// issued is a source of certificates that gets one later, for a name that
// depends on the address, and runs with its transport.
type issued struct {
	core.CertificateSource

	mu      sync.Mutex
	domain  string // empty until it is issued
	changed func()
	running int
}

func (s *issued) Start(context.Context, core.Node) error { s.running++; return nil }
func (s *issued) Close() error                           { s.running = 0; return nil }

func (s *issued) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return nil, errors.New("there is none yet")
}

func (s *issued) ServerNames(ip netip.Addr) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.domain == "" || ip.IsLoopback() {
		return nil
	}
	return []string{strings.NewReplacer(".", "-", ":", "-").Replace(ip.String()) + "." + s.domain}
}

func (s *issued) Watch(f func()) (stop func()) {
	s.changed = f
	return func() { s.changed = nil }
}

func (s *issued) issue(domain string) {
	s.mu.Lock()
	s.domain = domain
	s.mu.Unlock()
	s.changed()
}

// reachableNode has addresses of its own.
type reachableNode struct {
	*coretest.FakeNode

	mu        sync.Mutex
	addrs     []ma.Multiaddr
	announced [][]ma.Multiaddr
}

func (n *reachableNode) Addrs() []ma.Multiaddr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.addrs)
}

func (n *reachableNode) Announce(list ...ma.Multiaddr) (withdraw func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.announced = append(n.announced, list)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.announced = slices.DeleteFunc(n.announced, func(o []ma.Multiaddr) bool { return &o[0] == &list[0] })
	}
}

func (n *reachableNode) moves(to ...string) {
	n.mu.Lock()
	n.addrs = nil
	for _, a := range to {
		n.addrs = append(n.addrs, ma.StringCast(a))
	}
	n.mu.Unlock()
	n.Emit(core.LocalAddrsChanged{})
}

func TestAnnouncesNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &reachableNode{FakeNode: coretest.FakeNodes(t, 1)[0]}
		s := new(issued)
		tr := load(t, `{}`)
		tr.source = s
		want := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, list := range node.announced {
				for _, a := range list {
					got = append(got, a.String())
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		if err := tr.Start(t.Context(), node); err != nil || s.running != 1 {
			t.Fatal(err, s.running)
		}
		node.moves("/ip4/127.0.0.1/tcp/4002/tls/ws", "/ip4/192.0.2.1/tcp/4002/tls/ws", "/ip4/192.0.2.1/tcp/4001",
			"/ip4/192.0.2.1/tcp/4002/tls/sni/x/ws", "/dns/example.com/tcp/443/tls/ws", "/ip4/192.0.2.1/tcp/4001/ws")
		want("before it is issued")
		s.issue("a.example")
		want("issued", "/ip4/192.0.2.1/tcp/4002/tls/sni/192-0-2-1.a.example/ws")
		node.moves("/ip4/192.0.2.2/tcp/4002/tls/ws/http-path/x", "/ip6/2001:db8::1/tcp/4002/tls/ws")
		want("another network", "/ip4/192.0.2.2/tcp/4002/tls/sni/192-0-2-2.a.example/ws/http-path/%2Fx",
			"/ip6/2001:db8::1/tcp/4002/tls/sni/2001-db8--1.a.example/ws")
		s.issue("not a name")
		want("no name")
		s.issue("b.example")
		node.moves("/ip4/192.0.2.1/tcp/4002/tls/ws")
		want("issued again", "/ip4/192.0.2.1/tcp/4002/tls/sni/192-0-2-1.b.example/ws")
		if err := tr.Close(); err != nil || s.running != 0 || s.changed != nil {
			t.Errorf("close: %v, %d", err, s.running)
		}
		want("closed")
	})
}
