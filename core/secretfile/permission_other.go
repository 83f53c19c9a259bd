// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !unix

package secretfile

import (
	"io/fs"
	"os"
)

// Flags for opening a file, which other systems do not have.
const (
	noFollow    = 0
	nonBlocking = 0
)

// permissions is false: the permission bits of Go mean nothing here.
func permissions(fs.FileInfo) (fs.FileMode, bool) { return 0, false }

// ownerOf returns the ID of this process's user.
func ownerOf(fs.FileInfo) int { return os.Geteuid() }

// syncDir does nothing: folders cannot be synced here.
func syncDir(string) error { return nil }
