// SPDX-License-Identifier: Apache-2.0 OR MIT

package holepunch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// errEnough means that the other side asks for more than it may have.
var errEnough = errors.New("a hole is being punched, or has been tried often enough")

// initiate tries to get a direct connection to who has connected through a relay.
func (h *HolePunch) initiate(c core.Conn) {
	p := c.RemotePeer()
	if h.direct(p) != nil || !h.enter(c, 0) {
		return
	}
	defer h.leave(c)
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	if err := h.upgrade(ctx, c); err != nil {
		h.log.Debug("no direct connection", "peer", p, "reason", err)
		return
	}
	h.log.Debug("direct connection", "peer", p)
	h.spawn(func() { h.retire(c) })
}

// upgrade makes the attempts. The first one does not wait until the other side is
// identified. If it fails, and the other side then says that it has addresses on
// the Internet, it may be that only this side is behind a NAT.
func (h *HolePunch) upgrade(ctx context.Context, c core.Conn) (err error) {
	p := c.RemotePeer()
	for attempt := 1; attempt <= h.Attempts; attempt++ {
		if err = h.attempt(ctx, c, attempt); err == nil || errors.Is(err, errEnough) {
			return err
		}
		if attempt > 1 {
			continue
		}
		unasked, unknown := h.whenKnown(ctx, c)
		if unknown != nil {
			return unknown
		}
		if unasked && h.dialDirectly(ctx, p) == nil {
			return nil
		}
		if !slices.Contains(h.node.PeerProtocols(p), ID) {
			return err
		}
	}
	return err
}

// dialDirectly dials a peer that says it has addresses on the Internet: it may be
// that only this side is behind a NAT.
func (h *HolePunch) dialDirectly(ctx context.Context, p peer.ID) error {
	addrs := usable(h.node.PeerAddrs(p), false)
	if len(addrs) == 0 {
		return errNoAddrs
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.Timeout))
	defer cancel()
	begun := time.Now()
	_, err := h.node.Connect(core.ForceDirect(core.NoLookup(ctx)), peer.AddrInfo{ID: p})
	h.node.Emit(core.HolePunched{Peer: p, Initiator: true, Addrs: addrs, Took: time.Since(begun), Err: err})
	return err
}

// attempt makes one attempt as the initiator.
func (h *HolePunch) attempt(ctx context.Context, c core.Conn, attempt int) error {
	m := &initiator{own: h.ownAddrs(), private: h.AllowPrivate}
	todo := m.step(started{}, time.Now())
	if last, ok := todo[0].(end); ok {
		return last.err
	}
	if h.count(c) == 0 {
		return errEnough
	}
	opening, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	s, err := c.NewStream(core.AllowLimited(opening), ID)
	if err != nil {
		return err
	}
	defer s.Close()
	return h.run(ctx, s, m.step, todo, attempt, true)
}

// serve runs the responder's side.
func (h *HolePunch) serve(s core.Stream) error {
	c := s.Conn()
	if !isRelayed(c) || c.Stat().Direction != core.Outbound {
		return fmt.Errorf("not on a relayed connection that this side has made: %w", &core.StreamError{Code: core.StreamProtocolViolation})
	}
	if !h.enter(c, patience) {
		return errEnough
	}
	defer h.leave(c)
	attempt := h.count(c)
	if attempt == 0 {
		return errEnough
	}
	m := &responder{own: h.ownAddrs(), private: h.AllowPrivate, attempt: attempt, opened: c.Stat().Opened}
	return h.run(h.ctx, s, m.step, []any{await{}}, attempt, false)
}

// run does what a side has to do, until its end.
func (h *HolePunch) run(ctx context.Context, s core.Stream, step func(any, time.Time) []any, todo []any, attempt int, initiator bool) error {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	limit := time.Now().Add(streamTimeout)
	s.SetDeadline(limit)
	for len(todo) > 0 {
		var event any
		switch a := todo[0].(type) {
		case send:
			if err := a.write(s); err != nil {
				event = broken{err}
			}
		case await:
			event = receive(s, a.Duration, limit)
		case dial:
			event = dialled{h.punch(ctx, s.Conn().RemotePeer(), a, attempt, initiator)}
		case end:
			return a.err
		}
		todo = todo[1:]
		if event != nil {
			todo = step(event, time.Now()) // what was still to be done is so no longer
		}
	}
	return errMessage // not reached: every story has an end
}

// receive reads a message that may take wait, or until the limit if that is 0.
func receive(s core.Stream, wait time.Duration, limit time.Time) any {
	if wait > 0 {
		s.SetReadDeadline(time.Now().Add(wait))
		defer s.SetReadDeadline(limit)
	}
	m, err := read(s)
	switch {
	case err == nil:
		return received{m}
	case wait > 0 && errors.Is(err, os.ErrDeadlineExceeded):
		return waited{}
	}
	return broken{err}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// punch dials, and tells of the outcome.
func (h *HolePunch) punch(ctx context.Context, p peer.ID, d dial, attempt int, initiator bool) error {
	begun := time.Now()
	err := h.connect(ctx, p, d)
	h.node.Emit(core.HolePunched{
		Peer: p, Attempt: attempt, Initiator: initiator, Role: d.Role,
		Addrs: d.addrs, RTT: d.RTT, Took: time.Since(begun), Err: err,
	})
	return err
}

// connect dials until there is a direct connection, whoever has made it.
func (h *HolePunch) connect(ctx context.Context, p peer.ID, d dial) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.Timeout))
	defer cancel()
	stop := core.On(h.node, func(e core.Connected) {
		if e.Conn.RemotePeer() == p && !isRelayed(e.Conn) {
			cancel()
		}
	})
	defer stop()
	_, err := h.node.Connect(core.Punch(ctx, d.PunchDial), peer.AddrInfo{ID: p, Addrs: d.addrs})
	if h.direct(p) != nil {
		return nil
	}
	return err
}

// retire closes a relayed connection that a direct one has taken the place of, once
// it is not used any more or has lingered long enough.
func (h *HolePunch) retire(c core.Conn) {
	const look = time.Second
	for end := time.Now().Add(time.Duration(h.Linger)); time.Now().Before(end); {
		if sleep(h.ctx, look) != nil {
			return
		}
		if h.direct(c.RemotePeer()) == nil {
			return // it is needed again
		}
		if len(c.Streams()) == 0 {
			break
		}
	}
	c.CloseWithCode(core.ConnSupplanted)
}
