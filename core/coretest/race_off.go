// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !race

package coretest

// Race is whether the race detector is on. What costs much is then done less often.
const Race = false

// scale divides the amounts of the stress cases.
const scale = 1
