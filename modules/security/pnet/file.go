// SPDX-License-Identifier: Apache-2.0 OR MIT

package pnet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readKey reads the key in the file at path. It refuses a file that is a
// symbolic link, belongs to another user or can be read by others, unless
// allowReadable is true, and in any case one that others can write to.
func readKey(path string, allowReadable bool) (secret, error) {
	f, err := open(path, allowReadable)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := check(path, info, allowReadable); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxKeyFile {
		return nil, fmt.Errorf("%s: not a key: longer than %d bytes", path, maxKeyFile)
	}
	key, err := parseKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// open opens the file for reading. It does not wait for the writer of a pipe.
func open(path string, allowReadable bool) (*os.File, error) {
	link, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file: copy the one of another member of the network there: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	flags := os.O_RDONLY | nonBlocking
	if !allowReadable {
		if link.Mode().Type() == fs.ModeSymlink {
			return nil, fmt.Errorf("%s: is a symbolic link: name the file itself, or set \"allow_readable\"", path)
		}
		flags |= noFollow
	}
	return os.OpenFile(path, flags, 0)
}

// check looks at what kind of file it is and who may do what with it.
func check(path string, info fs.FileInfo, allowReadable bool) error {
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
	if allowReadable {
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
