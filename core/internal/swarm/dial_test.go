// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/internal/gater"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/internal/resolve"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	addr1 = "/ip4/1.1.1.1/tcp/1"
	addr2 = "/ip4/1.1.1.2/tcp/1"
	addr3 = "/ip4/1.1.1.3/tcp/1"
)

func addrs(texts ...string) []ma.Multiaddr {
	var list []ma.Multiaddr
	for _, text := range texts {
		list = append(list, ma.StringCast(text))
	}
	return list
}

var target = coretest.NewIdentity(77)

// connects is the rule of an address at which the target is.
func connects(context.Context, peer.ID) (core.MuxedConn, error) {
	here, _ := newSessions(coretest.NewIdentity(1), target, ma.StringCast(addr1))
	return here, nil
}

// story is a dial record in short.
func story(r *core.DialRecord) []string {
	var list []string
	for _, n := range r.Resolved {
		list = append(list, fmt.Sprintf("%s is %v", n.Addr, n.Found))
	}
	for _, a := range r.Attempts {
		text := fmt.Sprintf("%s (%s) %s", a.Addr, a.Source, a.Outcome)
		if a.Took > 0 {
			text += fmt.Sprintf(" after %v", a.Took)
		}
		if a.Err != nil {
			text += ": " + a.Err.Error()
		}
		list = append(list, text)
	}
	return list
}

