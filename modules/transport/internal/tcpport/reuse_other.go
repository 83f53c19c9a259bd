// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package tcpport

import (
	"errors"
	"net"
	"syscall"
)

// allowReuse fails: this system has no way to share a port with one's own dials
// alone. What Windows calls SO_REUSEADDR would give it to any process.
func allowReuse(*net.TCPListener) error { return errors.ErrUnsupported }

// reuseControl is not called, for no port is shared.
func reuseControl(_, _ string, _ syscall.RawConn) error { return errors.ErrUnsupported }
