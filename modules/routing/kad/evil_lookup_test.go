// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
)

// answers has a node answer requests with what f builds; nil ends the stream.
func answers(n *coretest.FakeNode, f func(m *kadwire.Message) *kadwire.Buffer) {
	n.Handle(testProtocol, func(s core.Stream) error {
		r := kadwire.NewReader(s)
		var m kadwire.Message
		for {
			b, err := r.Next()
			if err != nil {
				return nil
			}
			if err := m.Decode(b); err != nil {
				return err
			}
			w := f(&m)
			if w == nil {
				return errors.New("no answer")
			}
			if _, err := s.Write(w.Frame()); err != nil {
				return err
			}
		}
	})
}

// befriend connects n to peers, which it takes into its routing table.
func befriend(t testing.TB, n *coretest.FakeNode, k *Kad, peers ...*coretest.FakeNode) {
	t.Helper()
	before := k.dhts[0].contacts.size()
	for _, p := range peers {
		n.AddPeerAddrs(p.ID(), core.ConnectedTTL, p.Addrs()...)
		c, err := n.Connect(t.Context(), peer.AddrInfo{ID: p.ID()})
		if err != nil {
			t.Fatal(err)
		}
		n.Emit(core.Identified{Conn: c})
	}
	waitFor(t, func() bool { return k.dhts[0].contacts.size() == before+len(peers) })
}

func TestEvil_K2_LyingServer(t *testing.T) {
	n := coretest.FakeNodes(t, 3)
	k := start(t, n[0], "")
	k.validators["n"] = rising{}
	lies := map[string][]byte{}
	lie := func(key, recordKey string, value []byte) {
		lies[key] = (&record.ValueRecord{Key: recordKey, Value: value}).Marshal()
	}
	lie("/n/other", "/n/elsewhere", []byte{9})
	lie("/n/invalid", "/n/invalid", []byte("invalid"))
	lie("/n/old", "/n/old", []byte{1})
	lie("/pk/"+string(n[2].ID()), "/pk/"+string(n[2].ID()), peer.MarshalPublicKey(n[1].PublicKey()))
	lies["/n/garbage"] = []byte{0xff}
	var mu sync.Mutex
	got := map[string][]byte{} // what was put
	answers(n[1], func(m *kadwire.Message) *kadwire.Buffer {
		w := kadwire.NewBuffer(m.Type, m.Key, 0)
		switch m.Type {
		case kadwire.GetValue:
			w.Record(lies[string(m.Key)])
		case kadwire.PutValue:
			mu.Lock()
			got[string(m.Key)] = m.Record
			mu.Unlock()
			w.Record(m.Record)
		}
		return w
	})
	befriend(t, n[0], k, n[1])
	for _, key := range []string{"/n/other", "/n/invalid", "/n/garbage", "/pk/" + string(n[2].ID())} {
		if v, err := k.GetValue(t.Context(), key); !errors.Is(err, core.ErrNotFound) {
			t.Errorf("%q: %q, %v", key, v, err)
		}
	}
	// What this node has is better, and the peer is told.
	d := k.dhts[0]
	if err := d.values.put("/n/old", &record.ValueRecord{Key: "/n/old", Value: []byte{2}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if v, err := k.GetValue(t.Context(), "/n/old"); err != nil || v[0] != 2 {
		t.Errorf("%v, %v", v, err)
	}
	waitFor(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return got["/n/old"] != nil
	})
	// A lie in the own store is none the better for it.
	bad := record.ValueRecord{Key: "/n/elsewhere", Value: []byte{9}}
	if err := d.values.table.Apply(core.Change{Key: []byte("/n/other"), Value: bad.Marshal()}); err != nil {
		t.Fatal(err)
	}
	if v, err := k.GetValue(t.Context(), "/n/other"); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("from the store: %q, %v", v, err)
	}
}

// TestEvil_K2_NotEchoed has a put fail that no peer confirms.
func TestEvil_K2_NotEchoed(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	k := start(t, n[0], `"open_namespaces": ["v"]`)
	answers(n[1], func(m *kadwire.Message) *kadwire.Buffer {
		w := kadwire.NewBuffer(m.Type, m.Key, 0)
		if m.Type == kadwire.PutValue {
			w.Record((&record.ValueRecord{Key: "/v/x", Value: []byte("something else")}).Marshal())
		}
		return w
	})
	befriend(t, n[0], k, n[1])
	if err := k.PutValue(t.Context(), "/v/x", []byte("value")); !errors.Is(err, errNotEchoed) {
		t.Errorf("%v, want errNotEchoed", err)
	}
}

