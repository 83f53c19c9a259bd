// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// How long a module may take to be made ready, to start and to close. One that
// takes longer is given up: the node goes on without it.
const (
	provisionTimeout = 30 * time.Second
	startTimeout     = 30 * time.Second
	closeTimeout     = 10 * time.Second
)

// module is a running or soon running module and its name.
type module struct {
	name  string
	value any
}

// startModule starts a module that is a service. One that panics or does not
// come back fails, and is closed.
func startModule(ctx context.Context, m module, n core.Node) error {
	s, ok := m.value.(core.Service)
	if !ok {
		return nil
	}
	err := contain(ctx, startTimeout, func(ctx context.Context) error { return s.Start(ctx, n) })
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("%s: start: %w", m.name, err), closeModule(m))
}

// closeModule closes a module that is a service. It does not wait for one that
// does not come back.
func closeModule(m module) error {
	s, ok := m.value.(core.Service)
	if !ok {
		return nil
	}
	err := contain(context.Background(), closeTimeout, func(context.Context) error { return s.Close() })
	if err != nil {
		return fmt.Errorf("%s: close: %w", m.name, err)
	}
	return nil
}

// contain calls f and returns when f does, panics, or has taken too long.
func contain(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done within %v", timeout))
	defer cancel()
	ended := make(chan error, 1)
	var running sync.WaitGroup // not waited for: what hangs is given up
	running.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				ended <- fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		ended <- f(ctx)
	})
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
