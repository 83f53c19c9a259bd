// SPDX-License-Identifier: Apache-2.0 OR MIT

package secretfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Create writes content to a new file at path, which only the user can read,
// and makes the folder if there is none. If anything is at path already it is
// left alone, and the error is [fs.ErrExist].
//
// The file appears at path complete or not at all, even if the process or the
// machine dies meanwhile. What a process that died left behind is removed by
// the next one that gets through.
func Create(path string, content []byte) error {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	return write(path, content, publish, func(string) {})
}

// Replace is Create for a file that may be there already: whoever reads it finds
// the old content or the new.
func Replace(path string, content []byte) error {
	return write(path, content, os.Rename, func(string) {})
}

// write gives the file its name with publish. It calls before with the name of
// each step that changes something on disk.
func write(path string, content []byte, publish func(temporary, path string) error, before func(step string)) error {
	dir, name := filepath.Dir(path), filepath.Base(path)
	before("folder")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("%s: make its folder: %w", path, err)
	}
	before("temporary")
	// CreateTemp opens with O_EXCL and 0600.
	f, err := os.CreateTemp(dir, temporaryPrefix(name)+"*"+temporarySuffix)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // it may be gone already
	if err := fill(f, content, before); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	before("name")
	if err := publish(f.Name(), path); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	before("sync folder")
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	before("remove")
	sweep(dir, name)
	return nil
}

// fill writes the content and waits until it is on disk.
func fill(f *os.File, content []byte, before func(step string)) error {
	before("write")
	_, err := f.Write(content)
	if err == nil {
		before("sync")
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// publish gives a file its final name unless that is taken.
func publish(temporary, path string) error {
	err := os.Link(temporary, path)
	if err == nil {
		return nil
	}
	if _, taken := os.Lstat(path); taken == nil {
		return fs.ErrExist
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		// A file system without hard links. Between the look and the rename
		// another process could put a file there, which would be lost; it
		// would have to be a second node with the same file.
		return os.Rename(temporary, path)
	}
	return err
}

// Files that are being written are named by prefix, random digits and suffix.
const temporarySuffix = ".tmp"

func temporaryPrefix(name string) string { return "." + name + "." }

// sweep removes the temporary files of this process and of those that died. It
// may fail: they are as hard to read as the file itself.
func sweep(dir, name string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if n := e.Name(); strings.HasPrefix(n, temporaryPrefix(name)) && strings.HasSuffix(n, temporarySuffix) {
			_ = os.Remove(filepath.Join(dir, n))
		}
	}
}
