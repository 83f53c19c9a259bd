// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// checkEvery is how often the clock is looked at, at least: a timer does
	// not run while the machine sleeps, and knows nothing of a clock that is set.
	checkEvery = time.Hour
	// firstRetry is how long to wait after the first attempt that has failed.
	// It doubles with each further one, up to maxRetry.
	firstRetry = 2 * time.Minute
	maxRetry   = 12 * time.Hour
	// maxLater bounds how long a server can put off the next attempt.
	maxLater = 24 * time.Hour
	// maxOrder bounds an attempt.
	maxOrder = 15 * time.Minute
)

// laterError is a failure after which a server has said when to come back.
type laterError struct {
	error
	until time.Time
}

func (e *laterError) Unwrap() error { return e.error }

// run gets certificates until ctx ends.
func (a *AutoTLS) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		if c := a.inUse(); c != nil && time.Now().Before(c.renew) {
			failures = 0
			a.set(State{Phase: Issued, Next: c.renew})
			a.sleep(ctx, time.Until(c.renew), nil)
			continue
		}
		dialable := a.names.dialable(a.addrs.Addrs())
		if len(dialable) == 0 {
			a.set(State{Phase: WaitingPublicAddr})
			a.sleep(ctx, checkEvery, a.changed)
			continue
		}
		err := a.attempt(ctx, dialable)
		if err == nil || ctx.Err() != nil {
			continue
		}
		failures++
		next := time.Now().Add(delay(failures, err))
		a.set(State{Phase: Failed, Reason: err.Error(), Next: next.Round(time.Second)})
		for ctx.Err() == nil && time.Now().Before(next) {
			a.sleep(ctx, time.Until(next), nil)
		}
	}
}

// delay is how long to wait after a number of failures, the last of which is err.
func delay(failures int, err error) time.Duration {
	d := maxRetry
	if failures < 20 {
		d = min(d, firstRetry<<(failures-1))
	}
	d = d*4/5 + rand.N(d*2/5)
	if later, ok := errors.AsType[*laterError](err); ok {
		d = max(d, min(time.Until(later.until), maxLater))
	}
	return d
}

// sleep waits, but not for long, and not over the end of the certificate in use.
func (a *AutoTLS) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	d = min(d, checkEvery)
	c := a.inUse()
	if c != nil {
		d = min(d, max(0, time.Until(c.end())))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
	if c == nil {
		return
	}
	if err := c.check(time.Now()); err != nil {
		a.log.Error("the certificate in use is given up", "error", err)
		a.use(nil)
	}
}

// attempt gets a certificate, from the data folder if somebody else has got it.
func (a *AutoTLS) attempt(ctx context.Context, dialable []string) error {
	if err := a.turn.take(ctx); err != nil {
		return err
	}
	defer a.turn.give()
	if done, err := a.restore(); done || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, maxOrder)
	defer cancel()
	c, err := a.fetch(ctx, dialable)
	if err != nil {
		return err
	}
	if err := a.keep(c); err != nil {
		a.log.Warn("the certificate is not kept: it will be ordered again after a restart", "error", err)
	}
	if err := c.check(time.Now()); err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	a.use(c)
	return nil
}

// restore takes the certificate in the data folder into use, if it is a better
// one than that in use. It is done if nothing needs to be ordered then. A
// certificate of the future is an error: while the clock is wrong, a new one
// would be no better.
func (a *AutoTLS) restore() (done bool, err error) {
	c, now := a.kept(), time.Now()
	if c == nil || !now.Before(c.end()) {
		return false, nil
	}
	if err := c.check(now); err != nil {
		return false, fmt.Errorf("%s: %w", a.path(), err)
	}
	if before := a.inUse(); before == nil || before.end().Before(c.end()) {
		a.use(c)
	}
	return now.Before(c.renew), nil
}

// turnKey is the key of a turn among what a node shares.
type turnKey struct{}

// turn lets one instance of the module order at a time, so that those of several
// transports, or one that replaces another, get by with one order.
type turn struct{ taken chan struct{} }

func newTurn() (*turn, error) { return &turn{make(chan struct{}, 1)}, nil }

func (t *turn) take(ctx context.Context) error {
	select {
	case t.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for another order: %w", ctx.Err())
	}
}

func (t *turn) give() { <-t.taken }

// Close implements [io.Closer].
func (*turn) Close() error { return nil }
