// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package file

import (
	"io/fs"
	"syscall"
)

// nonBlocking opens a file without waiting for the writer of a pipe.
const nonBlocking = syscall.O_NONBLOCK

// numberOf returns the number of a file on its disk.
func numberOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return 0
}
