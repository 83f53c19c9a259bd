// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous

import (
	"encoding/hex"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

// pythons is a node that takes all others for py-libp2p.
type pythons struct{ *coretest.FakeNode }

func (pythons) PeerAgent(peer.ID) string { return "py-libp2p/0.8.1" }

// What py-libp2p 0.8.1 puts into a registration of the peer with the ID "abc".
func TestUnsignedForm(t *testing.T) {
	want := "0a0361626312080401020304060001"
	got := appendUnsigned(nil, peer.AddrInfo{ID: "abc", Addrs: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/1")}})
	if hex.EncodeToString(got) != want {
		t.Errorf("%x", got)
	}
	id := coretest.NewIdentity(1).ID()
	full := appendUnsigned(nil, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/1")}})
	if p, err := parseUnsigned(full); err != nil || p.ID != id || fmt.Sprint(p.Addrs) != "[/ip4/1.2.3.4/tcp/1]" {
		t.Errorf("%v, %v", p, err)
	}
	for _, bad := range []string{"", "0a00", "0801", "1208", "0a03616263"} {
		b, _ := hex.DecodeString(bad)
		if p, err := parseUnsigned(b); err == nil {
			t.Errorf("%s: %v", bad, p)
		}
	}
}

// ask sends a request as py-libp2p does, and returns the answer.
func ask(t *testing.T, from *coretest.FakeNode, to peer.ID, m *message) *message {
	t.Helper()
	s, err := from.NewStream(t.Context(), to, ID)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := wire.WriteMessage(s, m.marshal()); err != nil {
		t.Fatal(err)
	}
	b, err := wire.ReadMessage(s, maxAnswer)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// identify has a node know what another one says of itself, as from now.
func identify(t *testing.T, n, other *coretest.FakeNode, addrs ...ma.Multiaddr) {
	t.Helper()
	env, err := record.SealPeerRecord(other, &record.PeerRecord{ID: other.ID(), Seq: uint64(time.Now().UnixNano()), Addrs: addrs})
	if err == nil {
		err = n.ConsumePeerRecord(env, other.ID(), core.ConnectedTTL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A peer without signed records registers, with what it has signed in identify: it
// is found by those who want signatures, and finds, without any.
func TestUnsigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 3)
		run(t, pythons{n[0]}, `{"server": {"unsigned": true}}`)
		there := ma.StringCast("/ip4/192.0.2.7/tcp/1")
		registration := &message{
			kind: register, namespace: new("x"), ttl: new(uint64(7200)),
			record: appendUnsigned(nil, peer.AddrInfo{ID: n[1].ID(), Addrs: []ma.Multiaddr{there}}),
		}
		if _, err := n[1].Connect(t.Context(), peer.AddrInfo{ID: n[0].ID()}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { // identify takes its time
			identify(t, n[0], n[1], there)
			n[0].Emit(core.Identified{Conn: n[0].ConnsTo(n[1].ID())[0]})
		})
		if a := ask(t, n[1], n[0].ID(), registration); a.status != ok || *a.ttl != 7200 {
			t.Fatalf("%+v", a)
		}
		a := ask(t, n[2], n[0].ID(), &message{kind: discover, namespace: new("x")})
		if len(a.found) != 1 {
			t.Fatalf("%+v", a)
		}
		if p, err := parseUnsigned(a.found[0].record); err != nil || p.ID != n[1].ID() || !p.Addrs[0].Equal(there) {
			t.Errorf("%v, %v", p, err)
		}
		// A point that is not told to has signatures only, though it takes all for py-libp2p.
		strict := load(t, `{"server": {}}`)
		if err := strict.Start(t.Context(), pythons{n[0]}); err != nil {
			t.Fatal(err)
		}
		defer strict.Close()
		if a := ask(t, n[1], n[0].ID(), registration); a.status != invalidRecord {
			t.Errorf("%+v", a)
		}
		a = ask(t, n[2], n[0].ID(), &message{kind: discover, namespace: new("x")})
		if len(a.found) != 1 {
			t.Fatalf("%+v", a)
		}
		if _, err := record.ConsumePeerRecord(a.found[0].record, n[1].ID()); err != nil {
			t.Error(err)
		}
	})
}

// Without a signature nobody registers somebody else, or is where he has not signed
// to be.
func TestEvil_A3_UnsignedRegistrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 4)
		r := run(t, n[0], `{"server": {"unsigned": true}}`)
		victim, there := ma.StringCast("/ip4/192.0.2.66/tcp/22"), ma.StringCast("/ip4/192.0.2.7/tcp/1")
		identify(t, n[0], n[1], there)
		identify(t, n[0], n[2], there)
		for name, tc := range map[string]struct {
			from   *coretest.FakeNode
			record peer.AddrInfo
		}{
			"another peer":          {n[1], peer.AddrInfo{ID: n[2].ID(), Addrs: []ma.Multiaddr{there}}},
			"another address":       {n[1], peer.AddrInfo{ID: n[1].ID(), Addrs: []ma.Multiaddr{victim}}},
			"no address":            {n[1], peer.AddrInfo{ID: n[1].ID()}},
			"nothing ever signed":   {n[3], peer.AddrInfo{ID: n[3].ID(), Addrs: []ma.Multiaddr{there}}},
			"nothing at all":        {n[1], peer.AddrInfo{}},
			"only one of them said": {n[3], peer.AddrInfo{ID: n[1].ID(), Addrs: []ma.Multiaddr{there, victim}}},
		} {
			m := &message{kind: register, namespace: new("x"), record: appendUnsigned(nil, tc.record)}
			if a := ask(t, tc.from, n[0].ID(), m); a.status != invalidRecord {
				t.Errorf("%s: %+v", name, a)
			}
		}
		// Some addresses too many do not get in either.
		m := &message{kind: register, namespace: new("x"), record: appendUnsigned(nil, peer.AddrInfo{ID: n[1].ID(), Addrs: []ma.Multiaddr{there, victim}})}
		if a := ask(t, n[1], n[0].ID(), m); a.status != ok {
			t.Fatalf("%+v", a)
		}
		a := ask(t, n[2], n[0].ID(), &message{kind: discover, namespace: new("x")})
		if p, err := record.ConsumePeerRecord(a.found[0].record, n[1].ID()); err != nil || len(p.Addrs) != 1 || !p.Addrs[0].Equal(there) {
			t.Errorf("%v, %v", p, err)
		}
		_ = r
	})
}

