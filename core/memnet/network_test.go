// SPDX-License-Identifier: Apache-2.0 OR MIT

package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

var zero = ma.StringCast("/memory/0")

func mustListen(t *testing.T, n *Network, a ma.Multiaddr) manet.Listener {
	t.Helper()
	l, err := n.Listen(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestDialAndAccept(t *testing.T) {
	n := New(Options{})
	l := mustListen(t, n, ma.StringCast("/memory/7"))
	c, err := n.Dial(t.Context(), l.Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got := c.RemoteMultiaddr().String(); got != "/memory/7" {
		t.Errorf("the dialer sees %s", got)
	}
	if !s.RemoteMultiaddr().Equal(c.LocalMultiaddr()) || !s.LocalMultiaddr().Equal(l.Multiaddr()) {
		t.Errorf("the listener sees %s and %s", s.RemoteMultiaddr(), s.LocalMultiaddr())
	}
	if c.RemoteAddr().String() != "/memory/7" || c.RemoteAddr().Network() != "memory" {
		t.Errorf("net.Addr: %v", c.RemoteAddr())
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 5)
	if _, err := io.ReadFull(s, p); err != nil || string(p) != "hello" {
		t.Errorf("%q, %v", p, err)
	}
}

func TestPicksFreeNumbers(t *testing.T) {
	n := New(Options{})
	seen := make(map[string]bool)
	mustListen(t, n, ma.StringCast("/memory/2"))
	for range 5 {
		a := mustListen(t, n, zero).Multiaddr().String()
		if seen[a] || a == "/memory/2" || a == "/memory/0" {
			t.Errorf("picked %s", a)
		}
		seen[a] = true
	}
}

func TestRefusals(t *testing.T) {
	n := New(Options{})
	l := mustListen(t, n, ma.StringCast("/memory/7"))
	closed := mustListen(t, n, zero)
	closed.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	dial := func(ctx context.Context, a ma.Multiaddr) error {
		_, err := n.Dial(ctx, a)
		return err
	}
	listen := func(a ma.Multiaddr) error {
		_, err := n.Listen(a)
		return err
	}
	for name, tc := range map[string]struct{ got, want error }{
		"dial nobody":            {dial(t.Context(), ma.StringCast("/memory/9")), ErrRefused},
		"dial zero":              {dial(t.Context(), zero), ErrRefused},
		"dial a closed listener": {dial(t.Context(), closed.Multiaddr()), ErrRefused},
		"dial cancelled":         {dial(cancelled, l.Multiaddr()), context.Canceled},
		"dial tcp":               {dial(t.Context(), ma.StringCast("/ip4/1.2.3.4/tcp/1")), nil},
		"dial nothing":           {dial(t.Context(), nil), nil},
		"listen twice":           {listen(l.Multiaddr()), ErrInUse},
		"listen on more":         {listen(ma.StringCast("/memory/1/tcp/1")), nil},
	} {
		var op *net.OpError
		if !errors.As(tc.got, &op) || (tc.want != nil && !errors.Is(tc.got, tc.want)) {
			t.Errorf("%s: %v, want %v", name, tc.got, tc.want)
		}
	}
	again := mustListen(t, n, closed.Multiaddr())
	closed.Close() // must not take the number from its successor
	if _, err := n.Dial(t.Context(), again.Multiaddr()); err != nil {
		t.Errorf("dial the successor: %v", err)
	}
}

func TestAcceptEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{})
		l := mustListen(t, n, zero)
		failed := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			failed <- err
		}()
		synctest.Wait()
		l.Close()
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept under way: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after close: %v", err)
		}
	})
}

func TestCloseEndsConnsNotAccepted(t *testing.T) {
	n := New(Options{})
	l := mustListen(t, n, zero)
	c, err := n.Dial(t.Context(), l.Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v", err)
	}
}

func TestBacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{})
		l := mustListen(t, n, zero)
		for range backlog {
			if _, err := n.Dial(t.Context(), l.Multiaddr()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Dial(ctx, l.Multiaddr()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial to a full backlog: %v", err)
		}
		dialled := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := n.Dial(t.Context(), l.Multiaddr())
				dialled <- err
			}()
		}
		synctest.Wait()
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		if err := <-dialled; err != nil {
			t.Errorf("dial after accept: %v", err)
		}
		l.Close()
		if err := <-dialled; !errors.Is(err, ErrRefused) {
			t.Errorf("dial while the listener closed: %v", err)
		}
	})
}

func TestDialTakesARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{Delay: 50 * time.Millisecond})
		l := mustListen(t, n, zero)
		start := time.Now()
		c, err := n.Dial(t.Context(), l.Multiaddr())
		if err != nil || time.Since(start) != 100*time.Millisecond {
			t.Fatalf("dial: %v after %v", err, time.Since(start))
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte{1})
		s.Read(make([]byte, 1))
		s.Write([]byte{1})
		c.Read(make([]byte, 1))
		if d := time.Since(start); d != 200*time.Millisecond {
			t.Errorf("a ping was over after %v", d)
		}
		start = time.Now()
		if _, err := n.Dial(t.Context(), ma.StringCast("/memory/99")); !errors.Is(err, ErrRefused) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("refused: %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Millisecond)
		defer cancel()
		if _, err := n.Dial(ctx, l.Multiaddr()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial that takes too long: %v", err)
		}
		given, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := given.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("conn of a dial given up: %v", err)
		}
	})
}

// TestCloseRacesDial has no conn left hanging whatever comes first.
func TestCloseRacesDial(t *testing.T) {
	for range 200 {
		n := New(Options{})
		l := mustListen(t, n, zero)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if c, err := n.Dial(t.Context(), l.Multiaddr()); err == nil {
					c.Read(make([]byte, 1))
				}
			})
		}
		wg.Go(func() { l.Close() })
		wg.Wait()
	}
}

func TestNeedsNoGoroutines(t *testing.T) {
	n := New(Options{Delay: time.Nanosecond})
	before := runtime.NumGoroutine()
	l := mustListen(t, n, zero)
	for range 50 {
		c, err := n.Dial(t.Context(), l.Multiaddr())
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte{1})
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// What is lost is sent again, and what comes behind it waits: nothing is missing,
// and all is in order.
func TestLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{Delay: 50 * time.Millisecond, Loss: 0.2})
		l := mustListen(t, n, zero)
		client, err := n.Dial(t.Context(), l.Multiaddr())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		const writes = 500
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for i := range writes {
				if _, err := client.Write([]byte{byte(i)}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
			}
			client.Close()
		})
		late := 0
		for i := range writes {
			begun := time.Now()
			b := make([]byte, 1)
			if _, err := io.ReadFull(server, b); err != nil || b[0] != byte(i) {
				t.Fatalf("byte %d: %d, %v", i, b[0], err)
			}
			if time.Since(begun) > time.Second {
				late++
			}
		}
		if late < writes/10 || late > writes/3 {
			t.Errorf("%d of %d writes were late, want some 100", late, writes)
		}
		server.Close()
	})
}
