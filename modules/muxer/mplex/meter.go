// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"fmt"
	"time"
)

const (
	// maxAbuse is how many of its own streams a remote may reset, and how many
	// pointless frames it may send, in abusePeriod.
	maxAbuse    = 1000
	abusePeriod = 10 * time.Second
)

// meter counts what may happen maxAbuse times in a period.
type meter struct {
	what  string
	since time.Time
	count int
}

// add counts one more. Periods follow on one another.
func (m *meter) add() error {
	if now := time.Now(); now.Sub(m.since) > abusePeriod {
		m.since, m.count = now, 0
	}
	if m.count++; m.count > maxAbuse {
		return &violation{fmt.Sprintf("more than %d %s in %v", maxAbuse, m.what, abusePeriod)}
	}
	return nil
}
