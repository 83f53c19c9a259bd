// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import "syscall"

// together lets a daemon end with this process, however that ends.
func together() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
