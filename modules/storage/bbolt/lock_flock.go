// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package bbolt

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// lock takes the lock that bbolt takes too, so that the file can be checked before
// bbolt has it. It waits for a while if another process has it.
func lock(f *os.File, wait time.Duration) (locked bool, err error) {
	const pause = 20 * time.Millisecond
	for until := time.Now().Add(wait); ; time.Sleep(pause) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return false, err
		case time.Now().After(until):
			return false, errLocked
		}
	}
}
