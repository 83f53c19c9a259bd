// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import "sync"

// turn is a lock that may be held while the network is waited for: who waits
// for it blocks durably in the sense of package testing/synctest, so that time
// goes on there. The zero value is not held.
type turn struct {
	mu      sync.Mutex
	free    sync.Cond
	waiting int32
	taken   bool
}

func (t *turn) take() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free.L = &t.mu
	t.waiting++
	for t.taken {
		t.free.Wait()
	}
	t.waiting--
	t.taken = true
}

// try takes the turn if nobody has it or waits for it.
func (t *turn) try() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken || t.waiting > 0 {
		return false
	}
	t.taken = true
	return true
}

func (t *turn) give() {
	t.mu.Lock()
	t.taken = false
	t.mu.Unlock()
	t.free.Signal()
}
