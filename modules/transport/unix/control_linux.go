// SPDX-License-Identifier: Apache-2.0 OR MIT

package unix

import (
	"errors"
	"io/fs"
	"syscall"
)

// control sets the permissions that the file gets when the socket is bound, so
// that it never has others.
func control(mode fs.FileMode) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), uint32(mode)) }), err)
	}
}
