// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package tcpport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// allowReuse lets other sockets of this user share the port of a bound socket,
// if they ask for it. They cannot listen on it unless they ask too, which no
// listener of this package does before it has the port.
func allowReuse(l *net.TCPListener) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	return setOptions(raw, unix.SO_REUSEPORT)
}

// reuseControl lets a dialing socket share its port. It is a [net.Dialer]'s Control.
func reuseControl(_, _ string, raw syscall.RawConn) error {
	return setOptions(raw, unix.SO_REUSEADDR, unix.SO_REUSEPORT)
}

func setOptions(raw syscall.RawConn, options ...int) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		for _, o := range options {
			if failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o, 1); failed != nil {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return failed
}
