// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// dial is one dial to a peer; whoever wants to reach the same peer meanwhile
// joins it.
type dial struct {
	key     dialKey
	policy  *dialPolicy
	given   []ma.Multiaddr
	before  *core.DialRecord // of a routed dial: what was tried already
	callers int              // under the swarm's mu
	cancel  context.CancelFunc
	done    chan struct{}

	// Valid once done is closed.
	conn   *Conn
	err    error
	record *core.DialRecord
}

type dialKey struct {
	peer   peer.ID
	direct bool
	punch  core.PunchDial // zero for a dial of the usual sort
	// routed: the addresses are those that routing finds. Such a dial follows
	// one of the others, so that who helps to find the peer can join that.
	routed bool
	// relayed: only what is behind a relay is dialled. Such a dial is a part of
	// one of the others, which it must not wait for.
	relayed bool
}

// dialRequest is what a caller wants: a connection to a peer that is not worse
// than what will do, with the given addresses and those in the peerstore.
type dialRequest struct {
	dialKey
	worst  int // the reach that will do
	given  []ma.Multiaddr
	before *core.DialRecord // of a routed dial
}

// NewStream implements [core.Streams].
func (s *Swarm) NewStream(ctx context.Context, p peer.ID, protocols ...string) (core.Stream, error) {
	for try := 0; ; try++ {
		worst := relayed
		if core.LimitedAllowed(ctx) {
			worst = limited
		}
		c, dialled, err := s.connect(ctx, p, nil, worst)
		if err != nil {
			return nil, err
		}
		st, err := c.NewStream(ctx, protocols...)
		if err == nil || dialled || try > 0 || !errors.Is(err, core.ErrConnClosed) {
			return st, err
		}
	}
}