func TestDialRecords(t *testing.T) {
	other := coretest.NewIdentity(78)
	mismatch := (&core.PeerMismatchError{Want: target.ID(), Got: other.ID()}).Error()
	for name, tc := range map[string]struct {
		rules  map[string]rule
		given  []string
		known  []string
		failed []string // addresses that failed before
		gate   gater.Config
		dial   DialConfig
		story  []string
		is     error  // what the error is
		text   string // what the error says
		took   time.Duration
	}{
		"no addresses": {is: core.ErrNoAddrs, text: "no addresses known"},
		"no transport": {
			given: []string{"/ip4/1.1.1.1/udp/1/quic-v1"},
			story: []string{"/ip4/1.1.1.1/udp/1/quic-v1 (given) skipped: no transport for this address"},
			is:    core.ErrNoTransport,
		},
		"gated address": {
			given: []string{addr1}, gate: gater.Config{Deny: []string{"1.1.1.1"}},
			story: nil, is: core.ErrGated,
		},
		"gated peer": {
			given: []string{addr1}, gate: gater.Config{Deny: []string{target.ID().String()}},
			is: core.ErrGated,
		},
		"unspecified": {
			given: []string{"/ip4/0.0.0.0/tcp/1"},
			story: []string{"/ip4/0.0.0.0/tcp/1 (given) skipped: an unspecified address cannot be dialled"},
			is:    errUnspecified,
		},
		"failed lately": {
			known: []string{addr1}, failed: []string{addr1},
			story: []string{addr1 + " (peerstore) skipped: failed lately, and it is not yet time to try again"},
			is:    core.ErrBackoff,
		},
		"failed lately, asked for": {
			given: []string{addr1}, failed: []string{addr1}, rules: map[string]rule{addr1: connects},
			story: []string{addr1 + " (given) connected"},
		},
		"name of what failed lately": {
			given: []string{"/dns4/a.example/tcp/1"}, failed: []string{addr1}, rules: map[string]rule{addr1: connects},
			story: []string{"/dns4/a.example/tcp/1 is [" + addr1 + "]", addr1 + " (/dns4/a.example/tcp/1) connected"},
		},
		"another peer's address": {
			given: []string{addr1 + "/p2p/" + other.ID().String()},
			story: []string{addr1 + " (given) skipped: " + mismatch},
			is:    nil, text: "wrong peer",
		},
		"refused": {
			given: []string{addr1}, rules: map[string]rule{addr1: refused},
			story: []string{addr1 + " (given) failed: connection refused"},
			is:    memnet.ErrRefused, text: addr1 + " failed: connection refused",
		},
		"silent": {
			given: []string{addr1}, rules: map[string]rule{addr1: hang},
			story: []string{addr1 + " (given) failed after 15s: context deadline exceeded (no answer within 15s)"},
			text:  "no answer within 15s", took: 15 * time.Second,
		},
		"wrong peer": {
			known: []string{addr1}, rules: map[string]rule{addr1: func(context.Context, peer.ID) (core.MuxedConn, error) {
				here, _ := newSessions(coretest.NewIdentity(1), other, ma.StringCast(addr1))
				return here, nil // without looking
			}},
			story: []string{addr1 + " (peerstore) failed: " + mismatch},
			text:  "wrong peer",
		},
		"panic": {
			given: []string{addr1}, rules: map[string]rule{addr1: func(context.Context, peer.ID) (core.MuxedConn, error) { panic("oops") }},
			story: []string{addr1 + " (given) failed: panic: oops"}, text: "panic: oops",
		},
		"second address wins": {
			given: []string{addr1, addr2}, rules: map[string]rule{addr1: refused, addr2: connects},
			story: []string{addr1 + " (given) failed: connection refused", addr2 + " (given) connected"},
		},
		"second address overtakes": {
			given: []string{addr1, addr2, addr3}, rules: map[string]rule{addr1: hang, addr2: connects},
			story: []string{
				addr1 + " (given) cancelled after 250ms: context canceled", addr2 + " (given) connected", addr3 + " (given) cancelled",
			},
			took: 250 * time.Millisecond,
		},
		"two succeed": {
			given: []string{addr1, addr2}, rules: map[string]rule{
				addr1: after(300*time.Millisecond, connects),
				addr2: func(ctx context.Context, p peer.ID) (core.MuxedConn, error) {
					<-ctx.Done()
					return connects(ctx, p) // too late
				},
			},
			story: []string{addr1 + " (given) connected after 300ms", addr2 + " (given) cancelled after 50ms"},
			took:  300 * time.Millisecond,
		},
		"out of time": {
			given: []string{addr1, addr2}, rules: map[string]rule{addr1: hang, addr2: hang},
			dial: DialConfig{Timeout: core.Duration(20 * time.Second), ParallelPerPeer: 1},
			story: []string{
				addr1 + " (given) failed after 15s: context deadline exceeded (no answer within 15s)",
				addr2 + " (given) cancelled after 5s: context deadline exceeded",
			},
			is: context.DeadlineExceeded, text: "gave up after 20s", took: 20 * time.Second,
		},
		"given and known": {
			given: []string{addr1}, known: []string{addr1, addr2}, rules: map[string]rule{addr1: refused, addr2: refused},
			story: []string{addr1 + " (given) failed: connection refused", addr2 + " (peerstore) failed: connection refused"},
			is:    memnet.ErrRefused,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.rules = tc.rules
				s := newSwarm(t, w, 1)
				s.SetDial(tc.dial)
				if err := s.Gater.Update(tc.gate); err != nil {
					t.Fatal(err)
				}
				s.Book.AddPeerAddrs(target.ID(), core.PermanentTTL, addrs(tc.known...)...)
				for _, a := range addrs(tc.failed...) {
					s.backoff.failed(backoffKey{target.ID(), string(a.Bytes())}, time.Now(), s.policy.Load().DialConfig)
				}
				ctx, trace := core.TraceDial(t.Context())
				begin := time.Now()
				c, err := s.Connect(ctx, peer.AddrInfo{ID: target.ID(), Addrs: addrs(tc.given...)})
				if d := time.Since(begin); d != tc.took {
					t.Errorf("it took %v, want %v", d, tc.took)
				}
				r := trace.Record()
				if got := story(r); name != "gated address" {
					if diff := cmp.Diff(tc.story, got); diff != "" {
						t.Errorf("record (-want +got):\n%s", diff)
					}
				} else if len(got) != 1 || !strings.Contains(got[0], "skipped") {
					t.Errorf("record %v", got)
				}
				if connected := strings.Contains(strings.Join(tc.story, ""), ") connected"); connected != (err == nil) || connected != (c != nil) {
					t.Fatalf("connected: %v, %v", c, err)
				}
				var dialErr *core.DialError
				if err != nil && (!errors.As(err, &dialErr) || dialErr.Record != r || tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.text)) {
					t.Errorf("error %v", err)
				}
				if name == "silent" {
					if e := net.Error(nil); !errors.As(err, &e) || !e.Timeout() {
						t.Errorf("%v is no timeout", err)
					}
				}
				if name == "wrong peer" && len(s.Book.PeerAddrs(target.ID())) != 0 {
					t.Error("the address is kept")
				}
			})
		})
	}
}

// A transport is told the name that an address was resolved from.
func TestDialName(t *testing.T) {
	for given, want := range map[string]string{"/dns4/A.example/tcp/1": "A.example", addr1: ""} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.rules = map[string]rule{addr1: func(ctx context.Context, p peer.ID) (core.MuxedConn, error) {
				if name := core.DialName(ctx); name != want {
					t.Errorf("%s is dialled as %q, want %q", given, name, want)
				}
				return connects(ctx, p)
			}}
			s := newSwarm(t, w, 1)
			if _, err := s.Connect(t.Context(), peer.AddrInfo{ID: target.ID(), Addrs: addrs(given)}); err != nil {
				t.Error(err)
			}
		})
	}
}

