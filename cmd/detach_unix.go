// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package xnodecmd

import "syscall"

// detached makes a process outlive the terminal it was started from.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
