// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import "time"

// deadline is a time after which those who wait must stop. It has no lock of its
// own.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

// set moves the deadline; wake is called when it passes.
func (d *deadline) set(t time.Time, wake func()) {
	d.stop()
	d.at = t
	if t.IsZero() {
		return
	}
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, wake)
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
