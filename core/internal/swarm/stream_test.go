// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
)

// says is a handler that says who it is.
func says(text string) core.StreamHandler {
	return func(s core.Stream) error {
		_, err := io.WriteString(s, text)
		return err
	}
}

// ask opens a stream and returns all that is said on it.
func ask(t testing.TB, from, to *Swarm, protocol string) string {
	t.Helper()
	st, err := from.NewStream(t.Context(), to.Identity.ID(), protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	b, err := io.ReadAll(st)
	var refused *core.ProtocolError
	if errors.As(err, &refused) {
		return "refused"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHandlersAreAStack(t *testing.T) {
	a, b := twoSwarms(t)
	var changes [][]string
	defer core.On(b.Events, func(e core.LocalProtocolsChanged) { changes = append(changes, e.Protocols) })()
	want := func(protocol, who string) {
		t.Helper()
		if got := ask(t, a, b, protocol); got != who {
			t.Errorf("%s is served by %q, want %q", protocol, got, who)
		}
	}
	want("/p", "refused")
	one := b.Handle("/p", says("one"))
	want("/p", "one")
	two := b.Handle("/p", says("two"))
	three := b.Handle("/p", says("three"))
	want("/p", "three")
	two() // from the middle
	want("/p", "three")
	three()
	want("/p", "one")
	three() // again
	any1 := b.Handle("/any", says("any1"), core.HandleMatching(func(p string) bool { return p != "/other" }))
	any2 := b.Handle("/any", says("any2"), core.HandleMatching(func(p string) bool { return p == "/x" }))
	want("/p", "one")
	want("/x", "any2")
	want("/y", "any1")
	want("/other", "refused")
	any2()
	want("/x", "any1")
	any1()
	want("/x", "refused")
	one()
	want("/p", "refused")
	if diff := cmp.Diff([][]string{{"/p"}, {"/any", "/p"}, {"/p"}, nil}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// Removing a handler resets the streams that it serves and waits for it; streams
// of its successor live.
func TestHandlerRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := twoSwarms(t)
		ended := 0
		var mu sync.Mutex
		old := b.Handle("/p", func(s core.Stream) error {
			err := echo(s)
			time.Sleep(time.Second) // tidies up
			mu.Lock()
			defer mu.Unlock()
			ended++
			return err
		})
		var streams []core.Stream
		open := func() core.Stream {
			st, err := a.NewStream(t.Context(), b.Identity.ID(), "/p")
			if err != nil {
				t.Fatal(err)
			}
			mustEcho(t, st)
			streams = append(streams, st)
			return st
		}
		open()
		open()
		defer b.Handle("/p", echo)()
		successor := open()
		begin := time.Now()
		old()
		if d := time.Since(begin); d != time.Second {
			t.Errorf("removed after %v", d)
		}
		if ended != 2 {
			t.Errorf("%d handlers have ended, want 2", ended)
		}
		for _, st := range streams[:2] {
			_, err := st.Read(make([]byte, 1))
			var reset *core.StreamError
			if !errors.As(err, &reset) || reset.Code != core.StreamShutdown || !reset.Remote {
				t.Errorf("read: %v", err)
			}
			st.Close()
		}
		mustEcho(t, successor)
		successor.Close()
	})
}

// slow is a stream whose reset has to wait for a remote that hardly reads.
type slow struct{ core.MuxedStream }

func (slow) Reset(core.StreamCode) error {
	time.Sleep(10 * time.Second)
	return nil
}

// Peers that hardly read hold up the removal of a handler once, not one after
// the other.
func TestHandlerRemovalWithSlowPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, newWorld(), 1)
		remove := s.Handle("/p", echo)
		r := s.handlers.find("/p")
		for range 100 {
			st := &Stream{muxed: slow{}, conn: new(Conn), direction: core.Inbound}
			r.enter(st)
			defer time.AfterFunc(time.Second, func() { r.leave(st) }).Stop()
		}
		begin := time.Now()
		remove()
		if d := time.Since(begin); d != 10*time.Second {
			t.Errorf("removed after %v", d)
		}
	})
}

// Who is told that the protocols have changed may change them again.
func TestHandleFromASubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, newWorld(), 1)
		var told [][]string
		defer core.On(s.Events, func(e core.LocalProtocolsChanged) {
			told = append(told, e.Protocols)
			if len(told) == 1 {
				remove := s.Handle("/b", echo)
				s.Handle("/c", echo)
				remove()
			}
		})()
		s.Handle("/a", echo)
		if diff := cmp.Diff([][]string{{"/a"}, {"/a", "/c"}}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"/a", "/c"}, s.Protocols()); diff != "" {
			t.Errorf("served (-want +got):\n%s", diff)
		}
	})
}

// Whoever removes a handler, it has ended when they go on.
func TestHandlerRemovalByMany(t *testing.T) {
	a, b := twoSwarms(t)
	for range 20 {
		var serving atomic.Bool
		remove := b.Handle("/p", func(s core.Stream) error {
			serving.Store(true)
			err := echo(s)
			runtime.Gosched()
			serving.Store(false)
			return err
		})
		st, err := a.NewStream(t.Context(), b.Identity.ID(), "/p")
		if err != nil {
			t.Fatal(err)
		}
		mustEcho(t, st)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				remove()
				if serving.Load() {
					t.Error("it still serves")
				}
			})
		}
		wg.Wait()
		st.Close()
	}
}

// While handlers come and go, a protocol that is served all the time is served
// every time.
func TestHandoverLosesNoStream(t *testing.T) {
	a, b := twoSwarms(t)
	defer b.Handle("/p", says("kept"))()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				// Removed before it has served: the one below takes over.
				b.Handle("/p", says("kept"))()
			}
		}
	})
	for range 500 {
		st, err := a.NewStream(t.Context(), b.Identity.ID(), "/p")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(st)
		var reset *core.StreamError
		if errors.As(err, &reset) && reset.Code == core.StreamShutdown {
			continue // it was being served by one that was removed
		}
		if string(got) != "kept" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		st.Close()
	}
	close(stop)
	wg.Wait()
}

func TestHandlerErrorsBecomeCodes(t *testing.T) {
	a, b := twoSwarms(t)
	for name, tc := range map[string]struct {
		err  error
		code core.StreamCode
	}{
		"any":   {errors.New("any"), core.StreamNoError},
		"limit": {fmt.Errorf("wrapped: %w", &core.LimitError{}), core.StreamLimitExceeded},
		"own":   {&core.StreamError{Code: core.StreamRateLimited}, core.StreamRateLimited},
		"their": {&core.StreamError{Code: core.StreamRateLimited, Remote: true}, core.StreamNoError},
	} {
		remove := b.Handle("/p", func(s core.Stream) error {
			s.Read(make([]byte, 1))
			return tc.err
		})
		st, err := a.NewStream(t.Context(), b.Identity.ID(), "/p")
		if err != nil {
			t.Fatal(err)
		}
		st.Write([]byte{1})
		var reset *core.StreamError
		if _, err := st.Read(make([]byte, 1)); !errors.As(err, &reset) || reset.Code != tc.code || !reset.Remote {
			t.Errorf("%s: %v, want code %#x", name, err, tc.code)
		}
		st.Close()
		remove()
	}
}

