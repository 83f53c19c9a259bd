// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build race

package coretest

// scale divides the amounts of the stress cases: the race detector is slow.
const scale = 10
