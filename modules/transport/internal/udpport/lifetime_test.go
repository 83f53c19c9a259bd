// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

// TestConnectionsKeepTheSocket takes away the transports of both sides.
func TestConnectionsKeepTheSocket(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, client := newNode(t, 1), newNode(t, 2)
	p, from := mustJoin(t, n, loopback4), mustJoin(t, client, loopback4)
	l := listenOn(t, p, "libp2p", new(coretest.Admissions))
	c := dial(t, client, p.Addr(), "libp2p")
	s := accept(t, l)
	for range 3 { // whoever joins and leaves meanwhile
		mustJoin(t, n, p.Addr()).Release()
	}
	l.Close()
	for _, p := range []*Port{p, from} {
		if err := p.Release(); err != nil {
			t.Error(err)
		}
	}
	exchange(t, c, s)
	if again := mustJoin(t, n, p.Addr()); again.socket != p.socket {
		t.Error("the address has another socket now")
	} else {
		again.Release()
	}
	c.CloseWithError(0, "")
	client.waitUnused()
	n.waitUnused()
	mustJoin(t, newNode(t, 3), p.Addr()) // which is free
}

func TestDialWithoutPort(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, client := newNode(t, 1), newNode(t, 2)
	for _, at := range []netip.AddrPort{loopback4, loopback6} {
		if at == loopback6 && !hasIPv6() {
			continue
		}
		l := listenOn(t, mustJoin(t, n, at), "libp2p", new(coretest.Admissions))
		a := dial(t, client, l.socket.at, "libp2p")
		b := dial(t, client, l.socket.at, "libp2p")
		exchange(t, a, accept(t, l))
		exchange(t, b, accept(t, l))
		if pa, pb := addrPort(a.LocalAddr()).Port(), addrPort(b.LocalAddr()).Port(); pa != pb {
			t.Errorf("dialled from ports %d and %d", pa, pb)
		}
		a.CloseWithError(0, "")
		b.CloseWithError(0, "")
		client.waitUnused()
	}
}

// TestDialer dials several times from a port that nobody listens on.
func TestDialer(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, client := newNode(t, 1), newNode(t, 2)
	l := listenOn(t, mustJoin(t, n, loopback4), "libp2p", new(coretest.Admissions))
	d := NewDialer(client)
	from := func() uint16 {
		p, err := d.Join(l.socket.at, false)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		c, err := p.DialQUIC(t.Context(), l.socket.at, clientTLS("libp2p"), Settings{}, coretest.NewMemory(-1))
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, c, accept(t, l))
		Close(c, core.ConnNoError)
		return addrPort(c.LocalAddr()).Port()
	}
	if first, second := from(), from(); first != second {
		t.Errorf("dialled from ports %d and %d", first, second)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	client.waitUnused()
	from()
	client.waitUnused() // a closed dialer keeps nothing

	d = NewDialer(client)
	defer d.Close()
	d.linger = time.Millisecond
	from()
	client.waitUnused()
	from()
	client.waitUnused()

	own := mustJoin(t, client, loopback4)
	if port := from(); port != own.Addr().Port() || len(d.kept) > 0 {
		t.Errorf("dialled from port %d, want the open one, %d", port, own.Addr().Port())
	}
	own.Release()
	client.waitUnused()
}

// TestReload opens a second listener of a protocol beside the first.
func TestReload(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, client := newNode(t, 1), newNode(t, 2)
	p := mustJoin(t, n, loopback4)
	first := listenOn(t, p, "libp2p", new(coretest.Admissions))
	c1 := dial(t, client, p.Addr(), "libp2p")
	s1 := accept(t, first)

	q := mustJoin(t, n, p.Addr())
	second := listenOn(t, q, "libp2p", new(coretest.Admissions))
	c2 := dial(t, client, p.Addr(), "libp2p")
	s2 := accept(t, second)
	exchange(t, c2, s2)

	second.Close() // the reload has failed
	c3 := dial(t, client, p.Addr(), "libp2p")
	s3 := accept(t, first)
	exchange(t, c3, s3)

	third := listenOn(t, q, "libp2p", new(coretest.Admissions))
	first.Close()
	p.Release()
	c4 := dial(t, client, p.Addr(), "libp2p")
	exchange(t, c4, accept(t, third))
	exchange(t, c1, s1)
	exchange(t, s3, c3)
	if _, _, err := first.Accept(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v, want net.ErrClosed", err)
	}
}

