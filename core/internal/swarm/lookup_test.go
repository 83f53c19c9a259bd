// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/internal/gater"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// finder is a [core.PeerRouting] that answers with find.
type finder struct {
	core.PeerRouting
	find  func(ctx context.Context, p peer.ID) (peer.AddrInfo, error)
	asked atomic.Int32
}

// FindPeer implements [core.PeerRouting].
func (f *finder) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	f.asked.Add(1)
	return f.find(ctx, p)
}

// finds answers with addresses, after a second.
func finds(texts ...string) *finder {
	return &finder{find: func(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
		select {
		case <-time.After(time.Second):
			return peer.AddrInfo{ID: p, Addrs: addrs(texts...)}, nil
		case <-ctx.Done():
			return peer.AddrInfo{}, ctx.Err()
		}
	}}
}

// routedSwarm is a swarm that asks f.
func routedSwarm(t *testing.T, w *world, f *finder) *Swarm {
	t.Helper()
	return newSwarm(t, w, 1, func(s *Settings) {
		s.Routing = func() (core.PeerRouting, bool) { return f, f != nil }
	})
}

func TestRoutedDialRecords(t *testing.T) {
	lookup := "/p2p/" + target.ID().String() + " is "
	notFound := &finder{find: func(context.Context, peer.ID) (peer.AddrInfo, error) { return peer.AddrInfo{}, core.ErrNotFound }}
	for name, tc := range map[string]struct {
		rules  map[string]rule
		known  []string
		given  []string
		finder *finder
		gate   gater.Config
		ctx    func(context.Context) context.Context
		story  []string
		is     error
		asked  int32
		took   time.Duration
	}{
		"a bare peer ID": {
			finder: finds(addr1), rules: map[string]rule{addr1: connects}, asked: 1, took: time.Second,
			story: []string{lookup + "[" + addr1 + "]", addr1 + " (routing) connected"},
		},
		"nobody knows": {
			finder: notFound, asked: 1, is: core.ErrNoAddrs, story: []string{lookup + "[]"},
		},
		"no answer": {
			finder: finds(), asked: 1, took: time.Second, is: core.ErrNoAddrs, story: []string{lookup + "[]"},
		},
		"known ones fail": {
			known: []string{addr1}, given: []string{addr2}, finder: finds(addr1, addr2, addr3), asked: 1, took: time.Second,
			rules: map[string]rule{addr1: refused, addr2: refused, addr3: connects},
			story: []string{lookup + "[" + addr1 + " " + addr2 + " " + addr3 + "]",
				addr2 + " (given) failed: connection refused", addr1 + " (peerstore) failed: connection refused", addr3 + " (routing) connected"},
		},
		"names fail": {
			known: []string{"/dns4/a.example/tcp/1"}, finder: finds("/dns4/a.example/tcp/1", addr1, addr2), asked: 1, took: time.Second,
			rules: map[string]rule{addr1: refused, addr2: connects},
			story: []string{"/dns4/a.example/tcp/1 is [" + addr1 + "]", lookup + "[/dns4/a.example/tcp/1 " + addr1 + " " + addr2 + "]",
				addr1 + " (/dns4/a.example/tcp/1) failed: connection refused", addr2 + " (routing) connected"},
		},
		"nothing new": {
			known: []string{addr1}, finder: finds(addr1), asked: 1, took: time.Second, is: memnet.ErrRefused,
			rules: map[string]rule{addr1: refused},
			story: []string{lookup + "[" + addr1 + "]", addr1 + " (peerstore) failed: connection refused"},
		},
		"known ones are good": {
			known: []string{addr1}, finder: finds(addr2), rules: map[string]rule{addr1: connects},
			story: []string{addr1 + " (peerstore) connected"},
		},
		"found ones fail": {
			finder: finds(addr1), rules: map[string]rule{addr1: refused}, asked: 1, took: time.Second, is: memnet.ErrRefused,
			story: []string{lookup + "[" + addr1 + "]", addr1 + " (routing) failed: connection refused"},
		},
		"found ones are refused": {
			finder: finds("/ip4/0.0.0.0/tcp/1"), asked: 1, took: time.Second, is: errUnspecified,
			story: []string{lookup + "[/ip4/0.0.0.0/tcp/1]", "/ip4/0.0.0.0/tcp/1 (routing) skipped: an unspecified address cannot be dialled"},
		},
		"forbidden": {
			finder: finds(addr1), ctx: core.NoLookup, is: core.ErrNoAddrs,
		},
		"no dial": {
			finder: finds(addr1), ctx: core.NoDial, is: core.ErrNotConnected,
		},
		"gated": {
			finder: finds(addr1), gate: gater.Config{Deny: []string{target.ID().String()}}, is: core.ErrGated,
		},
		"panic": {
			finder: &finder{find: func(context.Context, peer.ID) (peer.AddrInfo, error) { panic("oops") }}, asked: 1,
			is: core.ErrNoAddrs, story: []string{lookup + "[]"},
		},
		"somebody else": {
			finder: &finder{find: func(context.Context, peer.ID) (peer.AddrInfo, error) {
				return peer.AddrInfo{ID: coretest.NewIdentity(5).ID(), Addrs: addrs(addr1)}, nil
			}}, asked: 1, is: core.ErrNoAddrs, story: []string{lookup + "[]"},
		},
		"without end": {
			finder: &finder{find: func(ctx context.Context, _ peer.ID) (peer.AddrInfo, error) {
				<-ctx.Done()
				return peer.AddrInfo{}, ctx.Err()
			}},
			known: []string{addr1}, rules: map[string]rule{addr1: hang}, asked: 1,
			is: context.DeadlineExceeded, took: time.Minute,
			story: []string{lookup + "[]", addr1 + " (peerstore) failed after 15s: context deadline exceeded (no answer within 15s)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.rules = tc.rules
				asked := tc.finder.asked.Load()
				s := routedSwarm(t, w, tc.finder)
				if err := s.Gater.Update(tc.gate); err != nil {
					t.Fatal(err)
				}
				s.Book.AddPeerAddrs(target.ID(), core.PermanentTTL, addrs(tc.known...)...)
				ctx, trace := core.TraceDial(t.Context())
				if tc.ctx != nil {
					ctx = tc.ctx(ctx)
				}
				begin := time.Now()
				c, err := s.Connect(ctx, peer.AddrInfo{ID: target.ID(), Addrs: addrs(tc.given...)})
				if d := time.Since(begin); d != tc.took {
					t.Errorf("it took %v, want %v", d, tc.took)
				}
				if (c == nil) != (tc.is != nil) || !errors.Is(err, tc.is) {
					t.Errorf("%v, %v, want %v", c, err, tc.is)
				}
				if n := tc.finder.asked.Load() - asked; n != tc.asked {
					t.Errorf("asked %d times, want %d", n, tc.asked)
				}
				if r := trace.Record(); r != nil {
					if diff := cmp.Diff(tc.story, story(r)); diff != "" {
						t.Errorf("record (-want +got):\n%s", diff)
					}
					if r.Took != tc.took {
						t.Errorf("the record says %v", r.Took)
					}
				}
			})
		})
	}
}

func TestLookupsAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.rules = map[string]rule{addr1: connects}
		f := finds(addr1)
		s := routedSwarm(t, w, f)
		var all sync.WaitGroup
		conns := make([]core.Conn, 10)
		for i := range conns {
			all.Go(func() {
				var err error
				if conns[i], err = s.Connect(t.Context(), peer.AddrInfo{ID: target.ID()}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, c := range conns {
			if c != conns[0] {
				t.Error("several connections")
			}
		}
		if f.asked.Load() != 1 || w.dialled() != 1 {
			t.Errorf("asked %d times, %d dials", f.asked.Load(), w.dialled())
		}
	})
}

// Who is asked dials too, the peer that is looked for included. That leads to no
// further lookup, and does not wait for the one that is under way.
func TestLookupsDoNotLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.rules = map[string]rule{addr1: connects}
		f := &finder{}
		s := routedSwarm(t, w, f)
		f.find = func(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
			for _, who := range []peer.ID{coretest.NewIdentity(9).ID(), p} {
				if _, err := s.Connect(ctx, peer.AddrInfo{ID: who}); !errors.Is(err, core.ErrNoAddrs) {
					t.Errorf("in a lookup: %v", err)
				}
				if _, err := s.NewStream(ctx, who, "/x"); !errors.Is(err, core.ErrNoAddrs) {
					t.Errorf("in a lookup: %v", err)
				}
			}
			return peer.AddrInfo{ID: p, Addrs: addrs(addr1)}, nil
		}
		if _, err := s.Connect(t.Context(), peer.AddrInfo{ID: target.ID()}); err != nil {
			t.Error(err)
		}
		if n := f.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A peer that nobody knows is not looked for again and again.
func TestEvil_D2_LookupsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := finds()
		s := routedSwarm(t, newWorld(), f)
		connect := func(want int32) {
			t.Helper()
			_, err := s.Connect(t.Context(), peer.AddrInfo{ID: target.ID()})
			if !errors.Is(err, core.ErrNoAddrs) || f.asked.Load() != want {
				t.Errorf("asked %d times, want %d: %v", f.asked.Load(), want, err)
			}
		}
		connect(1)
		for range 10 {
			connect(1)
		}
		if _, err := s.Connect(t.Context(), peer.AddrInfo{ID: target.ID()}); !errors.Is(err, core.ErrBackoff) || !strings.Contains(err.Error(), "failed lately") {
			t.Errorf("it is not said: %v", err)
		}
		time.Sleep(5 * time.Second)
		connect(2)
		time.Sleep(5 * time.Second)
		connect(2) // it is twice as long now
		time.Sleep(5 * time.Second)
		connect(3)
	})
}

// However many peers are dialled, few are looked for at once.
func TestEvil_D2_LookupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		f := &finder{find: func(ctx context.Context, _ peer.ID) (peer.AddrInfo, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Second)
			return peer.AddrInfo{}, core.ErrNotFound
		}}
		s := routedSwarm(t, newWorld(), f)
		var all sync.WaitGroup
		for i := range 3 * maxLookups {
			all.Go(func() {
				if _, err := s.Connect(t.Context(), peer.AddrInfo{ID: coretest.NewIdentity(uint64(1000 + i)).ID()}); !errors.Is(err, core.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := most.Load(); n != maxLookups {
			t.Errorf("%d at once", n)
		}
		if n := f.asked.Load(); n != 3*maxLookups {
			t.Errorf("%d lookups", n)
		}
	})
}

// A caller that gives up ends the lookup; the swarm's end does too.
func TestLookupsEnd(t *testing.T) {
	for _, closing := range []bool{false, true} {
		t.Run(fmt.Sprint(closing), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan struct{})
				f := &finder{find: func(ctx context.Context, _ peer.ID) (peer.AddrInfo, error) {
					<-ctx.Done()
					close(ended)
					return peer.AddrInfo{}, ctx.Err()
				}}
				s := routedSwarm(t, newWorld(), f)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				d := dialTo(ctx, s)
				synctest.Wait()
				if closing {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				} else {
					cancel()
				}
				<-ended
				<-d.done
				if !errors.Is(d.err, context.Canceled) {
					t.Error(d.err)
				}
			})
		})
	}
}
