// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build race

package coretest

// Race is whether the race detector is on. What costs much is then done less often.
const Race = true

// scale divides the amounts of the stress cases: the race detector is slow.
const scale = 10
