// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/internal/upgrade"
	"github.com/xnode-p2p/xnode/core/peer"
)

// race tries the addresses of one peer, each when its rank lets it or when
// nothing else is under way, until one connects.
type race struct {
	swarm    *Swarm
	policy   *dialPolicy
	peer     peer.ID
	attempts []*attempt
	results  chan *attempt // holds every attempt
	running  sync.WaitGroup
}

// attempt is one address of a race.
type attempt struct {
	core.DialAttempt
	name  string // that the address was resolved from; may be empty
	again bool   // a connection of the same punch has failed
	muxed core.MuxedConn
	scope *limits.Conn
	stat  core.ConnStat
}

// run returns the first connection, or nil if there is none. All attempts have
// ended when it returns.
func (r *race) run(ctx context.Context) *Conn {
	ctx, cancel := context.WithCancel(ctx)
	begin := time.Now()
	turn := time.NewTimer(0)
	defer turn.Stop()

	var winner *Conn
	next, flying := 0, 0
	for winner == nil && ctx.Err() == nil && (next < len(r.attempts) || flying > 0) {
		ready := next < len(r.attempts) && flying < r.policy.ParallelPerPeer
		if ready && (flying == 0 || time.Since(begin) >= r.attempts[next].Delay) {
			a := r.attempts[next]
			next++
			flying++
			r.running.Go(func() {
				r.swarm.try(ctx, r.policy, r.peer, a)
				r.results <- a
			})
			continue
		}
		var due <-chan time.Time
		if ready {
			turn.Reset(time.Until(begin.Add(r.attempts[next].Delay)))
			due = turn.C
		}
		select {
		case a := <-r.results:
			flying--
			winner = r.swarm.finish(a)
		case <-due:
		case <-ctx.Done():
		}
	}
	cancel()
	r.running.Wait()
	close(r.results)
	for a := range r.results {
		r.swarm.discard(a, core.ConnSupplanted)
	}
	return winner
}

// finish puts a successful attempt's connection into the table.
func (s *Swarm) finish(a *attempt) *Conn {
	if a.muxed == nil {
		return nil
	}
	c, err := s.add(a.muxed, a.scope, a.stat)
	if err != nil {
		s.discard(a, closeCode(err))
		a.Outcome, a.Err = core.DialFailed, err
		return nil
	}
	a.Outcome = core.DialConnected
	s.Book.AddPeerAddrs(c.RemotePeer(), core.ConnectedTTL, a.Addr)
	return c
}

// discard closes the connection of an attempt that came too late, or that the
// table does not take.
func (s *Swarm) discard(a *attempt, code core.ConnCode) {
	if a.muxed != nil {
		a.muxed.CloseWithCode(code)
		a.scope.Done()
		a.Outcome = core.DialCancelled
	}
}

// try dials one address and upgrades the connection.
func (s *Swarm) try(ctx context.Context, policy *dialPolicy, p peer.ID, a *attempt) {
	if !has(a.Addr, ma.P_CIRCUIT) { // which dials the relay, with a slot of its own
		select {
		case policy.slots <- struct{}{}:
			defer func() { <-policy.slots }()
		case <-ctx.Done():
			return
		}
	}
	begin := time.Now()
	timeout := time.Duration(policy.AttemptTimeout)
	limited, cancel := context.WithTimeoutCause(ctx, timeout, &timeoutError{after: timeout})
	defer cancel()
	err := s.attempt(limited, p, a)
	for s.punchesAgain(limited, err) {
		a.again, a.Steps = true, nil
		err = s.attempt(limited, p, a)
	}
	a.Took = time.Since(begin)
	key := backoffKey{p, string(a.Addr.Bytes())}
	switch {
	case err == nil:
		s.backoff.succeeded(key)
		s.holes.note(a.Addr, true)
	case ctx.Err() != nil:
		a.Outcome, a.Err = core.DialCancelled, context.Cause(ctx)
	case isPunch(ctx): // says nothing about dials that nobody helps
		a.Outcome, a.Err = core.DialFailed, err
	default:
		a.Outcome, a.Err = core.DialFailed, err
		s.blame(key, a, policy)
	}
}