// inside is a DNS whose names lead into networks that are not the Internet.
type inside map[string]string

func (d inside) LookupIPAddr(_ context.Context, host string) ([]net.IPAddr, error) {
	return []net.IPAddr{{IP: net.ParseIP(d[host])}}, nil
}

func (d inside) LookupTXT(_ context.Context, name string) ([]string, error) {
	return []string{"dnsaddr=" + d[name]}, nil
}

// A name that a peer has told does not lead into a local network, if it looks
// as if it led to the Internet; one that the caller names may.
func TestEvil_D2_NamesThatLeadInwards(t *testing.T) {
	dns := inside{
		"me.evil.example": "127.0.0.1", "router.evil.example": "192.168.1.1", "cloud.evil.example": "169.254.169.254",
		"six.evil.example": "::1", "nat64.evil.example": "64:ff9b::a00:1", "printer.local": "192.168.1.9",
		"fine.example": "1.1.1.1", "printer": "192.168.1.9",
		"_dnsaddr.evil.example": "/ip4/10.0.0.1/tcp/1", "_dnsaddr.deep.evil.example": "/dns4/printer/tcp/1",
	}
	for name, dialled := range map[string]bool{
		"/dns4/me.evil.example/tcp/1": false, "/dns4/router.evil.example/tcp/1": false,
		"/dns4/cloud.evil.example/tcp/1": false, "/dns6/six.evil.example/tcp/1": false,
		"/dns/nat64.evil.example/tcp/1": false, "/dnsaddr/evil.example": false, "/dnsaddr/deep.evil.example": false,
		"/dns4/fine.example/tcp/1": true, "/dns4/printer.local/tcp/1": true, "/ip4/192.168.1.9/tcp/1": true,
	} {
		w := newWorld()
		s := newSwarm(t, w, 1, func(s *Settings) { s.Resolver = resolve.New(dns) })
		s.Book.AddPeerAddrs(target.ID(), core.TempTTL, addrs(name)...)
		_, err := s.Connect(t.Context(), peer.AddrInfo{ID: target.ID()})
		if got := w.dialled() > 0; got != dialled || err == nil || !dialled && !errors.Is(err, errInwards) {
			t.Errorf("%s: dialled %v: %v", name, got, err)
		}
		before := w.dialled()
		s.Connect(t.Context(), peer.AddrInfo{ID: target.ID(), Addrs: addrs(name)})
		if w.dialled() == before {
			t.Errorf("%s: not dialled although it was asked for", name)
		}
	}
}

func TestDialRefusals(t *testing.T) {
	s := newSwarm(t, newWorld(), 1)
	if _, err := s.Connect(t.Context(), peer.AddrInfo{ID: s.Identity.ID()}); !errors.Is(err, core.ErrSelf) {
		t.Errorf("oneself: %v", err)
	}
	if _, err := s.Connect(t.Context(), peer.AddrInfo{Addrs: addrs(addr1)}); err == nil {
		t.Error("nobody: connected")
	}
	if _, err := s.Connect(core.NoDial(t.Context()), peer.AddrInfo{ID: target.ID()}); !errors.Is(err, core.ErrNotConnected) {
		t.Errorf("forbidden: %v", err)
	}
	s.Close()
	if _, err := s.Connect(t.Context(), peer.AddrInfo{ID: target.ID(), Addrs: addrs(addr1)}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// dialer is a caller whose dial can be waited for.
type dialer struct {
	conn core.Conn
	err  error
	done chan struct{}
}

func dialTo(ctx context.Context, s *Swarm, texts ...string) *dialer {
	d := &dialer{done: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(d.done)
		d.conn, d.err = s.Connect(ctx, peer.AddrInfo{ID: target.ID(), Addrs: addrs(texts...)})
	})
	return d
}

func TestDialsAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.rules = map[string]rule{addr1: after(time.Second, connects), addr2: after(time.Second, refused)}
		s := newSwarm(t, w, 1)
		cancelled, cancel := context.WithCancelCause(t.Context())
		first := dialTo(cancelled, s, addr1)
		synctest.Wait()
		second, third := dialTo(t.Context(), s, addr1), dialTo(t.Context(), s)
		synctest.Wait()
		why := errors.New("changed my mind")
		cancel(why)
		<-first.done
		if !errors.Is(first.err, why) || time.Now().Nanosecond() != 0 {
			t.Errorf("the caller who left: %v", first.err)
		}
		<-second.done
		<-third.done
		if second.err != nil || third.err != nil || second.conn != third.conn {
			t.Errorf("the others: %v, %v", second.err, third.err)
		}
		if n := w.dialled(); n != 1 {
			t.Errorf("%d dials, want 1", n)
		}
	})
}