// servePython is a point as py-libp2p 0.8.1 is one: it reads and writes the form
// without signatures only.
func servePython(n *coretest.FakeNode) (remove func()) {
	var all []registration
	return n.Handle(ID, func(s core.Stream) error {
		b, err := wire.ReadMessage(s, maxRequest)
		if err != nil {
			return err
		}
		m, err := unmarshal(b)
		if err != nil {
			return err
		}
		answer := &message{kind: discoverResponse, found: all, text: "OK"}
		switch m.kind {
		case unregister:
			return nil
		case register:
			answer = &message{kind: registerResponse, ttl: m.ttl, text: "OK"}
			if p, err := parseUnsigned(m.record); err != nil || p.ID != s.Conn().RemotePeer() {
				answer = &message{kind: registerResponse, status: notAuthorized, text: "Peer can only register itself"}
			} else {
				all = append(all, registration{*m.namespace, m.record, *m.ttl})
			}
		}
		return wire.WriteMessage(s, answer.marshal())
	})
}

// Nodes that may, meet at a point without signatures; others do not.
func TestPointWithoutSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 4)
		defer servePython(n[0])()
		at := `{` + pointAt(n[0]) + `, "advertise": ["x"], "find": ["x"]`
		a := run(t, n[1], at+`, "unsigned": true}`)
		b := run(t, n[2], at+`, "unsigned": true, "legacy_records": true}`)
		strict := run(t, n[3], at+`}`)
		settle(10 * time.Minute)
		if len(found(a)) != 1 || !found(a)[n[2].ID()] || len(found(b)) != 1 || !found(b)[n[1].ID()] || len(found(strict)) != 0 {
			t.Errorf("%v, %v, %v", found(a), found(b), found(strict))
		}
	})
}

func FuzzUnsigned(f *testing.F) {
	f.Add(appendUnsigned(nil, peer.AddrInfo{ID: coretest.NewIdentity(1).ID(), Addrs: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/1")}}))
	f.Add([]byte{0x12, 0x02, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseUnsigned(b)
		if err != nil {
			return
		}
		again, err := parseUnsigned(appendUnsigned(nil, p))
		if err != nil || again.ID != p.ID || len(again.Addrs) != len(p.Addrs) || len(p.Addrs) > maxToldAddrs {
			t.Fatalf("%v, %v, %v", p, again, err)
		}
	})
}
