// SPDX-License-Identifier: Apache-2.0 OR MIT

package identify

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// pushAtOnce bounds the pushes that are sent at one time.
	pushAtOnce = 32

	// pushDelay lets changes that come together go out together.
	pushDelay = 50 * time.Millisecond

	// Rounds of pushes go out no faster than receivers are known to bear.
	roundBurst    = 5
	roundInterval = 5 * time.Second
)

// pushLoop tells connected peers what has changed, until ctx ends. However
// often something changes while it is busy, the next round says it all.
func (s *Service) pushLoop(ctx context.Context) {
	rounds := bucket{tokens: roundBurst, at: s.Now()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		if !pause(ctx, pushDelay) {
			return
		}
		if len(s.pushTargets()) == 0 {
			continue
		}
		for !rounds.take(s.Now(), roundInterval, roundBurst) {
			if !pause(ctx, roundInterval) {
				return
			}
		}
		s.pushRound(ctx)
	}
}

// pause waits; false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// target is a peer in one place and its connections. The first one is used.
type target []*state

// pushTargets are the peers that take pushes and do not know yet what there is
// to know.
func (s *Service) pushTargets() []target {
	type where struct {
		peer peer.ID
		at   place
	}
	groups := make(map[where]target)
	s.mu.Lock()
	for c, st := range s.states {
		w := where{c.RemotePeer(), placeOf(c)}
		groups[w] = append(groups[w], st)
	}
	s.mu.Unlock()
	var targets []target
	for w, t := range groups {
		serial := s.self.snapshot(w.at).serial
		if slices.ContainsFunc(t, func(st *state) bool { return st.sent.Load() == serial }) {
			continue
		}
		if _, ok := s.Book.SupportsProtocol(w.peer, PushID); ok {
			targets = append(targets, t)
		}
	}
	return targets
}

// pushRound sends the newest snapshot to everyone who does not have it.
func (s *Service) pushRound(ctx context.Context) {
	todo := make(chan target)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(todo)
	workers := 0
	for _, t := range s.pushTargets() {
		if workers < pushAtOnce {
			workers++
			wg.Go(func() {
				for t := range todo {
					s.push(ctx, t)
				}
			})
		}
		select {
		case todo <- t:
		case <-ctx.Done():
			return
		}
	}
}

// push sends the newest snapshot. What fails is not tried again before
// something else changes.
func (s *Service) push(ctx context.Context, t target) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := t[0].conn
	snap := s.self.snapshot(placeOf(c))
	for _, st := range t {
		st.sent.Store(snap.serial)
	}
	stream, err := c.NewStream(core.AllowLimited(ctx), PushID)
	if err == nil {
		release := guard(ctx, stream)
		if _, err = stream.Write(snap.encode(nil)); err == nil {
			err = stream.Close()
		} else {
			stream.Reset(core.StreamNoError)
		}
		release()
	}
	if err != nil {
		s.Log.Debug("identify push", "peer", c.RemotePeer(), "error", err)
	}
}
