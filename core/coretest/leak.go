// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"testing"

	"go.uber.org/goleak"
)

// VerifyNoLeaks fails the test at its end, after all later cleanups, if a
// goroutine runs that did not run when it was called. Goroutines that are about
// to end are given a moment.
func VerifyNoLeaks(t testing.TB) {
	t.Helper()
	running := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if !t.Failed() { // a failed test leaves all sorts of things behind
			goleak.VerifyNone(t, running)
		}
	})
}
