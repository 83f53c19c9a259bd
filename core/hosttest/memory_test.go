// SPDX-License-Identifier: Apache-2.0 OR MIT

package hosttest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// window is what yamux takes for every stream, in bytes.
const window = 256 << 10

// bounded is a node with limits, and two peers that are connected to it.
type bounded struct {
	t              *testing.T
	node, one, two *host.Host
	before         map[*host.Host]limits.Stat
}

// withBounded runs a test on fake time with a node that has the given limits. In
// the end all counters must be what they were at first, and zero after the nodes
// have closed.
func withBounded(t *testing.T, config string, f func(t *testing.T, b *bounded)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{Delay: time.Millisecond})
		b := &bounded{
			t:    t,
			node: network.Node(t, hosttest.Settings{Seed: 1, Config: fmt.Sprintf(`{"limits": {%s}}`, config)}),
			one:  network.Node(t, hosttest.Settings{Seed: 2}),
			two:  network.Node(t, hosttest.Settings{Seed: 3}),
		}
		all := []*host.Host{b.node, b.one, b.two}
		for _, h := range all {
			defer h.Handle("/echo", func(s core.Stream) error {
				_, err := io.Copy(s, s)
				return err
			})()
		}
		conns := []core.Conn{hosttest.Connect(t, b.one, b.node), hosttest.Connect(t, b.two, b.node)}
		time.Sleep(time.Second) // identify is over
		b.before = b.counters(all...)
		f(t, b)
		time.Sleep(time.Second) // the news of all ends have come
		for h, got := range b.counters(all...) {
			if got != b.before[h] {
				t.Errorf("%v counts %+v after the streams, %+v before", h.ID(), got, b.before[h])
			}
		}
		for _, c := range conns {
			select {
			case <-c.Done():
				t.Errorf("the connection of %v has ended", c.RemotePeer())
			default:
			}
			c.Close()
		}
		time.Sleep(time.Second)
		for h, got := range b.counters(all...) {
			if got != (limits.Stat{}) {
				t.Errorf("%v counts %+v after the connections", h.ID(), got)
			}
		}
	})
}

func (b *bounded) counters(all ...*host.Host) map[*host.Host]limits.Stat {
	list := make(map[*host.Host]limits.Stat)
	for _, h := range all {
		list[h] = h.Limits()
	}
	return list
}

// hold opens a stream whose handler says a word and then waits. It is over if
// there is an error.
func (b *bounded) hold(from *host.Host) (core.Stream, error) {
	s, err := from.NewStream(b.t.Context(), b.node.ID(), "/hold")
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err = io.ReadFull(s, make([]byte, 2)); err != nil {
		s.Reset(core.StreamNoError)
	}
	return s, err
}

// wantServed fails the test unless the node serves both peers on new streams.
func (b *bounded) wantServed() {
	b.t.Helper()
	for _, from := range []*host.Host{b.one, b.two} {
		s, err := from.NewStream(b.t.Context(), b.node.ID(), "/echo")
		if err != nil {
			b.t.Fatal(err)
		}
		said := bytes.Repeat([]byte("0123456789abcdef"), window/4) // more than a window
		var writing sync.WaitGroup
		writing.Go(func() {
			_, err := s.Write(said)
			if err := errors.Join(err, s.CloseWrite()); err != nil {
				b.t.Errorf("write: %v", err)
			}
		})
		heard, err := io.ReadAll(s)
		writing.Wait()
		if err != nil || !bytes.Equal(said, heard) {
			b.t.Errorf("of %d bytes %d came back: %v", len(said), len(heard), err)
		}
		s.Close()
	}
}

// refused tells whether an error is a stream's end for want of room.
func refused(err error, byRemote bool) bool {
	end, ok := errors.AsType[*core.StreamError](err)
	return ok && end.Code == core.StreamLimitExceeded && end.Remote == byRemote
}

