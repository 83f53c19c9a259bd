// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !linux

package tcpport

import (
	"net"
	"syscall"
)

// leaveNoTrace does nothing: here it cannot be known when the other side has got
// everything.
func leaveNoTrace(*net.TCPConn) bool { return false }

const canBeTraceless = false

func underWay(*net.TCPConn) bool { return false }

func tracelessControl(network, address string, raw syscall.RawConn) error {
	return reuseControl(network, address, raw)
}
