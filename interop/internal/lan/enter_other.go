// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !linux

package lan

import (
	"context"
	"fmt"
	"io"
	"syscall"
)

// Enter fails: only Linux has such networks.
func Enter(context.Context, ...string) (status int, err error) {
	return 0, fmt.Errorf("%w: this is not Linux", ErrUnavailable)
}

// EnterTo fails too.
func EnterTo(context.Context, io.Writer, ...string) (status int, err error) {
	return 0, fmt.Errorf("%w: this is not Linux", ErrUnavailable)
}

func namespaces(bool) *syscall.SysProcAttr { return nil }

// Do fails.
func (*Host) Do(func() error) error { return ErrUnavailable }
