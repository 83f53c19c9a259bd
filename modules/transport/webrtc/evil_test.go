// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// echo fails unless a stream from one end of a connection reaches the other.
func echo(t *testing.T, from, to core.Session) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		st, err := to.AcceptStream()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(st, st)
		_ = st.Close()
	})
	defer wg.Wait()
	st, err := from.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(st, "hello"); err != nil {
		t.Error(err)
	}
	_ = st.CloseWrite()
	if got, err := io.ReadAll(st); err != nil || string(got) != "hello" {
		t.Errorf("the echo is %q, %v", got, err)
	}
	_ = st.Close()
}

// honest fails unless a connection can be had.
func (p *pair) honest(t *testing.T) {
	t.Helper()
	client, server := p.connect(t)
	echo(t, client, server)
}

// Whoever shows another certificate than the one that was signalled is nobody.
func TestEvil_A10_OtherCertificate(t *testing.T) {
	for _, side := range []string{"dialer", "server"} {
		t.Run(side, func(t *testing.T) {
			coretest.VerifyNoLeaks(t)
			p := newPair(t, `{"handshake_timeout": "5s"}`)
			other, err := newCertificate()
			if err != nil {
				t.Fatal(err)
			}
			liar := map[string]*node{"dialer": p.dialer, "server": p.server}[side].transport
			own := liar.certificate
			other.fingerprint = own.fingerprint
			liar.certificate = other
			var wg sync.WaitGroup
			wg.Go(func() {
				if c, _, err := p.listener.Accept(); err == nil {
					t.Errorf("accepted %s", c.RemotePeer())
					c.Close()
				}
			})
			c, err := p.dial(t.Context())
			if err == nil {
				if side == "server" {
					t.Error("connected to a liar")
				}
				<-c.Done() // the server's refusal came when the dialer's handshake was done
				c.Close()
			} else if side == "server" && !errors.Is(err, errWrongCertificate) {
				t.Errorf("%v, want %v", err, errWrongCertificate)
			}
			for i, a := range p.admissions.List() {
				if side == "dialer" {
					a.WaitEnded(t, i)
				}
			}
			p.listener.Close()
			wg.Wait()
		})
	}
}

// stall opens a signalling stream and says what it is told to, or nothing.
func (p *pair) stall(t *testing.T, say ...message) core.Stream {
	t.Helper()
	s, err := p.dialer.NewStream(t.Context(), p.server.ID(), SignallingID)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range say {
		if err := writeMessage(s, m); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Those who begin and do not go on take places, and give them back in time.
func TestEvil_Q9_Stalled(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	p := newPair(t, `{"handshake_timeout": "1s", "max_handshakes": 1}`)
	offer := testExchange(true)
	actions := offer.step(begun{})
	for _, messages := range [][]message{nil, {actions[0].(say).message}} {
		before := len(p.admissions.List())
		s := p.stall(t, messages...)
		for len(p.admissions.List()) == before {
			time.Sleep(time.Millisecond)
		}
		if c, err := p.dial(t.Context()); err == nil {
			c.Close()
			t.Error("there was a place for a second one")
		}
		p.admissions.List()[before].WaitEnded(t, before)
		_, _ = io.Copy(io.Discard, s) // until it is reset
		s.Reset(core.StreamNoError)
		p.honest(t)
	}
}

// What is no offer ends the stream at once, with everything that it took.
func TestEvil_B2_BadOffers(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	p := newPair(t, `{"handshake_timeout": "5m"}`)
	for _, m := range []message{
		{sdpAnswer, theirs(false, active)}, {sdpOffer, ""}, {sdpOffer, strings.Repeat("a=x\r\n", 3000)},
		{iceCandidate, "null"}, {sdpOffer, theirs(false, "none")},
	} {
		s := p.stall(t, m)
		if _, err := io.ReadAll(s); err == nil {
			t.Errorf("%s %.40q is answered", m.kind, m.data)
		}
		s.Reset(core.StreamNoError)
	}
	for i, a := range p.admissions.List() {
		a.WaitEnded(t, i)
	}
	p.honest(t)
}

// The addresses that one connection hears of are bounded.
func TestEvil_Q9_ManyAddresses(t *testing.T) {
	s, err := newSockets()
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for i := range 10_000 {
		if s.knows(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), uint16(i))) {
			known++
		}
	}
	if known != maxAddresses || len(s.seen) != maxAddresses || !s.knows(netip.MustParseAddrPort("192.0.2.0:0")) {
		t.Errorf("%d are known", known)
	}
}

func TestRefusedAtOnce(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	p := newPair(t, `{"handshake_timeout": "5m"}`)
	p.admissions.Refuse(&core.LimitError{Scope: "test"})
	if c, err := p.dial(t.Context()); err == nil {
		c.Close()
		t.Error("not refused")
	}
	p.admissions.Refuse(nil)
	p.honest(t)
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	p := newPair(t, `{"handshake_timeout": "5m"}`)
	s := p.stall(t)
	defer s.Reset(core.StreamNoError)
	p.listener.Close()
	if slices.Contains(p.server.Protocols(), SignallingID) {
		t.Error("still served")
	}
	if _, _, err := p.listener.Accept(); err == nil {
		t.Error("accepts")
	}
}

func TestDialErrors(t *testing.T) {
	p := newPair(t, `{}`)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.dial(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := p.dial(core.DialAs(t.Context(), coretest.NewIdentity(77))); !errors.Is(err, errAlias) {
		t.Errorf("%v, want %v", err, errAlias)
	}
	if _, err := p.dialer.transport.Dial(t.Context(), suffix, p.server.ID(), coretest.NewMemory(-1)); !errors.Is(err, errRelay) {
		t.Errorf("%v, want %v", err, errRelay)
	}
	if _, err := p.dialer.transport.Dial(t.Context(), through, p.server.ID(), coretest.NewMemory(1000)); err == nil {
		t.Error("connected without memory")
	}
}

func TestMemoryIsGivenBack(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	p := newPair(t, `{}`)
	memory := coretest.NewMemory(-1)
	var server core.MuxedConn
	var wg sync.WaitGroup
	wg.Go(func() { server, _, _ = p.listener.Accept() })
	client, err := p.dialer.transport.Dial(t.Context(), through, p.server.ID(), memory)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	echo(t, client, server)
	if memory.Reserved() < int(p.dialer.transport.ReceiveBuffer) {
		t.Errorf("a connection takes %d bytes", memory.Reserved())
	}
	client.Close()
	<-server.Done() // it is told
	server.Close()
	memory.Check(t)
}

// A new instance takes over; connections of the old one live on.
func TestReload(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	p := newPair(t, `{}`)
	client, server := p.connect(t)
	second := coretest.MustLoad[core.Transport](t, "webrtc", `{"max_handshakes": 5}`).(*Transport)
	if err := second.Start(t.Context(), p.server.FakeNode); err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	l, err := second.listen(suffix, p.admissions.Admit)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p.listener.Close()
	p.server.transport.Close()
	echo(t, client, server)
	p.listener = l
	p.honest(t)
}
