// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
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
	callers int // under the swarm's mu
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
}

// dialPeer connects to p, with the given addresses and those in the peerstore.
func (s *Swarm) dialPeer(ctx context.Context, p peer.ID, given []ma.Multiaddr) (*Conn, error) {
	if p == s.Identity.ID() {
		return nil, s.refuseDial(ctx, p, core.ErrSelf)
	}
	if err := s.Gater.Peer(p); err != nil {
		return nil, s.refuseDial(ctx, p, err)
	}
	key := dialKey{p, core.DirectForced(ctx)}
	for {
		d, joined, err := s.joinDial(key, given)
		if err != nil {
			return nil, s.refuseDial(ctx, p, err)
		}
		select {
		case <-d.done:
			s.leaveDial(d)
		case <-ctx.Done():
			if others := s.leaveDial(d); others {
				return nil, s.refuseDial(ctx, p, context.Cause(ctx))
			}
			<-d.done
		}
		if d.conn == nil && joined && !covers(d.record, given) && ctx.Err() == nil {
			continue // that dial did not know of our addresses
		}
		if t := core.DialTraceOf(ctx); t != nil {
			t.Set(d.record)
		}
		return d.conn, d.err
	}
}

func (s *Swarm) refuseDial(ctx context.Context, p peer.ID, cause error) error {
	record := &core.DialRecord{Peer: p, Started: time.Now()}
	if t := core.DialTraceOf(ctx); t != nil {
		t.Set(record)
	}
	return &core.DialError{Record: record, Cause: cause}
}

// covers reports whether all of addrs were considered.
func covers(r *core.DialRecord, addrs []ma.Multiaddr) bool {
	for _, a := range addrs {
		a, _ = peer.SplitAddr(a)
		considered := slices.ContainsFunc(r.Attempts, func(t core.DialAttempt) bool { return t.Addr.Equal(a) }) ||
			slices.ContainsFunc(r.Resolved, func(n core.DialResolution) bool { return n.Addr.Equal(a) })
		if a != nil && !considered {
			return false
		}
	}
	return true
}

// joinDial returns the dial to a peer that is under way, or a new one.
func (s *Swarm) joinDial(key dialKey, given []ma.Multiaddr) (d *dial, joined bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.dials[key]; ok {
		d.callers++
		return d, true, nil
	}
	policy := s.policy.Load()
	ctx, end, ok := s.beginLocked(context.Background(), time.Duration(policy.Timeout))
	if !ok {
		return nil, false, core.ErrConnClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	d = &dial{key: key, policy: policy, given: given, callers: 1, cancel: cancel, done: make(chan struct{})}
	s.dials[key] = d
	s.running.Go(func() {
		defer end()
		s.runDial(ctx, d)
		s.mu.Lock()
		if s.dials[key] == d {
			delete(s.dials, key)
		}
		s.mu.Unlock()
		close(d.done)
	})
	return d, false, nil
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
	d.record = r
	race := s.gather(ctx, d, r)
	skipped := len(r.Attempts)
	if len(race.attempts) > 0 {
		d.conn = race.run(ctx)
	}
	for _, a := range race.attempts {
		r.Attempts = append(r.Attempts, a.DialAttempt)
	}
	r.Took = time.Since(r.Started)
	switch {
	case d.conn != nil:
	case ctx.Err() != nil:
		d.err = &core.DialError{Record: r, Cause: fmt.Errorf("gave up after %v: %w", r.Took.Round(time.Millisecond), context.Cause(ctx))}
	case len(race.attempts) == 0 && skipped == 0 && len(r.Resolved) == 0:
		d.err = &core.DialError{Record: r, Cause: core.ErrNoAddrs}
	default:
		d.err = &core.DialError{Record: r}
	}
}

// gather collects the addresses of a dial, resolves names, notes those that
// will not be tried in r, and returns the rest in the order of their ranks.
func (s *Swarm) gather(ctx context.Context, d *dial, r *core.DialRecord) *race {
	p := d.key.peer
	source := map[string]string{}
	var addrs []ma.Multiaddr
	collect := func(from string, list []ma.Multiaddr) {
		for _, a := range list {
			a, id := peer.SplitAddr(a)
			if a == nil || source[string(a.Bytes())] != "" {
				continue
			}
			source[string(a.Bytes())] = from
			if id != "" && id != p && !has(a, ma.P_CIRCUIT) {
				r.Attempts = append(r.Attempts, skip(a, from, &core.PeerMismatchError{Want: p, Got: id}))
				continue
			}
			addrs = append(addrs, a)
		}
	}
	collect("given", d.given)
	collect("peerstore", s.Book.PeerAddrs(p))
	resolved := s.Resolver.Resolve(ctx, addrs, p, func(n core.DialResolution) {
		r.Resolved = append(r.Resolved, n)
		for _, a := range n.Found {
			if key := string(a.Bytes()); source[key] == "" {
				source[key] = n.Addr.String()
			}
		}
	})

	var own []ma.Multiaddr
	if s.OwnAddrs != nil {
		own = s.OwnAddrs()
	}
	var good []ma.Multiaddr
	seen := map[string]bool{}
	for _, a := range resolved {
		a, _ = peer.SplitAddr(a)
		if a == nil || seen[string(a.Bytes())] {
			continue
		}
		seen[string(a.Bytes())] = true
		from := source[string(a.Bytes())]
		if err := s.refuseAddr(d, a, from, own); err != nil {
			r.Attempts = append(r.Attempts, skip(a, from, err))
			continue
		}
		good = append(good, a)
	}

	race := &race{swarm: s, policy: d.policy, peer: p, results: make(chan *attempt, len(good))}
	for _, k := range rank(good) {
		race.attempts = append(race.attempts, &attempt{DialAttempt: core.DialAttempt{
			Addr: k.addr, Source: source[string(k.addr.Bytes())], Delay: k.delay, Outcome: core.DialCancelled,
		}})
	}
	return race
}

func skip(a ma.Multiaddr, source string, why error) core.DialAttempt {
	return core.DialAttempt{Addr: a, Source: source, Outcome: core.DialSkipped, Err: why}
}

var errUnspecified = errors.New("an unspecified address cannot be dialled")

// refuseAddr says why an address must not be dialled, or nil.
func (s *Swarm) refuseAddr(d *dial, a ma.Multiaddr, source string, own []ma.Multiaddr) error {
	if _, ok := s.transportFor(a); !ok {
		return core.ErrNoTransport
	}
	if d.key.direct && has(a, ma.P_CIRCUIT) {
		return errors.New("relayed, and a direct connection is wanted")
	}
	if ip, ok := peer.IP(a); ok && ip.IsUnspecified() {
		return errUnspecified
	}
	if err := s.Gater.Addr(a); err != nil {
		return err
	}
	if slices.ContainsFunc(own, a.Equal) {
		return core.ErrSelf
	}
	if source != "given" && s.backoff.waits(backoffKey{d.key.peer, string(a.Bytes())}, time.Now()) {
		return core.ErrBackoff
	}
	return nil
}
