// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/internal/gater"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// limitedConn puts a limited connection to b into a's table.
func limitedConn(t testing.TB, a, b *Swarm) *Conn {
	t.Helper()
	here, there := newSessions(a.Identity.(*coretest.Identity), b.Identity.(*coretest.Identity), ma.StringCast("/memory/9"))
	add := func(s *Swarm, muxed core.MuxedConn, d core.Direction) *Conn {
		scope, err := s.Limits.OpenConn(d, muxed.RemoteMultiaddr())
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.add(muxed, scope, core.ConnStat{Direction: d, Limited: true})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	add(b, there, core.Inbound)
	return add(a, here, core.Outbound)
}

func TestLimitedConnections(t *testing.T) {
	w := newWorld()
	a, b := newSwarm(t, w, 1), newSwarm(t, w, 2)
	defer b.Handle("/p", echo)()
	defer b.Handle("/limited", echo, core.HandleLimited())()
	id := b.Identity.ID()
	limited := limitedConn(t, a, b)
	allowed := core.AllowLimited(t.Context())

	if c, err := a.Connect(t.Context(), peer.AddrInfo{ID: id}); c != limited {
		t.Errorf("Connect: %v, %v, want what there is", c, err)
	}
	st, err := a.NewStream(allowed, id, "/limited")
	if err != nil {
		t.Fatal(err)
	}
	mustEcho(t, st)
	st.Close()
	for name, try := range map[string]func() (core.Stream, error){
		"of the node":                 func() (core.Stream, error) { return a.NewStream(t.Context(), id, "/limited") },
		"of the node without dialing": func() (core.Stream, error) { return a.NewStream(core.NoDial(t.Context()), id, "/limited") },
		"of the connection":           func() (core.Stream, error) { return limited.NewStream(t.Context(), "/limited") },
	} {
		if _, err := try(); !errors.Is(err, core.ErrLimited) {
			t.Errorf("a stream %s: %v", name, err)
		}
	}
	st, err = a.NewStream(allowed, id, "/p") // b's handler has not asked for that
	if err != nil {
		t.Fatal(err)
	}
	st.Write([]byte("x"))
	var reset *core.StreamError
	if _, err := st.Read(make([]byte, 1)); !errors.As(err, &reset) || reset.Code != core.StreamGated {
		t.Errorf("a handler that does not allow limited connections: %v", err)
	}
	st.Close()

	// A direct one is dialled where it is needed; another relay is not.
	relay := "/ip4/1.1.1.1/tcp/1/p2p/" + target.ID().String() + "/p2p-circuit"
	ctx, trace := core.TraceDial(t.Context())
	if _, err := a.Connect(core.ForceDirect(ctx), peer.AddrInfo{ID: id, Addrs: addrs(relay)}); err == nil {
		t.Error("a relay is direct")
	}
	if r := trace.Record(); len(r.Attempts) != 1 || !errors.Is(r.Attempts[0].Err, errRelayed) {
		t.Errorf("record %v", story(r))
	}
	info := listen(t, b, "/memory/1")
	a.Book.AddPeerAddrs(id, core.PermanentTTL, info.Addrs...)
	if st, err = a.NewStream(t.Context(), id, "/p"); err != nil {
		t.Fatal(err)
	}
	mustEcho(t, st)
	if st.Conn() == limited || a.ConnsTo(id)[0] != st.Conn() || len(a.ConnsTo(id)) != 2 {
		t.Error("the direct connection is not the first one")
	}
	st.Close()
}

func TestMuxedTransport(t *testing.T) {
	a, b := twoSwarms(t)
	defer b.Handle("/p", echo)()
	var disconnected []core.Disconnected
	defer core.On(a.Events, func(e core.Disconnected) { disconnected = append(disconnected, e) })()
	c, err := a.Connect(t.Context(), infoOf(b))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.Connect(t.Context(), infoOf(b)); again != c || err != nil {
		t.Errorf("connected again: %v, %v", again, err)
	}
	if s := c.Stat(); s.Transport != "fake" || s.Direction != core.Outbound || s.Opened.IsZero() {
		t.Errorf("stat %+v", s)
	}
	if c.RemotePeer() != b.Identity.ID() || !c.RemotePeer().Matches(c.RemotePublicKey()) {
		t.Errorf("peer %s", c.RemotePeer())
	}
	a.Close()
	if len(disconnected) != 1 || !disconnected[0].Last || disconnected[0].Conn != c {
		t.Errorf("events %v", disconnected)
	}
	if _, err := c.NewStream(t.Context(), "/p"); !errors.Is(err, core.ErrConnClosed) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("a stream on a closed connection: %v", err)
	}
}

