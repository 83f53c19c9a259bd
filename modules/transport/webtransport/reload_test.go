// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"testing"

	"github.com/xnode-p2p/xnode/core/coretest"

	ma "github.com/multiformats/go-multiaddr"
)

// A reload starts another instance on the port of the first, which closes then:
// connections live on, and addresses stay good.
func TestReload(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	nodes := coretest.FakeNodes(t, 2)
	client := start(t, nodes[0], `{}`)
	old := start(t, nodes[1], `{}`)
	first := serve(t, old, ma.StringCast(listenAddr))
	addr := first.Multiaddr()
	c, err := client.Dial(t.Context(), addr, nodes[1].ID(), coretest.NewMemory(-1))
	if err != nil {
		t.Fatal(err)
	}
	echoes(t, c)

	second := serve(t, start(t, nodes[1], `{"handshake_timeout": "5s"}`), first.addr)
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	if !second.Multiaddr().Equal(addr) {
		t.Errorf("the address is %s, before it was %s", second.Multiaddr(), addr)
	}
	echoes(t, c)
	second.canary(t, client)
	if n := len(second.admissions.List()); n != 1 {
		t.Errorf("the new instance was asked about %d connections, want 1", n)
	}
	second.Close() // and nobody listens any more
	echoes(t, c)
	c.Close()
}

// The same identity has the same address each time it starts.
func TestRestart(t *testing.T) {
	var addrs []ma.Multiaddr
	for range 2 {
		n := coretest.FakeNodes(t, 1)[0]
		tr := start(t, n, `{}`)
		s := serve(t, tr, ma.StringCast(listenAddr))
		addrs = append(addrs, s.Multiaddr()[4:]) // from the hashes on
		s.Close()
		tr.Close()
	}
	if len(addrs[0]) != 2 || !addrs[0].Equal(addrs[1]) {
		t.Errorf("%s, then %s", addrs[0], addrs[1])
	}
}

func TestListen(t *testing.T) {
	n := coretest.FakeNodes(t, 1)[0]
	tr := start(t, n, `{}`)
	admissions := new(coretest.Admissions)
	for _, a := range []string{listenAddr + hash1, "/ip4/127.0.0.1/udp/0/quic-v1/sni/example.com/webtransport", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		if l, err := tr.Listen(ma.StringCast(a), admissions.Admit); err == nil {
			l.Close()
			t.Errorf("listens on %s", a)
		}
	}
	if _, err := new(Transport).Listen(ma.StringCast(listenAddr), admissions.Admit); err == nil {
		t.Error("listens before it is started")
	}
	if _, err := new(Transport).Dial(t.Context(), ma.StringCast(listenAddr+hash1), n.ID(), coretest.NewMemory(-1)); err == nil {
		t.Error("dials before it is started")
	}
}