// Connect implements [core.Dialer].
func (s *Swarm) Connect(ctx context.Context, p peer.AddrInfo) (core.Conn, error) {
	c, _, err := s.connect(ctx, p.ID, p.Addrs, limited)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// connect returns a connection to p that is not worse than what will do.
func (s *Swarm) connect(ctx context.Context, p peer.ID, addrs []ma.Multiaddr, worst int) (c *Conn, dialled bool, err error) {
	forced := core.DirectForced(ctx)
	if forced {
		worst = direct
	}
	if c := s.best(p, worst); c != nil {
		return c, false, nil
	}
	behind := s.best(p, limited) != nil
	if core.DialForbidden(ctx) {
		if behind {
			return nil, false, fmt.Errorf("%s: %w", p.Short(), core.ErrLimited)
		}
		return nil, false, fmt.Errorf("%s: %w", p.Short(), core.ErrNotConnected)
	}
	// Another connection through a relay would be of no more use.
	r := dialRequest{dialKey: dialKey{peer: p, direct: forced || behind}, worst: worst, given: addrs}
	if core.RelayWanted(ctx) {
		r.dialKey, ctx = dialKey{peer: p, relayed: true}, core.NoLookup(ctx)
	}
	r.punch, _ = core.Punching(ctx)
	c, dialled, err = s.dialPeer(ctx, r)
	if before, ok := s.wantsLookup(ctx, err); ok {
		r.routed, r.given, r.before = true, nil, before
		c, dialled, err = s.dialPeer(ctx, r)
	}
	switch {
	case err != nil && behind && !forced:
		return nil, true, fmt.Errorf("%s: %w: %w", p.Short(), core.ErrLimited, err)
	case err == nil && reachOf(c) > worst:
		return nil, true, fmt.Errorf("%s: %w", p.Short(), core.ErrLimited)
	}
	return c, dialled, err
}

// dialPeer connects to a peer, unless that has happened in the meantime: then
// dialled is false.
func (s *Swarm) dialPeer(ctx context.Context, r dialRequest) (c *Conn, dialled bool, err error) {
	refuse := func(cause error) (*Conn, bool, error) { return nil, true, s.refuseDial(ctx, r.peer, cause) }
	if err := r.peer.Validate(); err != nil {
		return refuse(err) // else anyone would do
	}
	if r.peer == s.Identity.ID() {
		return refuse(core.ErrSelf)
	}
	if err := s.Gater.Peer(r.peer); err != nil {
		return refuse(err)
	}
	for {
		c, d, joined, err := s.joinDial(r)
		switch {
		case err != nil:
			return refuse(err)
		case c != nil:
			return c, false, nil
		}
		select {
		case <-d.done:
			s.leaveDial(d)
		case <-ctx.Done():
			if others := s.leaveDial(d); others {
				return refuse(context.Cause(ctx))
			}
			<-d.done
		}
		if d.conn == nil && ctx.Err() == nil {
			if c := s.best(r.peer, r.worst); c != nil {
				return c, true, nil // it has dialled us
			}
			if joined && !covers(d.record, r.given) {
				continue // that dial did not know of our addresses
			}
		}
		if t := core.DialTraceOf(ctx); t != nil {
			t.Set(d.record)
		}
		return d.conn, true, d.err
	}
}

func (s *Swarm) refuseDial(ctx context.Context, p peer.ID, cause error) error {
	record := &core.DialRecord{Peer: p, Started: time.Now()}
	if t := core.DialTraceOf(ctx); t != nil {
		t.Set(record)
	}
	return &core.DialError{Record: record, Cause: cause}
}

// covers reports whether all of addrs were considered as given ones are.
func covers(r *core.DialRecord, addrs []ma.Multiaddr) bool {
	for _, a := range addrs {
		a, _ = peer.SplitAddr(a)
		tried := slices.ContainsFunc(r.Attempts, func(t core.DialAttempt) bool {
			return t.Addr.Equal(a) && !errors.Is(t.Err, core.ErrBackoff)
		})
		resolved := slices.ContainsFunc(r.Resolved, func(n core.DialResolution) bool { return n.Addr.Equal(a) })
		if a != nil && !tried && !resolved {
			return false
		}
	}
	return true
}

// joinDial returns the dial to a peer that is under way, or a new one, or a
// connection that has come about before the lock was taken.
func (s *Swarm) joinDial(r dialRequest) (c *Conn, d *dial, joined bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.bestLocked(r.peer, r.worst); c != nil {
		return c, nil, false, nil
	}
	if d, ok := s.dials[r.dialKey]; ok {
		d.callers++
		return nil, d, true, nil
	}
	if s.closed {
		return nil, nil, false, net.ErrClosed
	}
	policy := s.policy.Load()
	d = &dial{key: r.dialKey, policy: policy, given: r.given, before: r.before, callers: 1, done: make(chan struct{})}
	s.dials[d.key] = d
	timeout := time.Duration(policy.Timeout)
	if d.before != nil {
		timeout -= time.Since(d.before.Started)
	}
	d.cancel = s.beginLocked(timeout, func(ctx context.Context) {
		s.runDial(ctx, d)
		s.mu.Lock()
		if s.dials[d.key] == d {
			delete(s.dials, d.key)
		}
		s.mu.Unlock()
		close(d.done)
	})
	return nil, d, false, nil
}

// leaveDial ends a caller's interest; the last one ends the dial.
func (s *Swarm) leaveDial(d *dial) (others bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.callers--
	if d.callers > 0 {
		return true
	}
	d.cancel()
	if s.dials[d.key] == d {
		delete(s.dials, d.key) // who comes now starts afresh
	}
	return false
}

// runDial does the dial and stores its result in d.
func (s *Swarm) runDial(ctx context.Context, d *dial) {
	r := &core.DialRecord{Peer: d.key.peer, Started: time.Now()}
	if d.before != nil { // which others may be reading
		r.Started = d.before.Started
		r.Resolved, r.Attempts = slices.Clone(d.before.Resolved), slices.Clone(d.before.Attempts)
	}
	d.record = r
	if d.key.punch.Role != 0 {
		ctx = core.Punch(ctx, d.key.punch)
	}
	race := s.gather(ctx, d, r)
	defer s.punches.expect(d.key, race.attempts)()
	skipped := len(r.Attempts)
	if len(race.attempts) > 0 {
		d.conn = race.run(ctx)
	}
	for _, a := range race.attempts {
		r.Attempts = append(r.Attempts, a.DialAttempt)
	}
	r.Took = time.Since(r.Started)
	s.noteLookup(ctx, d)
	switch {
	case d.conn != nil:
	case ctx.Err() != nil:
		d.err = &core.DialError{Record: r, Cause: fmt.Errorf("gave up after %v: %w", r.Took.Round(time.Millisecond), context.Cause(ctx))}
	case len(race.attempts) == 0 && skipped == 0 && !slices.ContainsFunc(r.Resolved, isName):
		d.err = &core.DialError{Record: r, Cause: core.ErrNoAddrs}
	default:
		d.err = &core.DialError{Record: r}
	}
}
