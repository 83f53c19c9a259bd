// SPDX-License-Identifier: Apache-2.0 OR MIT

package lan

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Do runs f, whose sockets are the host's. f must not hand that on to another
// goroutine.
func (h *Host) Do(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	err = enter(fmt.Sprintf("/proc/%d/ns/net", h.hold.Process.Pid))
	if err == nil {
		err = f()
	}
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back) // the thread stays locked: nobody else may have it
	}
	// It must not end here: with it would end the processes that it has started.
	runtime.UnlockOSThread()
	return err
}

// enter has the thread be in a network namespace.
func enter(path string) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", path, err)
	}
	return nil
}
