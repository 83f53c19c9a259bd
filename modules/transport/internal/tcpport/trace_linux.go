// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// leaveNoTrace has a connection be reset when it is closed, also if that is by the
// end of the process.
func leaveNoTrace(c *net.TCPConn) bool { return c.SetLinger(0) == nil }

// tracelessControl is reuseControl for a connection that leaves no trace. One that
// is given up before it is made would keep its ports too, if the other side has
// been heard already.
func tracelessControl(network, address string, raw syscall.RawConn) error {
	if err := reuseControl(network, address, raw); err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
}

// underWay reports whether the other side has still to acknowledge what was
// written.
func underWay(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	left := 0
	if raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) != nil {
		return false
	}
	return err == nil && left > 0
}
