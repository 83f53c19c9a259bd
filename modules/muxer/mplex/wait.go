// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"sync"
	"time"
)

// wait waits for c's signal, or until t unless that is zero.
func wait(c *sync.Cond, t time.Time) {
	if t.IsZero() {
		c.Wait()
		return
	}
	timer := time.AfterFunc(time.Until(t), func() {
		c.L.Lock()
		defer c.L.Unlock()
		c.Broadcast()
	})
	defer timer.Stop()
	c.Wait()
}

// passed tells whether t is a time that is over.
func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }
