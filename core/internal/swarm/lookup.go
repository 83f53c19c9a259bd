// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/upgrade"
	"github.com/xnode-p2p/xnode/core/peer"
)

// maxLookups bounds how many peers are looked for at once; other dials wait.
const maxLookups = 64

// lookupKey stands for all addresses of a peer that routing could find, among
// the addresses that failed lately. It is no address.
const lookupKey = "routing"

// wantsLookup tells whether routing may help where a dial has failed, and
// returns the record of that dial.
func (s *Swarm) wantsLookup(ctx context.Context, err error) (before *core.DialRecord, ok bool) {
	failed, ok := errors.AsType[*core.DialError](err)
	if !ok || ctx.Err() != nil || core.LookupForbidden(ctx) || s.Routing == nil {
		return nil, false
	}
	if failed.Cause != nil && !errors.Is(failed.Cause, core.ErrNoAddrs) {
		return nil, false // no other addresses would do
	}
	if _, limit := errors.AsType[*core.LimitError](err); limit {
		return nil, false
	}
	if time.Since(failed.Record.Started) >= time.Duration(s.policy.Load().Timeout) {
		return nil, false
	}
	_, ok = s.Routing()
	return failed.Record, ok
}

// lookUp asks routing for addresses of p, and notes that in r.
func (s *Swarm) lookUp(ctx context.Context, p peer.ID, r *core.DialRecord) []ma.Multiaddr {
	begin := time.Now()
	addrs, err := s.findPeer(core.NoLookup(ctx), p)
	if err != nil {
		err = withCause(ctx, err)
	}
	r.Resolved = append(r.Resolved, core.DialResolution{Addr: peer.JoinAddr(nil, p), Found: addrs, Took: time.Since(begin), Err: err})
	return addrs
}

func (s *Swarm) findPeer(ctx context.Context, p peer.ID) (addrs []ma.Multiaddr, err error) {
	if s.backoff.waits(backoffKey{p, lookupKey}, time.Now()) {
		return nil, core.ErrBackoff
	}
	select {
	case s.lookups <- struct{}{}:
		defer func() { <-s.lookups }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	routing, ok := s.Routing()
	if !ok {
		return nil, core.ErrNoRouting
	}
	defer func() {
		if value := recover(); value != nil {
			addrs, err = nil, &upgrade.PanicError{Value: value, Stack: debug.Stack()}
			s.logPanic(err)
		}
	}()
	info, err := routing.FindPeer(ctx, p)
	switch {
	case err != nil:
		return nil, err
	case info.ID != p || len(info.Addrs) == 0:
		return nil, core.ErrNotFound
	}
	return info.Addrs, nil
}

// noteLookup notes how a routed dial has ended: a peer that cannot be found is
// not looked for again at once.
func (s *Swarm) noteLookup(ctx context.Context, d *dial) {
	key := backoffKey{d.key.peer, lookupKey}
	switch {
	case d.conn != nil:
		s.backoff.succeeded(key)
	case d.key.routed && ctx.Err() == nil && !s.backoff.waits(key, time.Now()):
		s.backoff.failed(key, time.Now(), d.policy.DialConfig)
	}
}

// routed makes a dial leave out what the one before it has tried.
func (c *candidates) routed(before *core.DialRecord, seen map[string]bool) {
	for _, a := range before.Attempts {
		key := keyOf(a.Addr)
		c.source[key], seen[key] = a.Source, true
	}
	for _, n := range before.Resolved {
		c.source[keyOf(n.Addr)] = "peerstore"
	}
}

// isName tells whether what was looked up is a name, and not the peer.
func isName(n core.DialResolution) bool { return len(n.Addr) != 1 || !has(n.Addr, ma.P_P2P) }
