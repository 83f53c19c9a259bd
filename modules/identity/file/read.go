// SPDX-License-Identifier: Apache-2.0 OR MIT

package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/identity/internal/keytext"
)

// Read returns the private key in the file at path. It refuses a file that is a
// symbolic link, belongs to another user or can be read by others, unless
// allowReadable is true, and in any case one that others can write to. If there
// is no file the error is [fs.ErrNotExist].
func Read(path string, allowReadable bool) (peer.PrivateKey, error) {
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
	b, err := io.ReadAll(io.LimitReader(f, keytext.MaxSize+1))
	if err != nil {
		return nil, err
	}
	key, err := keytext.Decode(b)
	switch {
	case errors.Is(err, keytext.ErrPEM):
		return nil, fmt.Errorf("%s: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: torn or not a key: restore it from a backup, or move it away for a new key and peer ID: %w", path, err)
	}
	return key, nil
}

// open opens the file for reading. It does not wait for the writer of a pipe.
func open(path string, allowReadable bool) (*os.File, error) {
	link, err := os.Lstat(path)
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
