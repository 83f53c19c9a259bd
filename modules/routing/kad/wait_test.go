// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"testing"
	"time"
)

// waitFor waits until something has happened.
func waitFor(t testing.TB, happened func() bool) {
	t.Helper()
	for range 10_000 {
		if happened() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it does not happen")
}
