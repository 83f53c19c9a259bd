// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"sync"
	"time"
)

// deadline ends waiting. It has a timer only while somebody waits for it, and
// keeps that for the next one who does. It is guarded by the lock of the
// condition that is waited for.
type deadline struct {
	at    time.Time // zero for none
	timer *time.Timer
	armed time.Time // what the timer was set for; zero if it was stopped
}

// passed reports whether it is over.
func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set changes the deadline. Those who wait must be woken by the caller.
func (d *deadline) set(t time.Time) {
	if d.at = t; t.IsZero() {
		d.stop()
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.armed = time.Time{}
	}
}

// waiter is what has a deadline.
type waiter interface {
	// overdue wakes all who wait with the deadline.
	overdue()
}

// wait waits for c, or until the deadline, which is w's.
func (d *deadline) wait(c *sync.Cond, w waiter) {
	if !d.at.IsZero() && d.armed != d.at {
		d.armed = d.at
		if left := time.Until(d.at); d.timer == nil {
			d.timer = time.AfterFunc(left, w.overdue)
		} else {
			d.timer.Reset(left)
		}
	}
	c.Wait()
}
