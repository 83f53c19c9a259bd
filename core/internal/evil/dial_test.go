// SPDX-License-Identifier: Apache-2.0 OR MIT

package evil_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/internal/evil"
	"github.com/xnode-p2p/xnode/core/peer"
)

// somebody is a peer that nobody is.
var somebody = peer.FromPublicKey(hosttest.Key(4242).Public())

func TestEvil_D2_AddressFlood(t *testing.T) {
	flood := make([]ma.Multiaddr, 10_000)
	for i := range flood {
		flood[i] = ma.StringCast(fmt.Sprintf("/ip4/4.1.%d.%d/tcp/22", i>>8, i&255))
	}
	for name, tell := range map[string]func(core.Node) []ma.Multiaddr{
		"given":     func(core.Node) []ma.Multiaddr { return flood },
		"peerstore": func(n core.Node) []ma.Multiaddr { n.AddPeerAddrs(somebody, core.DiscoveredTTL, flood...); return nil },
		"both": func(n core.Node) []ma.Multiaddr {
			n.AddPeerAddrs(somebody, core.DiscoveredTTL, flood[5000:]...)
			return flood[:5000]
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSettler(t)
				v := s.pair("")
				evil.Run(t, v, func(a *evil.Attacker) {
					begin := time.Now()
					_, err := v.Node.Connect(t.Context(), peer.AddrInfo{ID: somebody, Addrs: tell(v.Node)})
					if err == nil || time.Since(begin) > time.Minute {
						t.Errorf("connect: %v after %v", err, time.Since(begin))
					}
					dialled, most := s.Dialled()
					// Four times eight in a minute, and what begins just at its end;
					// one was the canary's.
					if n := len(dialled) - 1; n > 5*8 || most != 8 {
						t.Errorf("%d dials, %d of them at once; want 40 and 8 at most", n, most)
					}
				}, evil.Budget{})
			})
		})
	}
}

func TestEvil_D2_AddressesNeverDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSettler(t)
		v := s.pair(`{"gater": {"deny": ["10.1.0.0/16"]}}`)
		for text, want := range map[string]error{
			"/ip4/8.8.8.8/tcp/4001":                          core.ErrSelf,
			"/ip4/0.0.0.0/tcp/4001":                          nil,
			"/ip4/0.1.2.3/tcp/4001":                          nil,
			"/ip4/255.255.255.255/tcp/4001":                  nil,
			"/ip4/224.0.0.1/tcp/4001":                        nil,
			"/ip4/239.255.255.250/tcp/1900":                  nil,
			"/ip6/::/tcp/4001":                               nil,
			"/ip6/ff02::1/tcp/4001":                          nil,
			"/ip6/::ffff:0.0.0.0/tcp/4001":                   nil,
			"/ip6/::ffff:224.0.0.251/tcp/5353":               nil,
			"/ip4/10.1.2.3/tcp/4001":                         core.ErrGated,
			"/ip6/::ffff:10.1.2.3/tcp/4001":                  core.ErrGated,
			"/ip4/4.4.4.4/udp/53":                            core.ErrNoTransport,
			"/unix/tmp/socket":                               core.ErrNoTransport,
			"/ip4/4.4.4.4/tcp/1/p2p/" + v.Node.ID().String(): new(core.PeerMismatchError),
		} {
			ctx, trace := core.TraceDial(t.Context())
			_, err := v.Node.Connect(ctx, peer.AddrInfo{ID: somebody, Addrs: []ma.Multiaddr{ma.StringCast(text)}})
			if mismatch := new(core.PeerMismatchError); errors.As(want, &mismatch) {
				if !errors.As(err, &mismatch) {
					t.Errorf("%s: %v, want a mismatch", text, err)
				}
			} else if err == nil || want != nil && !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", text, err, want)
			}
			if r := trace.Record(); r == nil || len(r.Attempts) != 1 || r.Attempts[0].Outcome != core.DialSkipped || r.Attempts[0].Err == nil {
				t.Errorf("%s: %+v, want one skipped", text, r)
			}
		}
		if dialled, _ := s.Dialled(); len(dialled) != 1 {
			t.Errorf("dialled %v", dialled[1:])
		}
	})
}

// Whoever announces dead addresses of a peer makes nobody back off from it.
func TestEvil_D7_BackoffIsOfAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSettler(t)
		v, friend := s.pair(""), s.node("6.6.6.6", "")
		dead := []ma.Multiaddr{ma.StringCast("/ip4/4.4.4.4/tcp/1"), ma.StringCast("/ip4/4.4.4.5/tcp/1")}
		for range 5 {
			v.Node.AddPeerAddrs(friend.ID(), core.DiscoveredTTL, dead...)
			if _, err := v.Node.Connect(t.Context(), peer.AddrInfo{ID: friend.ID()}); err == nil {
				t.Fatal("connected to nothing")
			}
		}
		// Its true address, which another peer is said to have: that fails,
		// and says nothing about the friend.
		if _, err := v.Node.Connect(t.Context(), peer.AddrInfo{ID: somebody, Addrs: friend.ListenAddrs()}); err == nil {
			t.Fatal("connected to the wrong peer")
		}
		v.Node.AddPeerAddrs(friend.ID(), core.DiscoveredTTL, friend.ListenAddrs()...)
		ctx, trace := core.TraceDial(t.Context())
		if _, err := v.Node.Connect(ctx, peer.AddrInfo{ID: friend.ID()}); err != nil {
			t.Fatal(err)
		}
		backedOff := 0
		for _, a := range trace.Record().Attempts {
			if errors.Is(a.Err, core.ErrBackoff) {
				backedOff++
			}
		}
		if backedOff != len(dead) {
			t.Errorf("%d addresses are left alone, want the %d dead ones: %+v", backedOff, len(dead), trace.Record().Attempts)
		}
	})
}
