// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !unix

package file

import (
	"io/fs"
	"os"
)

// nonBlocking does not exist here.
const nonBlocking = 0

// permissions is false: the permission bits of Go mean nothing here.
func permissions(fs.FileInfo) (fs.FileMode, bool) { return 0, false }

// ownerOf returns the ID of this process's user.
func ownerOf(fs.FileInfo) int { return os.Geteuid() }

// numberOf is 0: size and time have to do.
func numberOf(fs.FileInfo) uint64 { return 0 }
