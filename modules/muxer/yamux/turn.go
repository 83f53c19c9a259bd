// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import "sync/atomic"

// turn is a lock that may be held while the network is waited for: who waits
// for it blocks durably in the sense of package testing/synctest, so that time
// goes on there. Who has it hands it to somebody who waits. The zero value is
// not held.
type turn struct {
	users atomic.Int32                  // who has it and who waits for it
	line  atomic.Pointer[chan struct{}] // what is handed over; nil before anybody waited
}

func (t *turn) take() {
	if t.users.Add(1) > 1 {
		<-t.handover()
	}
}

// try takes the turn if nobody has it or waits for it.
func (t *turn) try() bool { return t.users.CompareAndSwap(0, 1) }

func (t *turn) give() {
	if t.users.Add(-1) > 0 {
		t.handover() <- struct{}{} // there is room: nobody else has the turn
	}
}

func (t *turn) handover() chan struct{} {
	if line := t.line.Load(); line != nil {
		return *line
	}
	line := make(chan struct{}, 1)
	if t.line.CompareAndSwap(nil, &line) {
		return line
	}
	return *t.line.Load()
}
