// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
)

const testProtocol = "/test/kad/1.0.0"

// start runs the module on a node. "network": "test" is added to its settings.
func start(t testing.TB, n *coretest.FakeNode, settings string) *Kad {
	t.Helper()
	if settings != "" {
		settings = ", " + settings
	}
	k := load(t, `{"network": "test"`+settings+`}`)
	n.SetModules(newStorage(t, n), k)
	if err := k.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// client asks a server, with the bytes that a test makes.
type client struct {
	t testing.TB
	core.Stream
	r *kadwire.Reader
}

func dial(t testing.TB, from core.Streams, to peer.ID) *client {
	t.Helper()
	s, err := from.NewStream(t.Context(), to, testProtocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Reset(core.StreamNoError) })
	return &client{t, s, kadwire.NewReader(s)}
}

func (c *client) send(w *kadwire.Buffer) {
	c.t.Helper()
	if _, err := c.Write(w.Frame()); err != nil {
		c.t.Fatal(err)
	}
}

// receive returns the next answer.
func (c *client) receive() (*kadwire.Message, error) {
	b, err := c.r.Next()
	if err != nil {
		return nil, err
	}
	c.r.Keep()
	m := new(kadwire.Message)
	return m, m.Decode(b)
}

// ask sends a request and returns its answer.
func (c *client) ask(w *kadwire.Buffer) *kadwire.Message {
	c.t.Helper()
	c.send(w)
	m, err := c.receive()
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

func TestPing(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	start(t, n[1], "")
	c := dial(t, n[0], n[1].ID())
	for range 3 { // several on one stream
		if m := c.ask(kadwire.NewBuffer(kadwire.Ping, []byte("x"), 1)); m.Type != kadwire.Ping || string(m.Key) != "x" || m.Cluster != 1 {
			t.Errorf("got %+v", m)
		}
	}
}

func TestFindNode(t *testing.T) {
	n := coretest.FakeNodes(t, 6)
	a := start(t, n[0], "")
	for _, s := range n[1:4] {
		start(t, s, "")
		n[0].AddPeerAddrs(s.ID(), core.ConnectedTTL, s.Addrs()...)
		c, err := n[0].Connect(t.Context(), peer.AddrInfo{ID: s.ID()})
		if err != nil {
			t.Fatal(err)
		}
		n[0].Emit(core.Identified{Conn: c})
	}
	waitFor(t, func() bool { return a.dhts[0].contacts.size() == 3 })
	c := dial(t, n[4], n[0].ID())
	m := c.ask(kadwire.NewBuffer(kadwire.FindNode, []byte(n[2].ID()), 0))
	if len(m.Closer) != 3 || m.Closer[0].ID != n[2].ID() {
		t.Fatalf("got %+v", m.Closer)
	}
	for _, p := range m.Closer {
		addrs := 0
		for range p.Addrs() {
			addrs++
		}
		if addrs != 1 {
			t.Errorf("%v has %d addresses", p.ID, addrs)
		}
	}
	// The server itself and a peer that is no server are named if asked for.
	n[0].AddPeerAddrs(n[5].ID(), core.TempTTL, n[5].Addrs()...)
	for _, p := range []peer.ID{n[0].ID(), n[5].ID()} {
		m := c.ask(kadwire.NewBuffer(kadwire.FindNode, []byte(p), 0))
		if len(m.Closer) != 4 || m.Closer[0].ID != p {
			t.Errorf("%v: got %+v", p, m.Closer)
		}
	}
	// Who asks is not named unless asked for.
	m = dial(t, n[1], n[0].ID()).ask(kadwire.NewBuffer(kadwire.FindNode, []byte("anything"), 0))
	if len(m.Closer) != 2 {
		t.Errorf("a member is told of %+v", m.Closer)
	}
}
