// SPDX-License-Identifier: Apache-2.0 OR MIT

package quic

import (
	"errors"
	"net"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// TestReload replaces the transport by one with another configuration, as a node
// does: the new one starts and listens before the old one closes.
func TestReload(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, remote := newNode(t, 1), newNode(t, 2)
	client := start(t, remote, `{}`)
	old := start(t, n, `{}`)
	var admissions coretest.Admissions
	before := listen(t, old, loopback4, &admissions)
	c1, s1 := connect(t, client, before, n)

	young := start(t, n, `{"max_incoming_streams": 2}`)
	after := listen(t, young, before.Multiaddr(), &admissions)
	if err := before.Close(); err != nil {
		t.Error(err)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	c2, s2 := connect(t, client, after, n)
	exchange(t, c1, s1)
	exchange(t, s1, c1)
	exchange(t, c2, s2)
	for i, a := range admissions.List() {
		if a.Ended() {
			t.Errorf("admission %d has ended", i)
		}
	}
	if _, err := old.Dial(t.Context(), after.Multiaddr(), remote.ID(), coretest.NewMemory(-1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial of a closed transport: %v, want net.ErrClosed", err)
	}
	if _, err := old.Listen(loopback4, admissions.Admit); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listen of a closed transport: %v, want net.ErrClosed", err)
	}
}

// TestRemovedTransport leaves connections to their end.
func TestRemovedTransport(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, remote := newNode(t, 1), newNode(t, 2)
	client, server := start(t, remote, `{}`), start(t, n, `{}`)
	var admissions coretest.Admissions
	l := listen(t, server, loopback4, &admissions)
	c, s := connect(t, client, l, n)
	l.Close()
	server.Close()
	client.Close()
	exchange(t, c, s)
	exchange(t, s, c)
}

// TestDialsFromTheListenPort dials out of the port that peers dial in on.
func TestDialsFromTheListenPort(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, remote := newNode(t, 1), newNode(t, 2)
	a, b := start(t, n, `{}`), start(t, remote, `{}`)
	var admissions coretest.Admissions
	la, lb := listen(t, a, loopback4, &admissions), listen(t, b, loopback4, &admissions)
	_, s := connect(t, a, lb, remote)
	if !s.RemoteMultiaddr().Equal(la.Multiaddr()) {
		t.Errorf("dialled from %s, listens on %s", s.RemoteMultiaddr(), la.Multiaddr())
	}
	c, s := connect(t, b, la, n) // at the same time, the other way
	exchange(t, c, s)
	if !s.RemoteMultiaddr().Equal(lb.Multiaddr()) {
		t.Errorf("dialled from %s, listens on %s", s.RemoteMultiaddr(), lb.Multiaddr())
	}
}

// TestAdmissionBelongsToTheNode ends a connection that was accepted.
func TestAdmissionBelongsToTheNode(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	v := newVictim(t, `{}`)
	client, server := v.connect(t)
	exchange(t, client, server)
	server.Close()
	if v.admissions.List()[0].Ended() {
		t.Error("the transport has ended the admission")
	}
}

// TestPortIsFreeAfterClose binds the port of a transport whose connections and
// listener were closed.
func TestPortIsFreeAfterClose(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, remote := newNode(t, 1), newNode(t, 2)
	client, server := start(t, remote, `{}`), start(t, n, `{}`)
	var admissions coretest.Admissions
	at := loopback4
	for range 10 {
		l := listen(t, server, at, &admissions)
		at = l.Multiaddr()
		var conns []core.MuxedConn
		for range 3 {
			c, s := connect(t, client, l, n)
			conns = append(conns, c, s)
		}
		l.Close()
		for _, c := range conns {
			c.Close()
		}
		listen(t, start(t, newNode(t, 3), `{}`), at, &admissions).Close()
	}
}

func TestDialWithoutPeer(t *testing.T) {
	v := newVictim(t, `{}`)
	if c, err := v.Dial(t.Context(), v.listener.Multiaddr(), "", coretest.NewMemory(-1)); err == nil {
		c.Close()
		t.Error("dialled nobody")
	}
}

func TestDialRefused(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	v := newVictim(t, `{}`)
	v.admissions.Refuse(core.ErrGated)
	c, err := start(t, newNode(t, 2), `{}`).Dial(t.Context(), v.listener.Multiaddr(), v.node.ID(), coretest.NewMemory(-1))
	if err == nil {
		c.Close()
	}
	if err == nil || err.Error() != "refused by the remote" {
		t.Errorf("dial: %v", err)
	}
}
