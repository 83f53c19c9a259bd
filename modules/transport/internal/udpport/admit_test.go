// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// wantCode fails the test unless err is a transport error with a code that the
// remote sent.
func wantCode(t *testing.T, err error, code quic.TransportErrorCode) {
	t.Helper()
	e, ok := errors.AsType[*quic.TransportError](err)
	if !ok || !e.Remote || e.ErrorCode != code {
		t.Errorf("dial: %v, want %v of the remote", err, code)
	}
}

func TestRefusedByAdmit(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, client := newNode(t, 1), newNode(t, 2)
	p := mustJoin(t, n, loopback4)
	admissions := new(coretest.Admissions)
	l := listenOn(t, p, "libp2p", admissions)
	admissions.Refuse(&core.LimitError{Scope: "test"})
	_, err := tryDial(t.Context(), client, p.Addr(), "libp2p")
	wantCode(t, err, quic.ConnectionRefused)
	admissions.Refuse(nil)
	exchange(t, dial(t, client, p.Addr(), "libp2p"), accept(t, l))
	a := admissions.List()[0].Remote
	if at, rest, err := Endpoint(a); err != nil || at.Addr() != loopback4.Addr() || !rest.Equal(quicV1) {
		t.Errorf("admitted %s", a)
	}
}

func TestInboundWindowsComeFromTheAdmission(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, client := newNode(t, 1), newNode(t, 2)
	p := mustJoin(t, n, loopback4)
	admissions := new(coretest.Admissions)
	l := listenOn(t, p, "libp2p", admissions)
	c := dial(t, client, p.Addr(), "libp2p")
	s := accept(t, l)
	memory := admissions.List()[0].Memory
	if grow := p.socket.config.AllowConnectionWindowIncrease; !grow(s, 1000) || memory.Reserved() != 1000 {
		t.Errorf("%d bytes are taken from the admission", memory.Reserved())
	}
	Close(s, core.ConnNoError)
	memory.Check(t)
	Close(c, core.ConnNoError)
}

// TestNobodyListens dials a socket that is open for other reasons.
func TestNobodyListens(t *testing.T) {
	n, client := newNode(t, 1), newNode(t, 2)
	p := mustJoin(t, n, loopback4)
	listenOn(t, p, "libp2p", new(coretest.Admissions)).Close()
	_, err := tryDial(t.Context(), client, p.Addr(), "libp2p")
	wantCode(t, err, quic.ConnectionRefused)
}

// TestEvil_A13_UnknownProtocol offers protocols that nobody listens for.
func TestEvil_A13_UnknownProtocol(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	const noApplicationProtocol = 0x100 + 120
	n, client := newNode(t, 1), newNode(t, 2)
	p := mustJoin(t, n, loopback4)
	admissions := new(coretest.Admissions)
	l := listenOn(t, p, "libp2p", admissions)
	for _, alpn := range [][]string{{"h3"}, {"libp2p2", "/noise"}, nil} {
		c, err := tryDial(t.Context(), client, p.Addr(), alpn...)
		if err == nil {
			c.CloseWithError(0, "")
			t.Errorf("%q: connected", alpn)
		} else if alpn != nil {
			wantCode(t, err, noApplicationProtocol)
		}
	}
	for i, a := range admissions.List() {
		a.WaitEnded(t, i)
	}
	exchange(t, dial(t, client, p.Addr(), "h3", "libp2p"), accept(t, l))
}

// TestListenerLimit has connections that nobody accepts.
func TestListenerLimit(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, client := newNode(t, 1), newNode(t, 2)
	p := mustJoin(t, n, loopback4)
	l := listenOn(t, p, "libp2p", new(coretest.Admissions))
	for range cap(l.waiting) {
		l.waiting <- nil // as if it were a connection
	}
	c := dial(t, client, p.Addr(), "libp2p")
	<-c.Context().Done()
	for range cap(l.waiting) {
		<-l.waiting
	}
	exchange(t, dial(t, client, p.Addr(), "libp2p"), accept(t, l))
}

func TestCrowd(t *testing.T) {
	addr := netip.MustParseAddr
	var c crowd
	a, near, far := addr("2001:db8:1:100::1"), addr("2001:db8:1:1ff::2"), addr("2001:db8:2::1")
	for range maxUnprovenBySource {
		if c.mustProve(a) {
			t.Fatal("the first ones have to prove their address")
		}
		c.enter(a, false)
	}
	if !c.mustProve(a) || !c.mustProve(near) || c.mustProve(far) {
		t.Error("a source is not a /56")
	}
	c.enter(a, true)
	for i := range maxUnproven - maxUnprovenBySource {
		c.enter(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), false)
	}
	if !c.mustProve(far) || len(c.sources) > maxUnproven {
		t.Errorf("%d handshakes are unproven, of %d sources", c.unproven, len(c.sources))
	}
	for !c.full() {
		c.enter(far, true)
	}
	for range maxUnprovenBySource {
		c.leave(near, false)
	}
	if c.full() || c.mustProve(a) || c.all != maxHandshakes-maxUnprovenBySource {
		t.Errorf("%+v", c)
	}
}

func TestSettings(t *testing.T) {
	got := Settings{IdleTimeout: 1, MaxIncomingStreams: 1000}.withDefaults().or(Settings{Keepalive: 7}.withDefaults())
	want := Settings{DefaultIdleTimeout, DefaultKeepalive, DefaultHandshakeTimeout, 1000}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
