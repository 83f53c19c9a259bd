// SPDX-License-Identifier: Apache-2.0 OR MIT

package evil

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/limits"
)

const (
	// canaryProtocol is what the canary speaks with the victim.
	canaryProtocol = "/evil/canary/1.0.0"
	// beat is the pause between two rounds of the canary at first; it grows to
	// slowBeat in attacks that last.
	beat     = 20 * time.Millisecond
	slowBeat = time.Second
	// patience bounds the wait for a victim to come back to its base.
	patience = 30 * time.Second
	// defaultHeap is Budget.Heap, in bytes.
	defaultHeap = 1 << 20
	// moreGoroutines is how many goroutines there may be more than before:
	// those that modules keep once they have begun.
	moreGoroutines = 2
)

// Node is a node that can be attacked.
type Node interface {
	core.Node
	Limits() limits.Stat
}

// Victim is who is attacked, how it is reached, and who watches.
type Victim struct {
	Node Node
	// Dial makes a raw connection to the node.
	Dial func(context.Context) (manet.Conn, error)
	// Canary is an honest peer that knows an address of the node.
	Canary core.Node
}

// Budget is what an attack may leave behind.
type Budget struct {
	// Heap is how many bytes more may be in use afterwards. Default: 1 MiB.
	Heap int64
}

// Run runs an attack, which must close what it opens. All the while the canary
// talks to the victim over one stream: it may be slow, but nothing may be lost.
// Afterwards the limits must count exactly what they counted before, and
// goroutines and heap be back within the budget.
func Run(t testing.TB, v Victim, attack func(*Attacker), b Budget) {
	t.Helper()
	remove := v.Node.Handle(canaryProtocol, func(s core.Stream) error {
		_, err := io.Copy(s, s)
		return err
	})
	defer remove()
	c, err := newCanary(t.Context(), v)
	if err != nil {
		t.Fatalf("canary: %v", err)
	}
	defer c.stream.Close()
	if err := c.round(); err != nil {
		t.Fatalf("canary: %v", err)
	}
	before := settle(t, v)
	goroutines, heap := runtime.NumGoroutine(), heapInUse()

	watch := c.watch()
	attack(&Attacker{TB: t, Victim: v})
	if err := watch(); err != nil {
		t.Errorf("the canary was disturbed: %v", err)
	}
	wait(t, func() error {
		now := v.Node.Limits()
		// A stream that was over by then may have held some memory still.
		if now.Memory = max(now.Memory, before.Memory); now != before {
			return fmt.Errorf("limits count %+v, want %+v as before", now, before)
		}
		if n := runtime.NumGoroutine(); n > goroutines+moreGoroutines {
			return fmt.Errorf("%d goroutines, %d before", n, goroutines)
		}
		return nil
	})
	if b.Heap == 0 {
		b.Heap = defaultHeap
	}
	if more := heapInUse() - heap; more > b.Heap {
		t.Errorf("%d bytes more in use than before, budget %d", more, b.Heap)
	}
}

// settle waits until what begins with a connection is over: the number of
// streams is that of the canary's.
func settle(t testing.TB, v Victim) (now limits.Stat) {
	t.Helper()
	wait(t, func() error {
		now = v.Node.Limits()
		if n := now.InboundStreams + now.OutboundStreams; n != 1 {
			return fmt.Errorf("%d streams are open, want that of the canary", n)
		}
		return nil
	})
	return now
}

// wait asks again and again until there is no error, and fails the test with
// the last one if that does not happen. It works on fake time too.
func wait(t testing.TB, check func() error) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for start := time.Now(); ; <-ticker.C {
		err := check()
		if err == nil {
			return
		}
		if time.Since(start) > patience {
			t.Errorf("after %v: %v", patience, err)
			return
		}
	}
}

func heapInUse() int64 {
	var m runtime.MemStats
	for range 2 { // what a pool holds survives one collection
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// canary is an honest conversation.
type canary struct {
	stream core.Stream
	rounds int
}

func newCanary(ctx context.Context, v Victim) (*canary, error) {
	s, err := v.Canary.NewStream(ctx, v.Node.ID(), canaryProtocol)
	if err != nil {
		return nil, err
	}
	return &canary{stream: s}, nil
}

// round says something and hears it again.
func (c *canary) round() error {
	c.rounds++
	said := bytes.Repeat(fmt.Appendf(nil, "round %d; ", c.rounds), 100)
	if _, err := c.stream.Write(said); err != nil {
		return fmt.Errorf("write of round %d: %w", c.rounds, err)
	}
	heard := make([]byte, len(said))
	if _, err := io.ReadFull(c.stream, heard); err != nil {
		return fmt.Errorf("read of round %d: %w", c.rounds, err)
	}
	if !bytes.Equal(said, heard) {
		return fmt.Errorf("round %d came back changed", c.rounds)
	}
	return nil
}

// watch talks until stop is called, which returns what went wrong.
func (c *canary) watch() (stop func() error) {
	stopped := make(chan struct{})
	var err error
	var talking sync.WaitGroup
	talking.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for pause := beat; err == nil; pause = min(pause+pause/8, slowBeat) {
			err = c.round()
			timer.Reset(pause)
			select {
			case <-stopped:
				return
			case <-timer.C:
			}
		}
	})
	return func() error {
		close(stopped)
		talking.Wait()
		select {
		case <-c.stream.Conn().Done():
			err = errors.Join(err, errors.New("its connection was closed"))
		default:
		}
		if err == nil {
			err = c.round()
		}
		return err
	}
}
