// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !linux

package main

import "syscall"

func together() *syscall.SysProcAttr { return nil }
