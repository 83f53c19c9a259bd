// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// leaveNoTrace has a connection be reset when it is closed, also if that is by the
// end of the process.
func leaveNoTrace(c *net.TCPConn) bool { return c.SetLinger(0) == nil }

// canBeTraceless: it is known when the other side has got everything.
const canBeTraceless = true

// tracelessControl is reuseControl, and leaveNoTrace from the beginning: a dial that
// is given up would keep its ports too, if the other side has been heard already.
func tracelessControl(network, address string, raw syscall.RawConn) error {
	if err := reuseControl(network, address, raw); err != nil {
		return err
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
	return errors.Join(err, failed)
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
