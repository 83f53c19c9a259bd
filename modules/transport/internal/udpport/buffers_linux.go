// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"net"

	"golang.org/x/sys/unix"
)

// bufferSize returns the smaller of a socket's two buffers, 0 if it is unknown.
func bufferSize(c *net.UDPConn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	size := 0
	err = raw.Control(func(fd uintptr) {
		receive, err1 := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		send, err2 := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		if err1 == nil && err2 == nil {
			size = min(receive, send)
		}
	})
	if err != nil {
		return 0
	}
	return size
}
