// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package netmon notices that the machine's network has changed: an interface
// came or went, or has another address.
package netmon

import (
	"context"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

const (
	// interval is how often the addresses are looked at even if the system
	// has not said that they changed.
	interval = 15 * time.Second
	// settling is how long after the first sign of a change they are looked
	// at: changes come in flocks.
	settling = 300 * time.Millisecond
)

// Monitor looks at the addresses of the machine.
type Monitor struct {
	// Addrs lists the machine's addresses.
	Addrs func() []ma.Multiaddr
	// Changed is called when they are others than before, and Tick whenever
	// they were looked at.
	Changed, Tick func()

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// Start begins to watch.
func (m *Monitor) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	hints := make(chan struct{}, 1)
	if s, err := listen(); err == nil { // else the system is asked from time to time
		m.wg.Go(func() { s.read(hints) })
		context.AfterFunc(ctx, s.close)
	}
	m.wg.Go(func() { m.watch(ctx, hints) })
}

// Close stops watching and waits for a call of Changed or Tick that is under way.
func (m *Monitor) Close() {
	if m.stop != nil {
		m.stop()
		m.wg.Wait()
	}
}

func (m *Monitor) watch(ctx context.Context, hints <-chan struct{}) {
	last := snapshot(m.Addrs())
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-hints:
			timer.Reset(settling)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		timer.Reset(interval)
		now := snapshot(m.Addrs())
		if !slices.Equal(now, last) {
			last = now
			m.Changed()
		}
		m.Tick()
	}
}

// snapshot is a list of addresses that can be compared.
func snapshot(addrs []ma.Multiaddr) []string {
	list := make([]string, 0, len(addrs))
	for _, a := range addrs {
		list = append(list, string(a.Bytes()))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// source is where the system says that something may have changed.
type source interface {
	// read passes on what is said until close.
	read(hints chan<- struct{})
	close()
}

// hint passes on a sign of change; one that waits stands for all.
func hint(hints chan<- struct{}) {
	select {
	case hints <- struct{}{}:
	default:
	}
}