func TestReaper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := twoSwarms(t)
		defer b.Handle("/p", echo)()
		c, err := a.Connect(t.Context(), infoOf(b))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 20 {
			raw, err := c.(*Conn).muxed.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			wg.Go(func() {
				_, err := raw.Read(make([]byte, 1))
				var reset *core.StreamError
				if d := time.Since(begin); d != negotiationTimeout || !errors.As(err, &reset) || reset.Code != core.StreamNegotiationFailed {
					t.Errorf("stream %d: %v after %v", i, err, d)
				}
			})
			if i%3 == 0 { // one that is in time between them
				st, err := c.NewStream(t.Context(), "/p")
				if err != nil {
					t.Fatal(err)
				}
				mustEcho(t, st)
				defer st.Close()
			}
			time.Sleep(time.Duration(i%4) * 700 * time.Millisecond)
		}
		wg.Wait()
		for _, st := range c.Streams() {
			mustEcho(t, st)
		}
		if b.reaper.first != nil || b.reaper.last != nil {
			t.Error("the reaper's list is not empty")
		}
	})
}

func TestStreamsList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := twoSwarms(t)
		defer b.Handle("/p", echo)()
		st, err := a.NewStream(t.Context(), b.Identity.ID(), "/p")
		if err != nil {
			t.Fatal(err)
		}
		mustEcho(t, st)
		for _, s := range []*Swarm{a, b} {
			list := s.Conns()[0].Streams()
			if len(list) != 1 || list[0].Protocol() != "/p" || list[0].Conn() != s.Conns()[0] {
				t.Errorf("streams %v", list)
			}
		}
		st.Close()
		synctest.Wait()
		if n := len(a.Conns()[0].Streams()) + len(b.Conns()[0].Streams()); n != 0 {
			t.Errorf("%d streams after Close", n)
		}
	})
}

// A connection that is about to end opens no more streams: NewStream takes
// another one.
func TestNewStreamOnADyingConnection(t *testing.T) {
	for name, dying := range map[string]func(*fakeSession){
		"parting": func(s *fakeSession) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.parting = true
		},
		"closed": func(s *fakeSession) { s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := twoSwarms(t)
			defer b.Handle("/p", echo)()
			c, err := a.Connect(t.Context(), infoOf(b))
			if err != nil {
				t.Fatal(err)
			}
			dying(c.(*Conn).muxed.(*fakeSession))
			st, err := a.NewStream(t.Context(), b.Identity.ID(), "/p")
			if err != nil {
				t.Fatal(err)
			}
			mustEcho(t, st)
			if st.Conn() == c {
				t.Error("it is on the dying connection")
			}
			st.Close()
			if _, err := c.NewStream(t.Context(), "/p"); !errors.Is(err, core.ErrConnClosed) {
				t.Errorf("on the dying connection: %v", err)
			}
		})
	}
}

func TestNewStreamIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := twoSwarms(t)
		c, err := a.Connect(t.Context(), infoOf(b))
		if err != nil {
			t.Fatal(err)
		}
		c.(*Conn).muxed.(*fakeSession).mute = true
		why := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		begin := time.Now()
		_, err = a.NewStream(ctx, b.Identity.ID(), "/p", "/q")
		if !errors.Is(err, why) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		begin = time.Now()
		if _, err = a.NewStream(t.Context(), b.Identity.ID(), "/p", "/q"); err == nil || time.Since(begin) != negotiationTimeout {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if _, err = c.NewStream(t.Context()); err == nil {
			t.Error("a stream of no protocol")
		}
		if n := a.Limits.Stat().OutboundStreams; n != 0 {
			t.Errorf("%d streams are counted", n)
		}
	})
}

func TestStreamsAreOfOneProtocolEach(t *testing.T) {
	a, b := twoSwarms(t)
	defer b.Handle("/b", says("b"))()
	defer b.Handle("/c", says("c"))()
	st, err := a.NewStream(t.Context(), b.Identity.ID(), "/a", "/b", "/c")
	if err != nil || st.Protocol() != "/b" {
		t.Fatalf("%v, %v", st, err)
	}
	st.Close()
	_, err = a.NewStream(t.Context(), b.Identity.ID(), "/x", "/y")
	var refused *core.ProtocolError
	if !errors.As(err, &refused) || !slices.Equal(refused.Protocols, []string{"/x", "/y"}) {
		t.Errorf("got %v", err)
	}
}
