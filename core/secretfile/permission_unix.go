// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package secretfile

import (
	"io/fs"
	"os"
	"syscall"
)

// Flags for opening a file.
const (
	noFollow    = syscall.O_NOFOLLOW
	nonBlocking = syscall.O_NONBLOCK
)

// permissions returns who may do what with a file. It is false where the
// system has no such bits.
func permissions(info fs.FileInfo) (fs.FileMode, bool) { return info.Mode().Perm(), true }

// ownerOf returns the ID of the user to whom a file belongs.
func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// syncDir makes the names in a folder last.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // nothing was written
	return dir.Sync()
}
