// SPDX-License-Identifier: Apache-2.0 OR MIT

package mdns

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

// load makes the module as a configuration does, on a wire of its own.
func load(t *testing.T, config string) *MDNS {
	t.Helper()
	m := coretest.MustLoad[core.Discoverer](t, "mdns", config).(*MDNS)
	m.lan = newWire().host("192.168.1.1/24")
	return m
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service { return load(t, `{}`) })
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Discoverer](t, "mdns", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "all", JSON: `{"interfaces": ["eth0", "eth1"], "connect": 0}`},
		{Name: "negative", JSON: `{"connect": -1}`, WantErr: "connect: -1"},
		{Name: "many", JSON: `{"connect": 101}`, WantErr: "connect: 101"},
		{Name: "twice", JSON: `{"interfaces": ["eth0", "eth0"]}`, WantErr: "interfaces/1"},
		{Name: "nameless", JSON: `{"interfaces": [""]}`, WantErr: "interfaces/0"},
	})
}

// place starts the module on a node that is at an address of a wire.
func place(t *testing.T, n *coretest.FakeNode, h *hostOnWire, config string) *MDNS {
	t.Helper()
	m := load(t, config)
	m.lan = h
	withdraw := n.Announce(addrs(fmt.Sprintf("/ip4/%s/tcp/4001", h.prefix.Addr()), "/ip4/127.0.0.1/tcp/4001")...)
	if err := m.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		withdraw()
	})
	return m
}

func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func seen(m *MDNS) map[peer.ID]string {
	list := make(map[peer.ID]string)
	for _, d := range m.Discovered() {
		list[d.Peer.ID] = fmt.Sprint(d.Peer.Addrs)
	}
	return list
}

// Nodes of one network find each other, connect once, and notice who goes.
func TestNodesFindEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 5
		w, n := newWire(), coretest.FakeNodes(t, count)
		var all []*MDNS
		events := 0
		defer core.On(n[0], func(e core.PeerDiscovered) {
			if events++; e.Source != "mdns" {
				t.Errorf("%+v", e)
			}
		})()
		for i := range n {
			all = append(all, place(t, n[i], w.host(fmt.Sprintf("192.168.1.%d/24", i+1)), `{}`))
		}
		settle(5 * time.Second)
		for i, m := range all {
			got := seen(m)
			if len(got) != count-1 {
				t.Errorf("node %d has found %d", i, len(got))
			}
			for j := range n {
				if want := fmt.Sprintf("[/ip4/192.168.1.%d/tcp/4001]", j+1); j != i && got[n[j].ID()] != want {
					t.Errorf("node %d has found %d at %s", i, j, got[n[j].ID()])
				}
			}
			if len(n[i].Conns()) != count-1 {
				t.Errorf("node %d has %d connections", i, len(n[i].Conns()))
			}
		}
		if events != count-1 {
			t.Errorf("%d events", events)
		}
		if err := all[1].Close(); err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		if got := seen(all[0]); len(got) != count-2 || got[n[1].ID()] != "" {
			t.Errorf("after a goodbye: %v", got)
		}
		settle(3 * time.Hour)
		if len(seen(all[0])) != count-2 {
			t.Errorf("hours later: %v", seen(all[0]))
		}
	})
}

// A node that vanishes without a word is forgotten after some minutes.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := newWire(), coretest.FakeNodes(t, 2)
		a := place(t, n[0], w.host("192.168.1.1/24"), `{"connect": 0}`)
		h := w.host("192.168.1.2/24")
		place(t, n[1], h, `{"connect": 0}`)
		settle(time.Minute)
		h.move("")
		settle(3 * time.Minute)
		if len(seen(a)) != 1 || len(n[0].Conns()) != 0 {
			t.Errorf("%v, %d connections", seen(a), len(n[0].Conns()))
		}
		settle(7 * time.Minute)
		if len(seen(a)) != 0 {
			t.Errorf("%v", seen(a))
		}
	})
}

// A node that gets to another network is found there, and finds.
func TestNetworkChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := newWire(), coretest.FakeNodes(t, 2)
		a := place(t, n[0], w.host("192.168.1.1/24"), `{}`)
		h := w.host("10.0.0.2/8")
		b := place(t, n[1], h, `{}`)
		settle(10 * time.Minute)
		if len(seen(a))+len(seen(b)) != 0 {
			t.Errorf("%v and %v on different networks", seen(a), seen(b))
		}
		defer n[1].Announce(addrs("/ip4/192.168.1.2/tcp/4001")...)()
		h.move("192.168.1.2/24")
		n[1].Emit(core.NetworkChanged{})
		settle(5 * time.Second)
		if len(seen(a)) != 1 || len(seen(b)) != 1 {
			t.Errorf("%v, %v", seen(a), seen(b))
		}
	})
}