func strangers(count int, seed byte, addrs ...ma.Multiaddr) *kadwire.Buffer {
	w := kadwire.NewBuffer(kadwire.FindNode, nil, 0)
	for i := range count {
		id := [34]byte{0x12, 0x20, seed, byte(i >> 8), byte(i)}
		w.Closer(kadwire.AppendPeer(nil, peer.ID(id[:]), addrs))
	}
	return w
}

// TestEvil_K5_TenThousandCloserPeers asks no more peers, and remembers no more
// addresses, than a look-up may.
func TestEvil_K5_TenThousandCloserPeers(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	k := start(t, n[0], "")
	addrs := make([]ma.Multiaddr, 1000)
	for i := range addrs {
		addrs[i] = ma.StringCast(fmt.Sprintf("/ip4/192.0.2.1/tcp/%d", i+1))
	}
	answers(n[1], func(m *kadwire.Message) *kadwire.Buffer { return strangers(10_000, 1, addrs...) })
	befriend(t, n[0], k, n[1])
	asked := 0
	var mu sync.Mutex
	ctx := core.TraceLookup(t.Context(), func(s core.LookupStep) {
		mu.Lock()
		defer mu.Unlock()
		if s.Done {
			asked++
		}
		if s.Heard > kadwire.MaxCloser {
			t.Errorf("heard of %d", s.Heard)
		}
	})
	if _, err := k.ClosestPeers(ctx, []byte("key")); err != nil {
		t.Fatal(err)
	}
	if asked > 1+kadwire.MaxCloser {
		t.Errorf("%d were asked", asked)
	}
	for _, p := range n[0].KnownPeers() {
		if got := len(n[0].PeerAddrs(p)); got > maxHeardAddrs {
			t.Errorf("%d addresses of %v", got, p)
		}
	}
}

// TestEvil_K8_NeverEnds has a peer name a nearer one each time, and one more that
// never answers: the look-up ends.
func TestEvil_K8_NeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 3)
		k := start(t, n[0], "")
		round := byte(0)
		answers(n[1], func(m *kadwire.Message) *kadwire.Buffer {
			round++
			return strangers(20, round, ma.StringCast("/memory/999"))
		})
		befriend(t, n[0], k, n[1])
		n[2].Handle(testProtocol, func(s core.Stream) error {
			for {
				if _, err := s.Read(make([]byte, 1)); err != nil {
					return nil
				}
			}
		})
		n[0].Connect(t.Context(), peer.AddrInfo{ID: n[2].ID()})
		began := time.Now()
		for range 3 {
			if _, err := k.ClosestPeers(t.Context(), []byte{round}); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 3*time.Duration(k.QueryTimeout) {
			t.Errorf("it took %v", took)
		}
		// And when the caller wants no more.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		answers(n[1], func(m *kadwire.Message) *kadwire.Buffer { time.Sleep(time.Hour); return nil })
		began = time.Now()
		if _, err := k.FindPeer(ctx, peer.FromPublicKey(coretest.NewIdentity(99).PublicKey())); err == nil {
			t.Error("found")
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v after the context's end", took)
		}
		k.Close()
	})
}

// TestEvil_K9_ModeFlapping has a peer come and go as a server.
func TestEvil_K9_ModeFlapping(t *testing.T) {
	n := coretest.FakeNodes(t, 3)
	k := start(t, n[0], "")
	d := k.dhts[0]
	pong := func(m *kadwire.Message) *kadwire.Buffer { return kadwire.NewBuffer(m.Type, nil, 0) }
	// A client is not taken.
	c, err := n[0].Connect(t.Context(), peer.AddrInfo{ID: n[1].ID()})
	if err != nil {
		t.Fatal(err)
	}
	n[0].Emit(core.Identified{Conn: c})
	if d.contacts.has(n[1].ID()) || d.stats.asked[kadwire.FindNode].Load() > 0 {
		t.Error("a client was taken, or asked")
	}
	answers(n[1], pong)
	n[0].AddPeerAddrs(n[1].ID(), core.ConnectedTTL, n[1].Addrs()...)
	for range 20 {
		n[0].Emit(core.PeerProtocolsChanged{Peer: n[1].ID(), Added: []string{testProtocol}})
		waitFor(t, func() bool { return d.contacts.has(n[1].ID()) })
		n[0].Emit(core.PeerProtocolsChanged{Peer: n[1].ID(), Removed: []string{testProtocol}})
		if d.contacts.has(n[1].ID()) {
			t.Fatal("it is still in the table")
		}
	}
	// Who says that it is a server, but does not answer, is not taken.
	answers(n[2], func(*kadwire.Message) *kadwire.Buffer { return nil })
	if c, err = n[0].Connect(t.Context(), peer.AddrInfo{ID: n[2].ID()}); err != nil {
		t.Fatal(err)
	}
	failed := d.stats.failed.Load()
	n[0].Emit(core.Identified{Conn: c})
	waitFor(t, func() bool { return d.stats.failed.Load() > failed })
	if d.contacts.has(n[2].ID()) {
		t.Error("who does not answer is in the table")
	}
}

