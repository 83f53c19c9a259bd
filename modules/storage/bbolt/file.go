// SPDX-License-Identifier: Apache-2.0 OR MIT

package bbolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// The file has one bucket for what it is, and one each table.
var (
	formatBucket = []byte("\x00xnode")
	formatKey    = []byte("format")
	format       = []byte("1")
)

// lockWait is how long the file is waited for that another process uses: one that
// is being restarted lets go of it soon.
const lockWait = 3 * time.Second

// damageError says what is wrong with the contents of a file.
type damageError struct{ cause error }

// Error implements error.
func (e *damageError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *damageError) Unwrap() error { return e.cause }

func damage(text string, args ...any) error { return &damageError{fmt.Errorf(text, args...)} }

// guard calls f, which reads the mapped file. If that is damaged, f may run into
// anything: a check of bbolt that panics, or memory that is not there.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damage("%v", r)
		}
	}()
	return f()
}

// file is an open database.
type file struct {
	db *bolt.DB
	os *os.File
}

// openFile opens the file at path, or makes one. What is in it is checked as far as
// that does not take longer with the size: where the pages of the trees lead to,
// not what is in the leaves.
func openFile(path string, maxSize int) (*file, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	isNew := errors.Is(err, os.ErrNotExist)
	switch {
	case err != nil && !isNew:
		return nil, err
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file, but %v", path, info.Mode())
	}
	f := new(file)
	err = guard(func() (err error) {
		f.db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout:      lockWait,
			FreelistType: bolt.FreelistMapType,
			MaxSize:      maxSize,
			NoStatistics: true,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				var err error
				f.os, err = openChecked(name, flag, mode)
				return f.os, err
			},
		})
		if err == nil {
			err = f.db.Update(f.begin)
		}
		return err
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout), errors.Is(err, errLocked):
		err = fmt.Errorf("%s: another process or another node of this one uses it", path)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		err = damage("%w", err)
	}
	if err != nil {
		f.abandon()
		if isNew {
			removeEmpty(path)
		}
		return nil, err
	}
	if isNew {
		syncFolder(filepath.Dir(path))
	}
	return f, nil
}

// openChecked opens, locks and checks the file.
func openChecked(name string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	locked, err := lock(f, lockWait)
	if err == nil {
		err = narrow(f)
	}
	if err == nil && locked {
		err = check(f)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

// narrow takes the file from everybody but its user.
func narrow(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	return f.Chmod(0o600)
}

// begin sees to it that the file is a store.
func (f *file) begin(tx *bolt.Tx) error {
	if b := tx.Bucket(formatBucket); b != nil {
		if got := b.Get(formatKey); !bytes.Equal(got, format) {
			return damage("it has the format %.20q, this version of xnode knows %q", got, format)
		}
		return nil
	}
	if name, _ := tx.Cursor().First(); name != nil {
		return damage("it is a database of another program")
	}
	b, err := tx.CreateBucket(formatBucket)
	if err != nil {
		return err
	}
	return b.Put(formatKey, format)
}

// close waits for who uses the file.
func (f *file) close() error { return guard(f.db.Close) }

// abandon lets go of a file that is not to be used any more. Locks in the database
// may be taken for ever, so it is not closed: its mapping stays, its lock does not.
func (f *file) abandon() {
	if f.os != nil {
		_ = f.os.Close()
	}
}

// removeEmpty removes a new file of which nothing has come.
func removeEmpty(path string) {
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		_ = os.Remove(path)
	}
}

// syncFolder makes the names in a folder last, where the system can do that.
func syncFolder(path string) {
	if dir, err := os.Open(path); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}