// A peer's new address is told at once.
func TestAddressChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := newWire(), coretest.FakeNodes(t, 2)
		a := place(t, n[0], w.host("192.168.1.1/24"), `{}`)
		place(t, n[1], w.host("192.168.1.2/24"), `{}`)
		settle(time.Minute)
		defer n[1].Announce(addrs("/ip4/192.168.1.2/udp/4001/quic-v1")...)()
		settle(3 * time.Second)
		if got := seen(a)[n[1].ID()]; got != "[/ip4/192.168.1.2/tcp/4001 /ip4/192.168.1.2/udp/4001/quic-v1]" {
			t.Error(got)
		}
	})
}

// network is a [core.PrivateNetwork] of which nothing but the name is asked.
type network struct {
	core.PrivateNetwork
	print string
}

func (n network) Fingerprint() string { return n.print }

// Members of a private network find each other and nobody else, and nobody else
// finds them.
func TestPrivateNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := newWire(), coretest.FakeNodes(t, 5)
		a, b := strings.Repeat("0a", 16), strings.Repeat("0b", 16)
		networks := []string{a, a, b, "", ""}
		var all []*MDNS
		for i, print := range networks {
			if print != "" {
				n[i].SetModules(network{print: print})
			}
			all = append(all, place(t, n[i], w.host(fmt.Sprintf("192.168.1.%d/24", i+1)), `{}`))
		}
		settle(10 * time.Minute)
		for i, m := range all {
			for j := range all {
				if found := seen(m)[n[j].ID()] != ""; found != (i != j && networks[i] == networks[j]) {
					t.Errorf("%d finds %d: %v", i, j, found)
				}
			}
		}
		if got := all[0].proto.names.service; got != "_p2p-"+a+"._udp.local." {
			t.Error(got)
		}
		for _, print := range []string{"", strings.Repeat("0", 60)} {
			n[0].SetModules(network{print: print})
			m := load(t, `{}`)
			if err := m.Start(t.Context(), n[0]); err == nil {
				t.Errorf("starts in a network with the fingerprint %q", print)
				m.Close()
			}
		}
	})
}

// Someone on the network forges a thousand peers, at his own address and at
// others: the node remembers a hundred, dials a few at a time and less and less
// often, and still finds an honest one.
func TestEvil_R10_ForgedPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := newWire(), coretest.FakeNodes(t, 2)
		evil := w.host("192.168.1.66/24")
		m := place(t, n[0], w.host("192.168.1.1/24"), `{}`)
		settle(time.Second)
		for i := range 1000 {
			p := coretest.NewIdentity(uint64(i + 10)).ID()
			name := fmt.Sprintf("p%d.%s", i, service0)
			forged := fmt.Sprintf("dnsaddr=/ip4/192.168.1.%d/tcp/%d/p2p/%s", i%250+2, i+1, p)
			evil.Send(packet{[]dnsmessage.Resource{ptr(name), txt(name, forged)}, nil}.pack(t), 2)
			if i%100 == 99 {
				settle(time.Second)
			}
		}
		if got := len(m.Discovered()); got != maxKnown {
			t.Errorf("%d remembered, want %d", got, maxKnown)
		}
		settle(time.Minute)
		honest := place(t, n[1], w.host("192.168.1.2/24"), `{}`)
		settle(5 * time.Minute)
		if seen(m)[n[1].ID()] == "" || len(n[0].ConnsTo(n[1].ID())) == 0 || seen(honest)[n[0].ID()] == "" {
			t.Error("an honest peer is not found")
		}
	})
}

// deaf is a lan without sockets.
type deaf struct{ *hostOnWire }

func (deaf) Open() ([]socket, error) { return nil, errors.New("no sockets here") }

func TestNoSockets(t *testing.T) {
	m := load(t, `{}`)
	m.lan = deaf{newWire().host("192.168.1.1/24")}
	if err := m.Start(t.Context(), coretest.FakeNodes(t, 1)[0]); err == nil || !strings.Contains(err.Error(), "udp/5353: no sockets here") {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// Two modules on the loopback interface of this machine, by its sockets.
func TestSystem(t *testing.T) {
	sockets, err := system{}.Open()
	if err == nil {
		err = closeAll(sockets)
	}
	if err != nil {
		t.Skipf("the port of multicast DNS cannot be opened here: %v", err)
	}
	n := coretest.FakeNodes(t, 2)
	found := make(chan string, 10)
	for i := range n {
		defer n[i].Announce(addrs(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 4001+i))...)()
		defer core.On(n[i], func(e core.PeerDiscovered) {
			if e.Peer.ID == n[1-i].ID() {
				found <- fmt.Sprint(i, " ", e.Peer.Addrs)
			}
		})()
		m := coretest.MustLoad[core.Discoverer](t, "mdns", `{"interfaces": ["lo"], "connect": 0}`)
		if err := m.Start(t.Context(), n[i]); err != nil {
			t.Fatal(err)
		}
		defer m.Close()
	}
	want := map[string]bool{"0 [/ip4/127.0.0.1/tcp/4002]": true, "1 [/ip4/127.0.0.1/tcp/4001]": true}
	for len(want) > 0 {
		f := <-found
		if !want[f] {
			t.Errorf("found %s", f)
		}
		delete(want, f)
	}
}
