// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !unix

package xnodecmd

import "syscall"

// detached is nothing: a process outlives its terminal here.
func detached() *syscall.SysProcAttr { return nil }
