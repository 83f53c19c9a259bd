// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package deadline makes the end of a context the deadline of a connection.
package deadline

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Within runs f, whose reads and writes on conn fail once ctx is done. The error
// is that of f; if ctx ended too, its cause comes first. The deadlines of conn
// are cleared if ctx ended, and else untouched.
func Within(ctx context.Context, conn net.Conn, f func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		_ = conn.SetDeadline(time.Unix(1, 0)) // a conn without deadlines cannot be interrupted
	})
	err := f()
	if stop() {
		return err
	}
	<-cut
	if reset := conn.SetDeadline(time.Time{}); err == nil && reset != nil {
		return fmt.Errorf("clear the deadline: %w", reset)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return nil
}
