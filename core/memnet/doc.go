// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package memnet is a network within one process: listeners and buffered
// connections under /memory multiaddrs, with a latency if wanted. It spawns no
// goroutine, and whatever blocks in it blocks durably in the sense of package
// testing/synctest, so that many nodes can run on fake time.
//
// It is no model of loss, reordering or bandwidth, and a connection is no
// slower than memory but for its latency.
package memnet