// TestCloseListenerWithWaiting has connections that were never accepted.
func TestCloseListenerWithWaiting(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, client := newNode(t, 1), newNode(t, 2)
	p := mustJoin(t, n, loopback4)
	admissions := new(coretest.Admissions)
	l := listenOn(t, p, "libp2p", admissions)
	c := dial(t, client, p.Addr(), "libp2p")
	l.Close()
	l.Close()
	<-c.Context().Done()
	for i, a := range admissions.List() {
		a.WaitEnded(t, i)
	}
	p.Release()
	client.waitUnused()
	n.waitUnused()
}

func TestAcceptEndsWithContext(t *testing.T) {
	l := listenOn(t, mustJoin(t, newNode(t, 1), loopback4), "libp2p", new(coretest.Admissions))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.Accept(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("accept: %v", err)
	}
}

// TestRestartResetsConnections ends a node without a word, and starts it again.
func TestRestartResetsConnections(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, client := newNode(t, 1), newNode(t, 2)
	p := mustJoin(t, n, loopback4)
	l := listenOn(t, p, "libp2p", new(coretest.Admissions))
	c := dial(t, client, p.Addr(), "libp2p")
	exchange(t, c, accept(t, l))

	p.socket.quic.Close() // which tells nobody
	l.Close()
	p.Release()
	n.waitUnused()
	mustJoin(t, newNode(t, 1), p.Addr())
	s, err := c.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(make([]byte, 500)); err != nil {
		t.Fatal(err)
	}
	<-c.Context().Done()
	if _, ok := errors.AsType[*quic.StatelessResetError](context.Cause(c.Context())); !ok {
		t.Errorf("the connection ended with %v, want a stateless reset", context.Cause(c.Context()))
	}
}

func TestResetKey(t *testing.T) {
	key := func(id core.Identity, at netip.AddrPort) quic.StatelessResetKey {
		secret, err := newResetSecret(id)
		if err != nil {
			t.Fatal(err)
		}
		return secret.key(at)
	}
	one, two := coretest.NewIdentity(1), coretest.NewIdentity(2)
	at := netip.MustParseAddrPort("192.0.2.1:4001")
	if first, again := key(one, at), key(one, at); first != again {
		t.Error("another key after a restart")
	}
	if key(one, at) == key(two, at) || key(one, at) == key(one, netip.MustParseAddrPort("192.0.2.1:4002")) {
		t.Error("two identities or two ports have the same key")
	}
	random := coretest.GenerateIdentity(t, peer.ECDSA)
	if first, again := key(random, at), key(random, at); first == again {
		t.Error("the key follows from a signature that is random")
	}
}

// TestWindowsComeFromMemory moves more than any window holds.
func TestWindowsComeFromMemory(t *testing.T) {
	const size = 8 << 20
	for name, limit := range map[string]int{"unlimited": -1, "none": 0} {
		t.Run(name, func(t *testing.T) {
			coretest.VerifyNoLeaks(t)
			n, client := newNode(t, 1), newNode(t, 2)
			p := mustJoin(t, n, loopback4)
			l := listenOn(t, p, "libp2p", new(coretest.Admissions))
			from, err := JoinFor(client, p.Addr())
			if err != nil {
				t.Fatal(err)
			}
			memory := coretest.NewMemory(limit)
			c, err := from.DialQUIC(t.Context(), p.Addr(), clientTLS("libp2p"), Settings{}, memory)
			from.Release()
			if err != nil {
				t.Fatal(err)
			}
			s := accept(t, l)
			var wg sync.WaitGroup
			wg.Go(func() {
				w, err := s.OpenStreamSync(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				w.Write(make([]byte, size))
				w.Close()
			})
			r, err := c.AcceptStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.Copy(io.Discard, r); got != size || err != nil {
				t.Errorf("%d of %d bytes arrived, %v", got, size, err)
			}
			wg.Wait()
			if peak := memory.Peak(); peak > maxConnectionWindow {
				t.Errorf("the window grew by %d bytes", peak)
			}
			c.CloseWithError(0, "")
			client.waitUnused() // by when it has been given back
			memory.Check(t)
		})
	}
}

func TestAccount(t *testing.T) {
	memory := coretest.NewMemory(8 << 20) // of which windows may have half
	a := &account{memory: memory}
	if !a.grow(1<<20) || !a.grow(3<<20) || a.grow(1) {
		t.Errorf("%d bytes are taken, want half of the limit", memory.Reserved())
	}
	a.close()
	a.close()
	memory.Check(t)
}
