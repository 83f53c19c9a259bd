// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !linux

package unix

import (
	"io/fs"
	"syscall"
)

// control does nothing: the file gets its permissions after the bind. The folder
// can keep others out until then.
func control(fs.FileMode) func(network, address string, c syscall.RawConn) error { return nil }
