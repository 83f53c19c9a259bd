// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package evil attacks nodes in tests. It speaks every layer of a connection
// by hand, right or wrong: bytes on the socket, lines of multistream-select, a
// Noise handshake, frames of yamux. [Run] runs an attack and checks that the
// victim and its honest peers come to no harm.
//
// A panic in any goroutine of the victim ends the test process: that there is
// none is checked by surviving.
package evil
