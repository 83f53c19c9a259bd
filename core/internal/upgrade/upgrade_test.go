// SPDX-License-Identifier: Apache-2.0 OR MIT

package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
)

// security changes how another one works.
type security struct {
	core.SecureChannel
	name   string
	secure func(core.SecureChannel, context.Context, net.Conn, core.Handshake) (core.SecureConn, error)
}

func (s *security) Protocol() string {
	if s.name != "" {
		return s.name
	}
	return s.SecureChannel.Protocol()
}

func (s *security) Secure(ctx context.Context, c net.Conn, h core.Handshake) (core.SecureConn, error) {
	if s.secure == nil {
		return s.SecureChannel.Secure(ctx, c, h)
	}
	return s.secure(s.SecureChannel, ctx, c, h)
}

// muxer gives another one a name, or panics.
type muxer struct {
	core.Muxer
	name  string
	panic bool
}

func (m *muxer) Protocol() string { return m.name }

func (m *muxer) Mux(c net.Conn, initiator bool, memory core.ConnMemory) (core.Session, error) {
	if m.panic {
		panic("in a muxer")
	}
	return m.Muxer.Mux(c, initiator, memory)
}

// side is one side of an upgrade.
type side struct {
	id         *coretest.Identity
	network    core.PrivateNetwork
	securities []core.SecureChannel
	muxers     []core.Muxer
	request    Request
	ctx        context.Context

	conn *Conn
	err  error
}

func newSide(t testing.TB, seed uint64, initiator bool) *side {
	return &side{
		id:         coretest.NewIdentity(seed),
		securities: []core.SecureChannel{coretest.MustLoad[core.Security](t, "noise", "{}").(core.SecureChannel)},
		muxers:     []core.Muxer{coretest.MustLoad[core.Muxer](t, "yamux", "{}")},
		request:    Request{Initiator: initiator, Memory: coretest.NewMemory(-1)},
		ctx:        t.Context(),
	}
}

func (s *side) upgrade(raw *memnet.Conn) {
	u := New(s.id)
	var securities []core.Security
	if s.network != nil {
		securities = append(securities, s.network)
	}
	for _, c := range s.securities {
		securities = append(securities, c)
	}
	u.Set(securities, s.muxers)
	s.conn, s.err = u.Upgrade(s.ctx, raw, s.request)
}

// meet upgrades both ends of a connection.
func meet(t testing.TB, a, b *side) {
	t.Helper()
	x, y := memnet.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { a.upgrade(x) })
	wg.Go(func() { b.upgrade(y) })
	wg.Wait()
	for _, s := range []*side{a, b} {
		if s.conn != nil {
			t.Cleanup(func() { s.conn.Close() })
		} else if s.err == nil {
			t.Error("neither a connection nor an error")
		}
	}
	if a.err != nil {
		if _, err := y.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is open after a failed upgrade")
		}
	}
}

// unaware does as a security that does not negotiate muxers.
func unaware(s core.SecureChannel, ctx context.Context, c net.Conn, h core.Handshake) (core.SecureConn, error) {
	h.Muxers = nil
	return s.Secure(ctx, c, h)
}