// Who joins a dial that does not know of its addresses dials those afterwards.
func TestJoinedDialKnowsLess(t *testing.T) {
	for name, known := range map[string]bool{"unknown": false, "known but left alone": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.rules = map[string]rule{addr1: after(time.Second, refused), addr2: connects}
				s := newSwarm(t, w, 1)
				if known {
					a := addrs(addr2)[0]
					s.Book.AddPeerAddrs(target.ID(), core.PermanentTTL, a)
					s.backoff.failed(backoffKey{target.ID(), string(a.Bytes())}, time.Now(), s.policy.Load().DialConfig)
				}
				first := dialTo(t.Context(), s, addr1)
				synctest.Wait()
				second := dialTo(t.Context(), s, addr2)
				<-first.done
				<-second.done
				if second.err != nil {
					t.Error(second.err)
				}
			})
		})
	}
}

func TestDialEndsWithItsLastCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		ended := false
		w.rules = map[string]rule{addr1: func(ctx context.Context, p peer.ID) (core.MuxedConn, error) {
			<-ctx.Done()
			ended = true
			return nil, ctx.Err()
		}}
		s := newSwarm(t, w, 1)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := dialTo(ctx, s, addr1), dialTo(ctx, s, addr1)
		synctest.Wait()
		cancel()
		<-first.done
		<-second.done
		if !ended || !errors.Is(first.err, context.Canceled) || !errors.Is(second.err, context.Canceled) {
			t.Errorf("ended %v: %v; %v", ended, first.err, second.err)
		}
		if s.backoff.waits(backoffKey{target.ID(), string(addrs(addr1)[0].Bytes())}, time.Now()) {
			t.Error("an address was blamed for a caller's impatience")
		}
	})
}

func TestCloseDuringDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.rules = map[string]rule{addr1: hang}
		s := newSwarm(t, w, 1)
		d := dialTo(t.Context(), s, addr1)
		synctest.Wait()
		s.Close()
		<-d.done
		if d.err == nil {
			t.Error("connected")
		}
	})
}

// A peer that dials us while our dial fails is connected after all.
func TestDialFailsButTheyReachUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.rules = map[string]rule{addr1: after(time.Second, refused)}
		s := newSwarm(t, w, 1)
		there := newSwarm(t, w, 2)
		info := listen(t, s, "/memory/1")
		var d core.Conn
		var err error
		var wg sync.WaitGroup
		wg.Go(func() {
			d, err = s.Connect(t.Context(), peer.AddrInfo{ID: there.Identity.ID(), Addrs: addrs(addr1)})
		})
		synctest.Wait()
		if _, err := there.Connect(t.Context(), info); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err != nil || d.Stat().Direction != core.Inbound {
			t.Errorf("got %v, %v", d, err)
		}
	})
}

func TestOwnLimitsAreNobodysFault(t *testing.T) {
	w := newWorld()
	w.rules = map[string]rule{addr1: connects}
	s := newSwarm(t, w, 1)
	s.Limits.Update(budget(t, limits.Config{Connections: 1}))
	scope, err := s.Limits.OpenConn(core.Outbound, addrs(addr2)[0])
	if err != nil {
		t.Fatal(err)
	}
	var limit *core.LimitError
	if _, err := s.Connect(t.Context(), peer.AddrInfo{ID: target.ID(), Addrs: addrs(addr1)}); !errors.As(err, &limit) {
		t.Errorf("got %v", err)
	}
	scope.Done()
	s.Book.AddPeerAddrs(target.ID(), core.PermanentTTL, addrs(addr1)...)
	if _, err := s.Connect(t.Context(), peer.AddrInfo{ID: target.ID()}); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestSimultaneousDials(t *testing.T) {
	for range 50 {
		a, b := twoSwarms(t)
		defer a.Handle("/echo", echo)()
		defer b.Handle("/echo", echo)()
		var wg sync.WaitGroup
		for _, s := range []struct{ here, there *Swarm }{{a, b}, {b, a}} {
			for range 5 {
				wg.Go(func() {
					st, err := s.here.NewStream(t.Context(), s.there.Identity.ID(), "/echo")
					if err != nil {
						t.Error(err)
						return
					}
					mustEcho(t, st)
					st.Close()
				})
			}
		}
		wg.Wait()
		if n := len(a.Conns()); n < 1 || n > 2 {
			t.Errorf("%d connections", n)
		}
		a.Close()
		b.Close()
	}
}
