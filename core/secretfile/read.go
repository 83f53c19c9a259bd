// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package secretfile reads and writes files that only the user who runs the
// program may see: keys, and whatever a module keeps that is worth as much.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Options are what [Read] lets pass.
type Options struct {
	// Limit is the most that the file may have, in bytes.
	Limit int
	// Readable lets others read the file, or own it.
	Readable bool
	// Link lets the path be a symbolic link.
	Link bool
}

// Read returns what is in the file at path. It refuses a file that others can
// read or that belongs to another user, unless o.Readable is set; a symbolic
// link, unless o.Link is set; and in any case one that others can write to,
// that is no regular file, or that is larger than the limit. The error says
// which, and what to do. If there is no file it is [fs.ErrNotExist].
func Read(path string, o Options) ([]byte, error) {
	f, err := open(path, o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := check(path, info, o.Readable); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(o.Limit)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > o.Limit {
		return nil, fmt.Errorf("%s: longer than %d bytes, so it is not what it should be", path, o.Limit)
	}
	return b, nil
}

// open opens the file for reading. It does not wait for the writer of a pipe.
func open(path string, o Options) (*os.File, error) {
	link, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	flags := os.O_RDONLY | nonBlocking
	if !o.Link {
		if link.Mode().Type() == fs.ModeSymlink {
			return nil, fmt.Errorf("%s: is a symbolic link: name the file itself, or set \"allow_readable\"", path)
		}
		flags |= noFollow
	}
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: is a symbolic link that leads nowhere", path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: run as the user to whom the file belongs", err)
	}
	return f, err
}

// check looks at what kind of file it is and who may do what with it.
func check(path string, info fs.FileInfo, readable bool) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: is not a regular file, but %v", path, info.Mode())
	}
	mode, guarded := permissions(info)
	if !guarded {
		return nil
	}
	if mode&0o022 != 0 {
		return fmt.Errorf("%s: others can change it (mode %04o): run chmod 600 %s", path, mode, path)
	}
	if readable {
		return nil
	}
	if mode&0o077 != 0 {
		return fmt.Errorf("%s: others can read it (mode %04o): run chmod 600 %s", path, mode, path)
	}
	if owner, self := ownerOf(info), os.Geteuid(); owner != self {
		return fmt.Errorf("%s: belongs to user %d, not to %d who runs this: run chown %d %s", path, owner, self, self, path)
	}
	return nil
}
