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

// startTimeout bounds the start of one module.
const startTimeout = 30 * time.Second

// module is a running or soon running module and its name.
type module struct {
	name  string
	value any
}

// startModule starts a module that is a service. One that panics or does not
// come back fails.
func startModule(ctx context.Context, m module, n core.Node) error {
	s, ok := m.value.(core.Service)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("did not start within %v", startTimeout))
	defer cancel()
	ended := make(chan error, 1)
	var starting sync.WaitGroup // not waited for: a start that hangs is given up
	starting.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				ended <- fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		ended <- s.Start(ctx, n)
	})
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("%s: start: %w", m.name, err), closeModule(m))
}

// closeModule closes a module that is a service.
func closeModule(m module) (err error) {
	s, ok := m.value.(core.Service)
	if !ok {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: close: panic: %v", m.name, r)
		}
	}()
	if err := s.Close(); err != nil {
		return fmt.Errorf("%s: close: %w", m.name, err)
	}
	return nil
}