// The streams of a protocol, whoever opens them, take no more memory than it
// may have. All else goes on.
func TestMemoryPerProtocol(t *testing.T) {
	withBounded(t, `"memory_per_protocol": "1MiB"`, func(t *testing.T, b *bounded) {
		for _, h := range []*host.Host{b.node, b.one} {
			defer h.Handle("/hold", func(s core.Stream) error {
				if _, err := s.Write([]byte("hi")); err != nil {
					return err
				}
				_, err := io.Copy(io.Discard, s)
				return err
			})()
		}
		time.Sleep(time.Second) // the peers have heard of it
		var held []core.Stream
		for i, from := range []*host.Host{b.one, b.two, b.one, b.one} {
			s, err := b.hold(from)
			if err != nil {
				t.Fatalf("stream %d: %v", i, err)
			}
			held = append(held, s)
		}
		full := func() {
			t.Helper()
			for _, from := range []*host.Host{b.one, b.two} {
				if _, err := b.hold(from); !refused(err, true) {
					t.Errorf("a stream too many: %v", err)
				}
			}
			_, err := b.node.NewStream(t.Context(), b.one.ID(), "/hold")
			if limit, ok := errors.AsType[*core.LimitError](err); !ok || limit.Knob != "limits.memory_per_protocol" {
				t.Errorf("a stream too many of the node: %v", err)
			}
			b.wantServed()
		}
		full()
		held[1].Close()
		time.Sleep(time.Second)
		s, err := b.hold(b.one)
		if err != nil {
			t.Errorf("in the place of one that has ended: %v", err)
		}
		held = append(held, s)
		full()
		for _, s := range held {
			s.Close()
		}
	})
}

// What lies unread on a stream takes no more memory than its window, however small
// the pieces in which it came.
func TestMemoryOfSmallWrites(t *testing.T) {
	for name, config := range map[string]string{
		"memory_per_stream":   `"memory_per_stream": "256KiB"`,
		"memory_per_protocol": `"memory_per_protocol": "512KiB"`,
	} {
		t.Run(name, func(t *testing.T) {
			withBounded(t, config, func(t *testing.T, b *bounded) {
				release, handled := make(chan struct{}), make(chan error, 2)
				defer b.node.Handle("/hold", func(s core.Stream) error {
					_, err := s.Write([]byte("hi"))
					<-release
					if err == nil {
						_, err = io.Copy(s, s)
					}
					handled <- err
					return err
				})()
				time.Sleep(time.Second)
				small, err := b.hold(b.one)
				if err != nil {
					t.Fatal(err)
				}
				other, err := b.hold(b.two)
				if err != nil {
					t.Fatal(err)
				}
				held := b.node.Limits().Memory
				small.SetWriteDeadline(time.Now().Add(time.Minute))
				piece, written := []byte("0123456789a"), 0
				for err == nil {
					var n int
					n, err = small.Write(piece)
					written += n
				}
				if written < window-1000 || written > window || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%d bytes of a window were taken in small pieces, then: %v", written, err)
				}
				small.SetWriteDeadline(time.Time{})
				if got := b.node.Limits().Memory; got != held || got < 2*window {
					t.Errorf("two streams take %d bytes with a window full of small pieces, and %d without", got, held)
				}
				if err := small.CloseWrite(); err != nil {
					t.Error(err)
				}

				if _, err := other.Write([]byte("hello")); err != nil {
					t.Error(err)
				}
				if err := other.CloseWrite(); err != nil {
					t.Error(err)
				}
				close(release)
				if heard, err := io.ReadAll(other); string(heard) != "hello" || err != nil {
					t.Errorf("the other peer's stream: %q, %v", heard, err)
				}
				other.Close()
				if heard, err := io.ReadAll(small); len(heard) != written || err != nil {
					t.Errorf("of %d bytes in small pieces %d came back: %v", written, len(heard), err)
				}
				small.Close()
				if err := errors.Join(<-handled, <-handled); err != nil {
					t.Errorf("the handlers end with %v", err)
				}
				b.wantServed()
			})
		})
	}
}
