// SPDX-License-Identifier: Apache-2.0 OR MIT

package unix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// bind makes a socket and its file, whose permissions are mode from the start.
// A file that nobody listens behind is replaced.
func bind(path string, mode fs.FileMode) (*net.UnixListener, fs.FileInfo, error) {
	if err := clear(path); err != nil {
		return nil, nil, err
	}
	config := net.ListenConfig{Control: control(mode)}
	// A path needs no lookup: nothing is waited for.
	l, err := config.Listen(context.Background(), "unix", path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("the folder of the socket must exist: %w", cause(err))
	}
	if err != nil {
		return nil, nil, err
	}
	unix := l.(*net.UnixListener)
	// By the name alone, Close would remove what somebody else has put there.
	unix.SetUnlinkOnClose(false)
	file, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		_ = unix.Close() // err says why
		return nil, nil, err
	}
	return unix, file, nil
}

// clear removes the file of a socket that nobody listens on. Any other file is
// an error.
func clear(path string) error {
	file, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if file.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("there is a file that is not a socket (%v): move it away", file.Mode())
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close() // nothing was written
		return fmt.Errorf("somebody listens there: %w", syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("there is a socket, and whether somebody listens on it is not known: %w", cause(err))
	}
	return remove(path, file)
}

// remove removes a file if it is still the same one.
func remove(path string, file fs.FileInfo) error {
	now, err := os.Lstat(path)
	if err == nil && os.SameFile(file, now) {
		err = os.Remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