// blame notes a failure of an address, unless it was not the address's.
func (s *Swarm) blame(k backoffKey, a *attempt, policy *dialPolicy) {
	var limit *core.LimitError
	if errors.As(a.Err, &limit) {
		return // our own
	}
	s.holes.note(a.Addr, a.answered())
	s.backoff.failed(k, time.Now(), policy.DialConfig)
	var mismatch *core.PeerMismatchError
	if errors.As(a.Err, &mismatch) {
		s.Book.ForgetAddr(k.peer, a.Addr)
	}
}

func (s *Swarm) attempt(ctx context.Context, p peer.ID, a *attempt) error {
	t, ok := TransportFor(*s.transports.Load(), a.Addr)
	if !ok {
		return core.ErrNoTransport
	}
	scope, err := s.Limits.OpenConn(core.Outbound, a.Addr)
	if err != nil {
		return err
	}
	a.stat = core.ConnStat{Direction: core.Outbound, Transport: t.Name}
	if err := s.connectWith(ctx, t, p, a, scope); err != nil {
		scope.Done()
		return err
	}
	a.scope = scope
	return nil
}

// connectWith connects with one transport. A panic of the transport is an error:
// it may be one that the remote has provoked.
func (s *Swarm) connectWith(ctx context.Context, t Transport, p peer.ID, a *attempt, scope *limits.Conn) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &upgrade.PanicError{Value: value, Stack: debug.Stack()}
		}
		s.logPanic(err)
	}()
	if a.name != "" {
		ctx = core.WithDialName(ctx, a.name)
	}
	done := a.step("dial")
	if mt, ok := t.Transport.(core.MuxedTransport); ok {
		muxed, err := mt.Dial(ctx, a.Addr, p, scope)
		done(t.Name)
		if err != nil {
			return withCause(ctx, err)
		}
		if got := muxed.RemotePeer(); got != p {
			muxed.Close()
			return &core.PeerMismatchError{Want: p, Got: got}
		}
		a.muxed = muxed
		return nil
	}
	to := a.Addr
	if to[len(to)-1].Code() == ma.P_CIRCUIT {
		to = peer.JoinAddr(to, p)
	}
	raw, err := t.Transport.(core.RawTransport).Dial(ctx, to)
	done(t.Name)
	if err != nil {
		return withCause(ctx, err)
	}
	r := upgrade.Request{Initiator: true, Expect: p, Memory: scope, Step: a.step}
	if dial, ok := core.Punching(ctx); ok {
		if !a.again {
			r.Security = s.securityOf(p)
		}
		if dial.Hear > 0 {
			done := a.step("hear")
			raw, r.Initiator = hear(ctx, raw, dial.Hear)
			done(t.Name)
		}
	}
	c, err := s.upgrader.Upgrade(ctx, raw, r)
	if err != nil {
		return err
	}
	a.muxed, a.stat.Security, a.stat.Muxer, a.stat.Limited = c, c.Security, c.MuxerProtocol, isLimited(raw)
	return nil
}

// isLimited reports whether a connection says that it is limited.
func isLimited(raw manet.Conn) bool {
	l, ok := raw.(core.LimitedConn)
	return ok && l.Limited()
}

// step notes that a stage begins.
func (a *attempt) step(name string) (done func(detail string)) {
	begin := time.Now()
	i := len(a.Steps)
	a.Steps = append(a.Steps, core.DialStep{Name: name})
	return func(detail string) {
		a.Steps[i].Detail = detail
		a.Steps[i].Took = time.Since(begin)
	}
}

// withCause adds why ctx ended to err, if it did.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}

// timeoutError is the end of an attempt's time.
type timeoutError struct{ after time.Duration }

// Error implements error.
func (e *timeoutError) Error() string { return fmt.Sprintf("no answer within %v", e.after) }

// Timeout implements [net.Error].
func (e *timeoutError) Timeout() bool { return true }

// Temporary implements [net.Error].
func (e *timeoutError) Temporary() bool { return true }
