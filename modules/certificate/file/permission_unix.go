// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package file

import (
	"io/fs"
	"syscall"
)

// nonBlocking opens a file without waiting for the writer of a pipe.
const nonBlocking = syscall.O_NONBLOCK

// permissions returns who may do what with a file. It is false where the system
// has no such bits.
func permissions(info fs.FileInfo) (fs.FileMode, bool) { return info.Mode().Perm(), true }

// ownerOf returns the ID of the user to whom a file belongs.
func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// numberOf returns the number of a file on its disk.
func numberOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return 0
}