// Who is refused by the address is refused before anything is done for it.
func TestRefusedAtTheDoor(t *testing.T) {
	for name, refuse := range map[string]func(t *testing.T, b *Swarm) error{
		"address": func(t *testing.T, b *Swarm) error { return b.Gater.Update(gater.Config{Deny: []string{"1.1.1.1"}}) },
		"limit": func(t *testing.T, b *Swarm) error {
			b.Limits.Update(budget(t, limits.Config{Connections: 1}))
			scope, err := b.Limits.OpenConn(core.Outbound, ma.StringCast(addr2))
			if err == nil {
				t.Cleanup(scope.Done)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			a, b := newSwarm(t, w, 1), newSwarm(t, w, 2)
			if err := refuse(t, b); err != nil {
				t.Fatal(err)
			}
			if _, err := a.Connect(t.Context(), listen(t, b, addr1)); !errors.Is(err, memnet.ErrRefused) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Who is not let in learns why.
func TestRefusalsHaveCodes(t *testing.T) {
	for name, tc := range map[string]struct {
		refuse func(t *testing.T, b *Swarm, a peer.ID)
		code   core.ConnCode
	}{
		"peer": {func(t *testing.T, b *Swarm, a peer.ID) {
			if err := b.Gater.Update(gater.Config{Deny: []string{a.String()}}); err != nil {
				t.Fatal(err)
			}
		}, core.ConnGated},
		"limit": {func(t *testing.T, b *Swarm, a peer.ID) {
			b.Limits.Update(budget(t, limits.Config{ConnectionsPerPeer: 1}))
			scope, err := b.Limits.OpenConn(core.Outbound, ma.StringCast(addr2))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(scope.Done)
			if err := scope.SetPeer(a); err != nil {
				t.Fatal(err)
			}
		}, core.ConnLimitExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			a := newSwarm(t, w, 1)
			b := newSwarm(t, w, 2)
			tc.refuse(t, b, a.Identity.ID())
			c, err := a.Connect(t.Context(), listen(t, b, addr1))
			if err != nil {
				t.Fatal(err)
			}
			<-c.Done()
			var closed *core.ConnError
			if err := c.(*Conn).muxed.(*fakeSession).end(); !errors.As(err, &closed) || closed.Code != tc.code || !closed.Remote {
				t.Errorf("got %v, want code %#x", err, tc.code)
			}
			if len(b.Conns()) != 0 {
				t.Error("b has a connection")
			}
		})
	}
}

func TestRegate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := newSwarm(t, w, 9)
		info := listen(t, b, addr1)
		var conns []core.Conn
		for i := range uint64(3) {
			c, err := newSwarm(t, w, i+1).Connect(t.Context(), info)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		synctest.Wait()
		second := coretest.NewIdentity(2).ID()
		if err := b.Gater.Update(gater.Config{Deny: []string{second.String()}}); err != nil {
			t.Fatal(err)
		}
		b.Regate()
		synctest.Wait()
		if n := len(b.Conns()); n != 2 || len(b.ConnsTo(second)) != 0 {
			t.Errorf("%d connections, %d to the one denied", n, len(b.ConnsTo(second)))
		}
		<-conns[1].Done()
	})
}

// Rules that come while a connection is made bind it: it is not in the table yet
// when the table is looked through.
func TestRulesThatComeDuringAHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rawTransport{Network: memnet.New(memnet.Options{Delay: time.Second})}
		a, b := rawSwarm(t, r, 1), rawSwarm(t, r, 2)
		info := listen(t, b, "/memory/1")
		for name, bound := range map[string]*Swarm{"inbound": b, "outbound": a} {
			var wg sync.WaitGroup
			wg.Go(func() { a.Connect(t.Context(), info) })
			time.Sleep(3 * time.Second) // connected, and shaking hands
			if stat := bound.Limits.Stat(); stat.Inbound+stat.Outbound != 1 || stat.Peers != 0 {
				t.Fatalf("%s: %+v, want one connection of nobody yet", name, stat)
			}
			if err := bound.Gater.Update(gater.Config{Allow: []string{"private"}}); err != nil {
				t.Fatal(err)
			}
			bound.Regate()
			wg.Wait()
			time.Sleep(time.Minute)
			if n := len(bound.Conns()); n != 0 {
				t.Errorf("%s: %d connections that the rules refuse", name, n)
			}
			if err := bound.Gater.Update(gater.Config{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestTrim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := newSwarm(t, w, 99)
		info := listen(t, b, "/memory/1")
		b.SetTarget(5, 20*time.Second)
		for i := range uint64(20) {
			if _, err := newSwarm(t, w, i+1).Connect(t.Context(), info); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		b.Protect(coretest.NewIdentity(20).ID(), "test")
		b.Tag(coretest.NewIdentity(19).ID(), "test", 1)
		count := func() int { synctest.Wait(); return len(b.Conns()) }
		if n := count(); n != 20 {
			t.Errorf("%d connections under grace, want all 20", n)
		}
		time.Sleep(22 * time.Second)
		if n := count(); n != 5 {
			t.Errorf("%d connections after it, want 5", n)
		}
		for _, seed := range []uint64{19, 20} {
			if len(b.ConnsTo(coretest.NewIdentity(seed).ID())) != 1 {
				t.Errorf("peer %d is gone", seed)
			}
		}
		b.SetTarget(3, 0)
		time.Sleep(2 * time.Second)
		if n := count(); n != 3 {
			t.Errorf("%d connections, want the new target of 3", n)
		}
		b.SetTarget(0, 0)
		for i := range uint64(10) {
			if _, err := newSwarm(t, w, i+100).Connect(t.Context(), info); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if n := count(); n != 13 {
			t.Errorf("%d connections without a target, want 13", n)
		}
	})
}

// Close ends dials, upgrades, handlers, and streams that are half open. The
// bubble fails the test if anything is left.
func TestCloseWithEverythingUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.rules = map[string]rule{addr1: hang, addr2: after(time.Hour, refused)}
		a, b := newSwarm(t, w, 1), newSwarm(t, w, 2)
		info := listen(t, b, "/memory/1")
		b.Handle("/p", echo)
		a.SetTarget(1, time.Hour)
		var wg sync.WaitGroup
		for i := range 3 {
			st, err := a.NewStream(t.Context(), info.ID, "/p")
			if i == 0 {
				a.Book.AddPeerAddrs(info.ID, core.PermanentTTL, info.Addrs...)
				st, err = a.NewStream(t.Context(), info.ID, "/p")
			}
			if err != nil {
				t.Fatal(err)
			}
			mustEcho(t, st)
			wg.Go(func() {
				if _, err := st.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("read: %v", err)
				}
			})
		}
		c := a.Conns()[0].(*Conn)
		for range 3 { // nobody says what they are for
			if _, err := c.muxed.OpenStream(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, addr := range []string{addr1, addr2} {
			wg.Go(func() {
				if _, err := a.Connect(t.Context(), peer.AddrInfo{ID: target.ID(), Addrs: addrs(addr)}); err == nil {
					t.Error("connected")
				}
			})
		}
		synctest.Wait()
		var closing sync.WaitGroup
		for _, s := range []*Swarm{a, b, a, b} {
			closing.Go(func() { s.Close() })
		}
		closing.Wait()
		wg.Wait()
		if len(a.Conns())+len(b.Conns()) != 0 {
			t.Error("connections are left")
		}
	})
}

// TestEvil_D6_Churn lets peers come and go 2,000 times: every connection begins
// with one event and ends with one, in order, and memory stays.
func TestEvil_D6_Churn(t *testing.T) {
	const peers, rounds = 20, 100
	w := newWorld()
	b := newSwarm(t, w, 99)
	// Whoever reconnects at once may have connections that are not quite over.
	wide := budget(t, limits.Config{Connections: 5000, ConnectionsPerPeer: 1000})
	b.Limits.Update(wide)
	info := listen(t, b, "/memory/1")
	var mu sync.Mutex
	var log []any
	var over sync.WaitGroup // of connections
	defer b.Events.Subscribe(func(e any) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, e)
		if _, ok := e.(core.Disconnected); ok {
			over.Done()
		}
	})()
	guests := make([]*Swarm, peers)
	for i := range guests {
		guests[i] = newSwarm(t, w, uint64(i+1))
		guests[i].Limits.Update(wide)
	}
	churn := func() {
		var wg sync.WaitGroup
		over.Add(peers * rounds)
		for _, g := range guests {
			wg.Go(func() {
				for n := range rounds {
					c, err := g.Connect(t.Context(), info)
					if err != nil {
						t.Error(err)
						over.Add(n - rounds)
						return
					}
					if n%2 == 0 {
						c.Close()
					} else {
						b.Disconnect(g.Identity.ID())
						c.Close()
					}
				}
			})
		}
		wg.Wait()
		over.Wait()
	}
	churn()
	log = nil
	before := heap()
	churn()
	mu.Lock()
	defer mu.Unlock()
	open, state := map[core.Conn]bool{}, map[peer.ID]int{}
	connected, disconnected := 0, 0
	for _, e := range log {
		switch e := e.(type) {
		case core.Connected:
			p := e.Conn.RemotePeer()
			if open[e.Conn] || e.First != (state[p] == 0) {
				t.Fatalf("connected to %s, First %v, of %d", p, e.First, state[p])
			}
			open[e.Conn] = true
			state[p]++
			connected++
		case core.Disconnected:
			p := e.Conn.RemotePeer()
			if state[p]--; !open[e.Conn] || e.Last != (state[p] == 0) {
				t.Fatalf("disconnected from %s, Last %v, %d left", p, e.Last, state[p])
			}
			delete(open, e.Conn)
			disconnected++
		}
	}
	if connected != peers*rounds || disconnected != connected || len(open) != 0 {
		t.Errorf("%d connected, %d disconnected, want %d", connected, disconnected, peers*rounds)
	}
	log = nil
	if more := heap() - before; more > 256<<10 {
		t.Errorf("%d bytes more in use after 2,000 connections", more)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestListenerOfClosedSwarm(t *testing.T) {
	s := newSwarm(t, newWorld(), 1)
	tr := (*s.transports.Load())[0]
	l, err := s.Listen(tr, ma.StringCast("/memory/1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Listen(tr, ma.StringCast("/memory/1")); err == nil {
		t.Error("listening twice")
	}
	s.Close()
	l.Serve()
	if _, err := s.Listen(tr, ma.StringCast("/memory/2")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listening after Close: %v", err)
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s.begin(time.Second, func(context.Context) {}) || ctx.Err() == nil {
		t.Error("work begins after Close")
	}
	if fmt.Sprint(s.Protocols()) != "[]" {
		t.Error(s.Protocols())
	}
}
