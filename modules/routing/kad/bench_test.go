// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/table"
)

// crowd fills the routing table of a node with peers that have four addresses.
func crowd(n *coretest.FakeNode, d *dht, count int) {
	for i := range count {
		id := [34]byte{0x12, 0x20}
		binary.BigEndian.PutUint64(id[10:], uint64(i)*0x9e3779b97f4a7c15)
		p := peer.ID(id[:])
		ip := fmt.Sprintf("/ip4/1.2.%d.%d", i/250, i%250)
		n.AddPeerAddrs(p, core.PermanentTTL, ma.StringCast(ip+"/tcp/4001"), ma.StringCast(ip+"/udp/4001/quic-v1"),
			ma.StringCast("/ip6/2001:db8::1/tcp/4001"), ma.StringCast("/ip6/2001:db8::1/udp/4001/quic-v1"))
		d.contacts.restore(table.Member{ID: p, Answered: time.Now()})
	}
}

func BenchmarkServe(b *testing.B) {
	n := coretest.FakeNodes(b, 2)
	k := start(b, n[1], `"requests": 1000000, "announcements": 1000000`)
	crowd(n[1], k.dhts[0], 400)
	b.Logf("%d members", k.dhts[0].contacts.size())
	conn, err := n[1].Connect(b.Context(), peer.AddrInfo{ID: n[0].ID()})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 20 {
		p := peer.FromPublicKey(coretest.NewIdentity(uint64(i + 100)).PublicKey())
		k.dhts[0].addProvider([]byte("content"), p, kadwire.AppendPeer(nil, p, n[0].Addrs()))
	}
	k.dhts[0].providers.store(time.Now())
	for name, w := range map[string]*kadwire.Buffer{
		"FindNode":         kadwire.NewBuffer(kadwire.FindNode, []byte("a key that is as long as one"), 1),
		"FindPeer":         kadwire.NewBuffer(kadwire.FindNode, []byte(n[0].ID()), 1),
		"GetProviders":     kadwire.NewBuffer(kadwire.GetProviders, []byte("content"), 1),
		"GetProvidersNone": kadwire.NewBuffer(kadwire.GetProviders, []byte("other"), 1),
		"AddProvider":      addProvider([]byte("new"), n[0].ID(), n[0].Addrs()...),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			req := &request{conn: conn}
			frame := w.Frame()
			for b.Loop() {
				if err := req.Decode(frame[1:]); err != nil {
					b.Fatal(err)
				}
				answer, err := k.dhts[0].answer(req)
				if err != nil {
					b.Fatal(err)
				}
				if answer != nil {
					answer.Frame()
					answer.Free()
				}
			}
		})
	}
}

// BenchmarkNetwork has whole nodes look up keys and provide content, as fast as
// they can.
func BenchmarkNetwork(b *testing.B) {
	network := hosttest.NewNetwork(memnet.Options{})
	nodes := network.Nodes(b, 40, config(`, "requests": 1000000, "announcements": 1000000`))
	for i := 1; i < len(nodes); i++ {
		hosttest.Connect(b, nodes[i], nodes[i/2])
		hosttest.Connect(b, nodes[i], nodes[i*7919%i])
	}
	for _, n := range nodes {
		waitFor(b, func() bool { return dhtOf(b, n).dhts[0].contacts.size() >= 30 })
	}
	b.Run("ClosestPeers", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := dhtOf(b, nodes[i%len(nodes)]).ClosestPeers(b.Context(), fmt.Append(nil, "key ", i)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Provide", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := dhtOf(b, nodes[i%len(nodes)]).Provide(b.Context(), fmt.Append(nil, "key ", i)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