// TestEvil_A3_PeersOfOthers takes no address of a peer that is that of another.
func TestEvil_A3_PeersOfOthers(t *testing.T) {
	n := coretest.FakeNodes(t, 3)
	k := start(t, n[0], "")
	victim := n[2].ID()
	answers(n[1], func(m *kadwire.Message) *kadwire.Buffer {
		w := kadwire.NewBuffer(m.Type, nil, 0)
		b := kadwire.AppendPeer(nil, victim, []ma.Multiaddr{
			peer.JoinAddr(ma.StringCast("/ip4/192.0.2.1/tcp/1"), n[1].ID()),
			peer.JoinAddr(ma.StringCast("/ip4/192.0.2.2/tcp/1"), victim),
		})
		w.Closer(b)
		return w
	})
	befriend(t, n[0], k, n[1])
	k.ClosestPeers(t.Context(), []byte("x"))
	if got := n[0].PeerAddrs(victim); len(got) != 1 || got[0].String() != "/ip4/192.0.2.2/tcp/1" {
		t.Errorf("addresses of the victim: %v", got)
	}
	if n[0].PeerRecord(victim) != nil {
		t.Error("there is a signed record of the victim")
	}
}

// TestEvil_D2_ScopesOfAddresses is whose word counts for which address.
func TestEvil_D2_ScopesOfAddresses(t *testing.T) {
	const (
		public, private, loopback, link = "/ip4/1.2.3.4/tcp/1", "/ip4/10.1.2.3/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip4/169.254.169.254/tcp/80"
	)
	for _, tc := range []struct {
		scope scope
		from  string
		want  []string
	}{
		{scopeInternet, public, []string{public}},
		{scopeInternet, loopback, []string{public}},
		{scopeLan, private, []string{public, private}},
		{scopeLan, loopback, []string{public, private, loopback, link}},
		{scopePrivate, public, []string{public, private}},
		{scopePrivate, link, []string{public, private, link}},
		{scopePrivate, loopback, []string{public, private, loopback, link}},
	} {
		for _, a := range []string{
			public, private, loopback, link,
			"/ip6/::1/tcp/1", "/ip6/::ffff:127.0.0.1/tcp/1", "/ip6/::ffff:169.254.169.254/tcp/80", "/ip6/fe80::1/tcp/1", "/dns4/localhost/tcp/1",
		} {
			want := slices.Contains(tc.want, a)
			switch a {
			case "/ip6/::1/tcp/1", "/ip6/::ffff:127.0.0.1/tcp/1", "/dns4/localhost/tcp/1":
				want = slices.Contains(tc.want, loopback)
			case "/ip6/::ffff:169.254.169.254/tcp/80", "/ip6/fe80::1/tcp/1":
				want = slices.Contains(tc.want, link)
			}
			if got := tc.scope.accepts(ma.StringCast(a), ma.StringCast(tc.from)); got != want {
				t.Errorf("scope %d, %s from %s: %v", tc.scope, a, tc.from, got)
			}
		}
	}
}

// TestEvil_D3_GuestsAreBounded has more peers ask than are remembered.
func TestEvil_D3_GuestsAreBounded(t *testing.T) {
	var g guests
	for i := range 5 * maxGuests {
		v := g.enter(peer.ID(fmt.Sprint(i)))
		g.leave(v)
	}
	if len(g.all) > 2*maxGuests+1 {
		t.Errorf("%d guests", len(g.all))
	}
}
