// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"fmt"
	"time"
)

const (
	// maxAbuse is how many resets, and how many pointless frames, a remote
	// may send in abusePeriod.
	maxAbuse    = 1000
	abusePeriod = 10 * time.Second
)

var (
	errTooManyResets    = fmt.Errorf("more than %d resets in %v", maxAbuse, abusePeriod)
	errTooManyPointless = fmt.Errorf("more than %d frames without a point in %v", maxAbuse, abusePeriod)
)

// meter counts what may happen maxAbuse times in a period.
type meter struct {
	since time.Time
	count int
}

// exceeded counts one more. Periods follow on one another.
func (m *meter) exceeded() bool {
	if now := time.Now(); now.Sub(m.since) > abusePeriod {
		m.since, m.count = now, 0
	}
	m.count++
	return m.count > maxAbuse
}
