// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerstore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// model is a book without limits, heaps and lists.
type model struct {
	now       time.Duration
	connected map[peer.ID]bool
	addrs     map[peer.ID]map[string]*modelAddr
	protocols map[peer.ID][]string
}

type modelAddr struct {
	end        time.Duration
	identified bool
}

func (m *model) add(p peer.ID, ttl time.Duration, identified bool, list []ma.Multiaddr) {
	if ttl == core.ConnectedTTL && !m.connected[p] {
		ttl = core.RecentTTL
	}
	end := ttl
	if ttl < core.ConnectedTTL {
		end = m.now + ttl
	}
	if m.addrs[p] == nil {
		m.addrs[p] = map[string]*modelAddr{}
	}
	for _, a := range list {
		known := m.addrs[p][a.String()]
		if known == nil || known.end <= m.now {
			known = &modelAddr{end: end}
			m.addrs[p][a.String()] = known
		}
		known.end = max(known.end, end)
		known.identified = known.identified || identified
	}
}

func (m *model) identify(p peer.ID, said Identified) {
	if !m.connected[p] {
		return
	}
	if !said.Partial || len(said.Protocols) > 0 {
		m.protocols[p] = slices.Sorted(slices.Values(said.Protocols))
	}
	if !said.Partial || len(said.Addrs) > 0 {
		for s, a := range m.addrs[p] {
			if a.identified && a.end != core.PermanentTTL {
				delete(m.addrs[p], s)
			}
		}
	}
	m.add(p, core.ConnectedTTL, true, said.Addrs)
}

func (m *model) disconnect(p peer.ID) {
	if !m.connected[p] {
		return
	}
	m.connected[p] = false
	for _, a := range m.addrs[p] {
		if a.end == core.ConnectedTTL {
			a.end = m.now + core.RecentTTL
		}
	}
}

func (m *model) have(p peer.ID) []string {
	list := []string{}
	for s, a := range m.addrs[p] {
		if a.end > m.now {
			list = append(list, s)
		}
	}
	if len(list) == 0 && !m.connected[p] {
		delete(m.addrs, p)
		delete(m.protocols, p)
	}
	slices.Sort(list)
	return list
}

func TestModel(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			now := time.Unix(1e9, 0)
			b := New(Config{}, func() time.Time { return now })
			m := &model{connected: map[peer.ID]bool{}, addrs: map[peer.ID]map[string]*modelAddr{}, protocols: map[peer.ID][]string{}}
			some := func() []ma.Multiaddr {
				var list []ma.Multiaddr
				for range r.IntN(4) {
					list = append(list, tcp(r.IntN(6)))
				}
				return list
			}
			ttls := []time.Duration{1, core.TempTTL, core.DiscoveredTTL, core.RecentTTL, core.ConnectedTTL, core.PermanentTTL}
			for range 400 {
				p := id(r.IntN(5))
				switch r.IntN(8) {
				case 0, 1:
					ttl := ttls[r.IntN(len(ttls)*3)%len(ttls)]
					list := some()
					b.AddPeerAddrs(p, ttl, list...)
					m.add(p, ttl, false, list)
				case 2:
					b.Connected(p)
					m.connected[p] = true
				case 3:
					b.Disconnected(p)
					m.disconnect(p)
				case 4:
					said := Identified{Partial: r.IntN(2) == 0, Addrs: some()}
					if r.IntN(3) > 0 {
						said.Protocols = []string{"/z", fmt.Sprint("/", r.IntN(3))}
					}
					b.SetIdentified(p, said)
					m.identify(p, said)
				case 5:
					if r.IntN(5) == 0 {
						b.Forget(p)
						delete(m.addrs, p)
						delete(m.protocols, p)
					}
				case 6, 7:
					step := []time.Duration{1, time.Second, time.Minute, 9 * time.Minute}[r.IntN(4)]
					now = now.Add(step)
					m.now += step
				}
				known := map[peer.ID]bool{}
				for i := range 5 {
					p := id(i)
					want := m.have(p)
					if diff := cmp.Diff(want, have(b, p)); diff != "" {
						t.Fatalf("peer %d (-model +book):\n%s", i, diff)
					}
					if diff := cmp.Diff(append([]string{}, m.protocols[p]...), b.PeerProtocols(p)); diff != "" {
						t.Fatalf("peer %d protocols (-model +book):\n%s", i, diff)
					}
					if len(want) > 0 {
						known[p] = true
					}
				}
				got := map[peer.ID]bool{}
				for _, p := range b.KnownPeers() {
					got[p] = true
				}
				if diff := cmp.Diff(known, got); diff != "" {
					t.Fatal(diff)
				}
				check(t, b)
			}
		})
	}
}
