// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package process

import (
	"syscall"
	"time"
)

// OwnCPU is the user and system time of this process so far.
func OwnCPU() time.Duration { return rusage(syscall.RUSAGE_SELF) }

// ChildrenCPU is that of the processes that it started and that have ended.
func ChildrenCPU() time.Duration { return rusage(syscall.RUSAGE_CHILDREN) }

func rusage(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
