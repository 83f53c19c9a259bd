// SPDX-License-Identifier: Apache-2.0 OR MIT

package holepunch

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	err := h.dialDirectly(ctx, p)
	if err != nil {
		err = h.runInitiator(ctx, c)
	}
	if err != nil {
		h.log.Debug("no direct connection", "peer", p, "reason", err)
		return
	}
	h.log.Debug("direct connection", "peer", p)
	h.spawn(func() { h.retire(c) })
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

// runInitiator runs the initiator's side.
func (h *HolePunch) runInitiator(ctx context.Context, c core.Conn) error {
	m := &initiator{own: h.ownAddrs(), private: h.AllowPrivate, attempts: h.Attempts}
	var s core.Stream
	defer func() {
		if s != nil {
			s.Close()
		}
	}()
	todo := m.step(started{}, time.Now())
	for len(todo) > 0 {
		action := todo[0]
		todo = todo[1:]
		var event any
		switch a := action.(type) {
		case open:
			if s != nil {
				s.Close()
			}
			var err error
			if s, err = h.open(ctx, c); err != nil {
				s, event = nil, broken{err}
				todo = nil
			}
		case send:
			if err := a.write(s); err != nil {
				event = broken{err}
				todo = nil
			} else if a.kind == connectKind {
				event = receive(s)
			}
		case wait:
			if err := sleep(ctx, a.Duration); err != nil {
				return err
			}
			event = waited{}
		case dial:
			event = dialled{h.punch(ctx, c.RemotePeer(), a, m.attempt, true)}
		case end:
			return a.err
		}
		if event != nil {
			todo = append(todo, m.step(event, time.Now())...)
		}
	}
	return errMessage // not reached: every story has an end
}

func (h *HolePunch) open(ctx context.Context, c core.Conn) (core.Stream, error) {
	if !h.count(c) {
		return nil, errEnough
	}
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	s, err := c.NewStream(core.AllowLimited(ctx), ID)
	if err != nil {
		return nil, err
	}
	s.SetDeadline(time.Now().Add(streamTimeout))
	return s, nil
}

// receive reads a message.
func receive(s core.Stream) any {
	m, err := read(s)
	if err != nil {
		return broken{err}
	}
	return received{m}
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
	ctx, cancel := context.WithTimeout(h.ctx, streamTimeout)
	defer cancel()
	s.SetDeadline(time.Now().Add(streamTimeout))
	m := &responder{own: h.ownAddrs(), private: h.AllowPrivate, attempts: h.Attempts}
	var asked time.Time
	for {
		event := receive(s)
		for _, action := range m.step(event) {
			switch a := action.(type) {
			case send:
				if !h.count(c) {
					return errEnough
				}
				if err := a.write(s); err != nil {
					return err
				}
				asked = time.Now()
			case dial:
				a.rtt = time.Since(asked)
				err := h.punch(ctx, c.RemotePeer(), a, m.attempt, false)
				for _, last := range m.step(dialled{err}) {
					return last.(end).err
				}
			case end:
				if m.attempt > 0 && errors.Is(a.err, io.EOF) {
					return nil // the other side begins anew, or has a connection
				}
				return a.err
			}
		}
	}
}

// punch makes one attempt.
func (h *HolePunch) punch(ctx context.Context, p peer.ID, d dial, attempt int, initiator bool) error {
	begun := time.Now()
	err := h.connect(ctx, p, d)
	h.node.Emit(core.HolePunched{
		Peer: p, Attempt: attempt, Initiator: initiator, Role: d.role,
		Addrs: d.addrs, RTT: d.rtt, Took: time.Since(begun), Err: err,
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
	_, err := h.node.Connect(core.Punch(ctx, core.PunchDial{Role: d.role, RTT: d.rtt}), peer.AddrInfo{ID: p, Addrs: d.addrs})
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
