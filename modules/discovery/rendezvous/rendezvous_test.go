// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous

import (
	"errors"
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

func load(t testing.TB, config string) *Rendezvous {
	t.Helper()
	return coretest.MustLoad[core.Discoverer](t, "rendezvous", config).(*Rendezvous)
}

func pointAt(n *coretest.FakeNode) string {
	return fmt.Sprintf(`"points": ["%s/p2p/%s"]`, n.ListenAddrs()[0], n.ID())
}

func TestLifecycle(t *testing.T) {
	for name, config := range map[string]string{
		"Server": `{"server": {}}`,
		"Client": `{"points": ["/memory/2/p2p/` + coretest.NewIdentity(2).ID().String() + `"], "advertise": ["a"], "find": ["a"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			coretest.TestLifecycle(t, func(t *testing.T) core.Service { return load(t, config) })
		})
	}
}

func TestConfig(t *testing.T) {
	at := `"points": ["/memory/2/p2p/` + coretest.NewIdentity(2).ID().String() + `"]`
	coretest.TestConfigs[core.Discoverer](t, "rendezvous", []coretest.Config{
		{Name: "server", JSON: `{"server": {}}`},
		{Name: "full server", JSON: `{"server": {"unsigned": true, "min_ttl": "1m", "max_ttl": "24h", "registrations": 10, "registrations_per_peer": 1000}}`},
		{Name: "client", JSON: `{` + at + `, "advertise": ["a"], "find": ["a", "b"], "ttl": "3h", "interval": "1m", "connect": 0, "legacy_records": true, "unsigned": true}`},
		{Name: "both", JSON: `{` + at + `, "server": {}}`},
		{Name: "neither", JSON: `{}`, WantErr: "neither a point nor one to use"},
		{Name: "nowhere to advertise", JSON: `{"server": {}, "advertise": ["a"]}`, WantErr: "points: there are none"},
		{Name: "point without address", JSON: `{"points": ["/p2p/` + coretest.NewIdentity(2).ID().String() + `"]}`, WantErr: "points/0"},
		{Name: "point without ID", JSON: `{"points": ["/memory/2"]}`, WantErr: "points/0"},
		{Name: "long ttl", JSON: `{` + at + `, "ttl": "73h"}`, WantErr: "ttl: 73h"},
		{Name: "interval", JSON: `{` + at + `, "interval": "1ms"}`, WantErr: "interval"},
		{Name: "connect", JSON: `{` + at + `, "connect": -1}`, WantErr: "connect: -1"},
		{Name: "empty namespace", JSON: `{` + at + `, "find": [""]}`, WantErr: "find/0"},
		{Name: "twice", JSON: `{` + at + `, "advertise": ["a", "a"]}`, WantErr: "advertise/1"},
		{Name: "max_ttl", JSON: `{"server": {"max_ttl": "100h"}}`, WantErr: "server/max_ttl"},
		{Name: "ttls", JSON: `{"server": {"min_ttl": "3h", "max_ttl": "2h"}}`, WantErr: "shorter than min_ttl"},
		{Name: "registrations", JSON: `{"server": {"registrations": -1}}`, WantErr: "server/registrations"},
		{Name: "per peer", JSON: `{"server": {"registrations_per_peer": 1001}}`, WantErr: "server/registrations_per_peer"},
	})
}

// run starts the module on a node. The test's end closes it.
func run(t testing.TB, n core.Node, config string) *Rendezvous {
	t.Helper()
	r := load(t, config)
	if err := r.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// found are those that a node has found.
func found(r *Rendezvous) map[peer.ID]bool {
	list := make(map[peer.ID]bool)
	for _, d := range r.Discovered() {
		list[d.Peer.ID] = true
	}
	return list
}

// Two that advertise, one that only looks, and one that is elsewhere.
func TestNodesMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 5)
		run(t, n[0], `{"server": {}}`)
		at := pointAt(n[0])
		a := run(t, n[1], `{`+at+`, "advertise": ["x"], "find": ["x"]}`)
		b := load(t, `{`+at+`, "advertise": ["x", "y"], "find": ["x"]}`)
		if err := b.Start(t.Context(), n[2]); err != nil {
			t.Fatal(err)
		}
		looker := run(t, n[3], `{`+at+`, "find": ["x"]}`)
		other := run(t, n[4], `{`+at+`, "find": ["z"]}`)
		settle(10 * time.Minute)
		if f := found(a); len(f) != 1 || !f[n[2].ID()] {
			t.Errorf("a: %v", f)
		}
		if f := found(b); len(f) != 1 || !f[n[1].ID()] {
			t.Errorf("b: %v", f)
		}
		if len(found(looker)) != 2 || len(found(other)) != 0 {
			t.Errorf("%v, %v", found(looker), found(other))
		}
		if len(n[1].ConnsTo(n[2].ID())) == 0 || len(n[3].ConnsTo(n[1].ID())) == 0 {
			t.Error("not connected")
		}
		settle(24 * time.Hour)
		if len(found(looker)) != 2 {
			t.Errorf("a day later: %v", found(looker))
		}
		if err := b.Close(); err != nil { // takes its registrations back
			t.Fatal(err)
		}
		synctest.Wait()
		var left []peer.ID
		for p, err := range looker.FindPeers(t.Context(), "x", 0) {
			if err != nil {
				t.Error(err)
			}
			left = append(left, p.ID)
		}
		if len(left) != 1 || left[0] != n[1].ID() {
			t.Errorf("left: %v", left)
		}
	})
}

func TestMeeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 4)
		run(t, n[0], `{"server": {}}`)
		for _, node := range n[1:] {
			node.SetModules(run(t, node, `{`+pointAt(n[0])+`}`))
		}
		for _, node := range n[1:3] {
			m, ok := core.Find[core.Meeting](node)
			if !ok {
				t.Fatal("no meeting")
			}
			if ttl, err := m.Advertise(t.Context(), "x", 0); err != nil || ttl != 2*time.Hour {
				t.Errorf("%v, %v", ttl, err)
			}
			if ttl, err := m.Advertise(t.Context(), "y", 10*time.Hour); err != nil || ttl != 10*time.Hour {
				t.Errorf("%v, %v", ttl, err)
			}
			no, _ := errors.AsType[*refusal](second(m.Advertise(t.Context(), "y", time.Minute)))
			if statusOf(no) != invalidTTL {
				t.Errorf("%v", no)
			}
		}
		m, _ := core.Find[core.Meeting](n[3])
		for count, want := range map[int]int{0: 2, 1: 1, 10: 2} {
			got := 0
			for p, err := range m.FindPeers(t.Context(), "x", count) {
				if err != nil || len(p.Addrs) != 1 {
					t.Errorf("%v, %v", p, err)
				}
				got++
			}
			if got != want {
				t.Errorf("%d of %d", got, want)
			}
		}
		for _, err := range m.FindPeers(t.Context(), "", 0) {
			if err == nil {
				t.Error("a namespace without a name")
			}
		}
	})
}

func second(_ time.Duration, err error) error { return err }

// A reload takes nothing back, and the point's successor knows all that was
// registered.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 3)
		point := load(t, `{"server": {}}`)
		if err := point.Start(t.Context(), n[0]); err != nil {
			t.Fatal(err)
		}
		at := pointAt(n[0])
		client := load(t, `{`+at+`, "advertise": ["x"]}`)
		if err := client.Start(t.Context(), n[1]); err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		run(t, n[0], `{"server": {"registrations": 1}}`)
		run(t, n[1], `{`+at+`, "advertise": ["x"], "connect": 1}`)
		settle(time.Second)
		if err := errors.Join(point.Close(), client.Close()); err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		looker := run(t, n[2], `{`+at+`, "find": ["x"]}`)
		settle(time.Second)
		if len(found(looker)) != 1 {
			t.Errorf("%v", found(looker))
		}
		no, _ := errors.AsType[*refusal](second(looker.Advertise(t.Context(), "x", 0)))
		if statusOf(no) != unavailable {
			t.Errorf("the new limit: %v", no)
		}
	})
}

// A point that reads legacy records only, and says so or says nothing, gets them.
func TestLegacyPoint(t *testing.T) {
	for name, refuse := range map[string]func(s core.Stream) error{
		"refuses": func(s core.Stream) error {
			return wire.WriteMessage(s, (&message{kind: registerResponse, status: invalidRecord}).marshal())
		},
		"hangs up": func(core.Stream) error { return errors.New("not a record") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := coretest.FakeNodes(t, 2)
				taken := 0
				defer n[0].Handle(ID, func(s core.Stream) error {
					b, err := wire.ReadMessage(s, maxRequest)
					if err != nil {
						return err
					}
					m, err := unmarshal(b)
					if err != nil {
						return err
					}
					if m.kind == unregister {
						return nil
					}
					e, err := record.Unmarshal(m.record)
					if err != nil {
						return err
					}
					if string(e.PayloadType) != "/libp2p/routing-state-record" {
						return refuse(s)
					}
					taken++
					return wire.WriteMessage(s, (&message{kind: registerResponse, ttl: new(uint64(7200))}).marshal())
				})()
				run(t, n[1], `{`+pointAt(n[0])+`, "advertise": ["x"]}`)
				settle(7 * time.Hour)
				if taken < 4 {
					t.Errorf("%d registrations in seven hours", taken)
				}
			})
		})
	}
}

// A point that lies: records of nobody, of others' namespaces, of the node
// itself; addresses of local networks; an endless list.
func TestEvil_R11_LyingPoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		honest := request(t, coretest.NewIdentity(7), "x", 0).record
		self := request(t, n[1].Identity, "x", 0).record
		forged := append([]byte(nil), honest...)
		forged[len(forged)-1] ^= 1
		asked := 0
		defer n[0].Handle(ID, func(s core.Stream) error {
			if _, err := wire.ReadMessage(s, maxRequest); err != nil {
				return err
			}
			asked++
			m := &message{kind: discoverResponse, cookie: []byte(fmt.Sprint("cookie no. ", asked))}
			for _, env := range [][]byte{nil, {1, 2}, forged, self, honest} {
				m.found = append(m.found, registration{"x", env, ^uint64(0)}, registration{"y", honest, 10})
			}
			for len(m.found) < maxRegistrations {
				m.found = append(m.found, registration{"x", honest, 10})
			}
			return wire.WriteMessage(s, m.marshal())
		})()
		r := run(t, n[1], `{`+pointAt(n[0])+`, "find": ["x"]}`)
		settle(time.Second)
		if f := found(r); len(f) != 1 || !f[coretest.NewIdentity(7).ID()] {
			t.Errorf("%v", f)
		}
		if asked > maxPages {
			t.Errorf("asked %d times in one search", asked)
		}
	})
}

// Streams that say nothing end, and so do those that say too much.
func TestEvil_R11_Streams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		run(t, n[1], `{"server": {}}`)
		open := func() core.Stream {
			s, err := n[0].NewStream(t.Context(), n[1].ID(), ID)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		begin := time.Now()
		silent := open()
		if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, core.ErrReset) || time.Since(begin) != maxSilence {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		large := open()
		large.Write(wire.AppendUvarint(nil, maxRequest+1))
		if _, err := large.Read(make([]byte, 1)); !errors.Is(err, core.ErrReset) {
			t.Error(err)
		}
		answers := open()
		wire.WriteMessage(answers, (&message{kind: registerResponse}).marshal())
		if _, err := answers.Read(make([]byte, 1)); !errors.Is(err, core.ErrReset) {
			t.Error(err)
		}
		many := open()
		var err error
		count := 0
		for ; err == nil; count++ {
			if err = wire.WriteMessage(many, (&message{kind: discover}).marshal()); err == nil {
				_, err = wire.ReadMessage(many, maxAnswer)
			}
		}
		if count-1 != maxRequests {
			t.Errorf("%d requests, %v", count-1, err)
		}
	})
}

// Addresses of local networks are believed of a point on one only.
func TestEvil_D2_LocalAddressesFromAPublicPoint(t *testing.T) {
	far := []string{"/ip4/8.8.8.8/tcp/1", "/dns4/example.org/tcp/1"}
	local := []string{
		"/ip4/10.0.0.1/tcp/22", "/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.1/tcp/80", "/ip4/169.254.169.254/tcp/80", "/ip6/::1/tcp/1", "/ip6/fe80::1/tcp/1",
		"/ip6/fd00::1/tcp/1", "/ip4/100.64.0.1/tcp/1", "/ip6/::ffff:10.0.0.1/tcp/1", "/dns4/localhost/tcp/1", "/dns4/printer.local/tcp/1", "/dns4/intranet/tcp/1",
	}
	var addrs []ma.Multiaddr
	for _, a := range append(far, local...) {
		addrs = append(addrs, ma.StringCast(a))
	}
	if got := usable(addrs, false); len(got) != len(far) {
		t.Errorf("from afar: %v", got)
	}
	if got := usable(addrs, true); len(got) != len(addrs) {
		t.Errorf("from nearby: %v", got)
	}
	n := coretest.FakeNodes(t, 2)
	c := newClient(n[0], peer.AddrInfo{ID: n[1].ID()}, false, false)
	if c.near() {
		t.Error("a point without a connection is near")
	}
	if _, err := n[0].Connect(t.Context(), c.point); err != nil || !c.near() {
		t.Errorf("a point in the same process is not near; %v", err)
	}
}