func TestUpgrade(t *testing.T) {
	for name, change := range map[string]func(a, b *side){
		"muxer within the handshake": func(a, b *side) {},
		"muxer negotiated": func(a, b *side) {
			a.securities[0] = &security{SecureChannel: a.securities[0], secure: unaware}
		},
		"second choice": func(a, b *side) {
			b.muxers = append(b.muxers, &muxer{Muxer: b.muxers[0], name: "/other"})
			a.muxers = append([]core.Muxer{&muxer{Muxer: a.muxers[0], name: "/unknown"}}, a.muxers...)
		},
		"second choice, negotiated": func(a, b *side) {
			a.securities[0] = &security{SecureChannel: a.securities[0], secure: unaware}
			a.securities = append([]core.SecureChannel{&security{SecureChannel: a.securities[0], name: "/unknown"}}, a.securities...)
			a.muxers = append([]core.Muxer{&muxer{Muxer: a.muxers[0], name: "/unknown"}}, a.muxers...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			coretest.VerifyNoLeaks(t)
			a, b := newSide(t, 1, true), newSide(t, 2, false)
			var steps []string
			a.request.Step = func(name string) func(string) {
				return func(detail string) { steps = append(steps, name+" "+detail) }
			}
			a.request.Expect = b.id.ID()
			change(a, b)
			meet(t, a, b)
			if err := errors.Join(a.err, b.err); err != nil {
				t.Fatal(err)
			}
			for _, s := range []struct{ here, there *side }{{a, b}, {b, a}} {
				c := s.here.conn
				if c.RemotePeer() != s.there.id.ID() || !c.RemotePeer().Matches(c.RemotePublicKey()) ||
					c.Security != "/noise" || c.MuxerProtocol != "/yamux/1.0.0" {
					t.Errorf("connection to %s, %s, %s", c.RemotePeer(), c.Security, c.MuxerProtocol)
				}
			}
			if len(steps) < 2 || !slices.Contains(steps, "handshake /noise") || !slices.Contains(steps, "negotiate security /noise") {
				t.Errorf("steps %q", steps)
			}
			st, err := a.conn.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			st.Write([]byte("hello"))
			st.CloseWrite()
			got, err := b.conn.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(got); string(text) != "hello" || err != nil {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
}

// TestKnownSecurity: what the other side is known to take is proposed alone, and
// costs no round trip; what is not offered here stands for nothing.
func TestKnownSecurity(t *testing.T) {
	for _, c := range []struct {
		known, want string
		trips       int // of a message there and back
	}{
		{"", "/first", 2},
		{"/first", "/first", 1},
		{"/noise", "/noise", 1},
		{"/of yesterday", "/first", 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			const delay = 10 * time.Millisecond
			network := memnet.New(memnet.Options{Delay: delay})
			l, err := network.Listen(ma.StringCast("/memory/1"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			a, b := newSide(t, 1, true), newSide(t, 2, false)
			for _, s := range []*side{a, b} {
				s.securities = append([]core.SecureChannel{&security{SecureChannel: s.securities[0], name: "/first"}}, s.securities...)
			}
			a.request.Security = c.known
			x, err := network.Dial(t.Context(), l.Multiaddr())
			if err != nil {
				t.Fatal(err)
			}
			y, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			var wg sync.WaitGroup
			wg.Go(func() { b.upgrade(y.(*memnet.Conn)) })
			a.upgrade(x.(*memnet.Conn))
			if took := time.Since(begun); took != time.Duration(c.trips)*2*delay {
				t.Errorf("known %q: took %v", c.known, took)
			}
			wg.Wait()
			if err := errors.Join(a.err, b.err); err != nil {
				t.Fatal(err)
			}
			if a.conn.Security != c.want || b.conn.Security != c.want {
				t.Errorf("known %q: %s and %s", c.known, a.conn.Security, b.conn.Security)
			}
			a.conn.Close()
			b.conn.Close()
		})
	}
}

func TestUpgradeFails(t *testing.T) {
	refused := func(err error) bool { return errors.As(err, new(*core.ProtocolError)) }
	mismatch := func(err error) bool { return errors.As(err, new(*core.PeerMismatchError)) }
	panicked := func(err error) bool { return errors.As(err, new(*PanicError)) }
	for name, tc := range map[string]struct {
		change func(a, b *side)
		want   func(error) bool
	}{
		"no common security": {func(a, b *side) { b.securities[0] = &security{SecureChannel: b.securities[0], name: "/other"} }, refused},
		"no common muxer":    {func(a, b *side) { b.muxers[0] = &muxer{Muxer: b.muxers[0], name: "/other"} }, refused},
		"no common muxer, negotiated": {func(a, b *side) {
			a.securities[0] = &security{SecureChannel: a.securities[0], secure: unaware}
			b.muxers[0] = &muxer{Muxer: b.muxers[0], name: "/other"}
		}, refused},
		"no security": {func(a, b *side) { a.securities = nil }, nil},
		"wrong peer":  {func(a, b *side) { a.request.Expect = a.id.ID() }, mismatch},
		"wrong peer that the security lets through": {func(a, b *side) {
			a.request.Expect = a.id.ID()
			a.securities[0] = &security{SecureChannel: a.securities[0], secure: func(s core.SecureChannel, ctx context.Context, c net.Conn, h core.Handshake) (core.SecureConn, error) {
				h.Expect = ""
				return s.Secure(ctx, c, h)
			}}
		}, mismatch},
		"panic of a security": {func(a, b *side) {
			a.securities[0] = &security{SecureChannel: a.securities[0], secure: func(core.SecureChannel, context.Context, net.Conn, core.Handshake) (core.SecureConn, error) {
				panic("in a security")
			}}
		}, panicked},
		"panic of a muxer": {func(a, b *side) { a.muxers[0] = &muxer{Muxer: a.muxers[0], name: "/yamux/1.0.0", panic: true} }, panicked},
	} {
		t.Run("TestEvil_X10_"+name, func(t *testing.T) {
			coretest.VerifyNoLeaks(t)
			a, b := newSide(t, 1, true), newSide(t, 2, false)
			tc.change(a, b)
			meet(t, a, b)
			if a.err == nil || tc.want != nil && !tc.want(a.err) {
				t.Errorf("got %v", a.err)
			}
		})
	}
}

// An upgrade ends with its context, wherever it is.
func TestUpgradeIsInterrupted(t *testing.T) {
	why := errors.New("enough")
	stuck := func(c net.Conn) error {
		_, err := io.Copy(io.Discard, c)
		return errors.Join(err, io.EOF)
	}
	for name, change := range map[string]func(a, b *side){
		"in the negotiation of security": func(a, b *side) { b.securities = nil },
		"in the handshake": func(a, b *side) {
			b.securities[0] = &security{SecureChannel: b.securities[0], secure: func(_ core.SecureChannel, ctx context.Context, c net.Conn, _ core.Handshake) (core.SecureConn, error) {
				return nil, stuck(c)
			}}
		},
		"in the negotiation of the muxer": func(a, b *side) {
			a.securities[0] = &security{SecureChannel: a.securities[0], secure: unaware}
			b.securities[0] = &security{SecureChannel: b.securities[0], secure: func(s core.SecureChannel, ctx context.Context, c net.Conn, h core.Handshake) (core.SecureConn, error) {
				s.Secure(ctx, c, h)
				return nil, stuck(c)
			}}
		},
		// It has lifted the interruption, as if that had been its own.
		"at the end of the handshake": func(a, b *side) {
			a.securities[0] = &security{SecureChannel: a.securities[0], secure: func(s core.SecureChannel, ctx context.Context, c net.Conn, h core.Handshake) (core.SecureConn, error) {
				h.Muxers = nil
				secure, err := s.Secure(ctx, c, h)
				<-ctx.Done()
				time.Sleep(time.Nanosecond)
				c.SetDeadline(time.Time{})
				return secure, err
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newSide(t, 1, true), newSide(t, 2, false)
				var cancelA, cancelB context.CancelFunc
				a.ctx, cancelA = context.WithTimeoutCause(t.Context(), time.Second, why)
				b.ctx, cancelB = context.WithTimeout(t.Context(), time.Minute)
				defer cancelA()
				defer cancelB()
				change(a, b)
				if len(b.securities) == 0 { // it says nothing at all
					b.securities = newSide(t, 3, false).securities
					x, _ := memnet.Pipe()
					begin := time.Now()
					if a.upgrade(x); !errors.Is(a.err, why) || time.Since(begin) != time.Second {
						t.Errorf("%v after %v", a.err, time.Since(begin))
					}
					return
				}
				x, y := memnet.Pipe()
				begin := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() { b.upgrade(y) })
				a.upgrade(x)
				if d := time.Since(begin); !errors.Is(a.err, why) || d > time.Second+time.Nanosecond {
					t.Errorf("%v after %v", a.err, d)
				}
				wg.Wait()
				if b.conn != nil {
					b.conn.Close()
				}
			})
		})
	}
}

func TestNothingIsOfferedBeforeSet(t *testing.T) {
	x, _ := memnet.Pipe()
	if _, err := New(coretest.NewIdentity(1)).Upgrade(t.Context(), x, Request{Expect: peer.ID("")}); err == nil {
		t.Error("upgraded with nothing")
	}
}

// secret is a network of those who flip the same bits.
type secret byte

// Protocol implements [core.Security].
func (secret) Protocol() string { return "/secret" }

// Fingerprint implements [core.PrivateNetwork].
func (s secret) Fingerprint() string { return fmt.Sprintf("%02x", byte(s)) }

// Protect implements [core.PrivateNetwork].
func (s secret) Protect(c net.Conn) (net.Conn, error) {
	if s == 0 {
		return nil, errors.New("no secret")
	}
	return flipped{c, s}, nil
}

type flipped struct {
	net.Conn
	bits secret
}

func (f flipped) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	for i := range p[:n] {
		p[i] ^= byte(f.bits)
	}
	return n, err
}

func (f flipped) Write(p []byte) (int, error) {
	q := make([]byte, len(p))
	for i := range p {
		q[i] = p[i] ^ byte(f.bits)
	}
	return f.Conn.Write(q)
}

// TestPrivateNetwork: what a network wraps is everything from the first byte on.
func TestPrivateNetwork(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b core.PrivateNetwork
		fine bool
	}{
		{"the same", secret(1), secret(1), true},
		{"another", secret(1), secret(2), false},
		{"one alone", secret(1), nil, false},
		{"out of order", secret(0), secret(1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := newSide(t, 1, true), newSide(t, 2, false)
			a.network, b.network = c.a, c.b
			meet(t, a, b)
			if fine := a.err == nil && b.err == nil; fine != c.fine {
				t.Errorf("%v, %v", a.err, b.err)
			}
		})
	}
}
