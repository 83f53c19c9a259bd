// SPDX-License-Identifier: Apache-2.0 OR MIT

package identify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/peerstore"
	"github.com/xnode-p2p/xnode/core/peer"
)

// ErrKey says that a peer told another public key than the one it has.
var ErrKey = errors.New("not the key of the connection")

// begin asks the peer on c who it is, now or when it is its turn.
func (s *Service) begin(ctx context.Context, c core.Conn) {
	st := s.state(c)
	if st == nil || st.started.Swap(true) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if c.Stat().Direction == core.Outbound {
		s.dialled = append(s.dialled, st)
	} else {
		s.waiting = append(s.waiting, st)
	}
	if next := s.nextLocked(); next != nil {
		s.wg.Go(func() { s.work(ctx, next) })
	}
}

// work asks on one connection after the other while there are any.
func (s *Service) work(ctx context.Context, st *state) {
	for st != nil {
		s.identify(ctx, st)
		s.mu.Lock()
		s.running--
		if st.conn.Stat().Direction != core.Outbound {
			s.inbound--
		}
		if st = s.nextLocked(); st == nil && s.running == 0 {
			s.waiting, s.dialled = nil, nil
		}
		s.mu.Unlock()
	}
}

// nextLocked takes the next connection off the queues, as far as the limits
// allow; s.mu is held.
func (s *Service) nextLocked() (st *state) {
	switch {
	case s.running == maxRunning:
		return nil
	case len(s.dialled) > 0:
		st, s.dialled = s.dialled[0], s.dialled[1:]
	case len(s.waiting) > 0 && s.inbound < maxInbound:
		st, s.waiting = s.waiting[0], s.waiting[1:]
		s.inbound++
	default:
		return nil
	}
	s.running++
	return st
}

// unqueue takes a connection off the queues, if it is there.
func (s *Service) unqueue(st *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, queue := range []*[]*state{&s.dialled, &s.waiting} {
		if i := slices.Index(*queue, st); i >= 0 {
			*queue = slices.Delete(*queue, i, i+1)
		}
	}
}

// identify asks and tells of the outcome.
func (s *Service) identify(ctx context.Context, st *state) {
	c := st.conn
	select {
	case <-st.done: // disconnected while it waited
		return
	default:
	}
	m, err := s.request(ctx, c)
	var changes []any
	if err == nil {
		changes, err = s.store(st, m, false)
	}
	if err != nil {
		err = fmt.Errorf("identify %s: %w", c.RemotePeer().Short(), err)
	}
	s.InOrder(func() {
		if !st.claim(err) {
			return
		}
		defer close(st.done)
		if err != nil {
			s.Log.Debug("not identified", "peer", c.RemotePeer(), "error", err)
			s.Node.Emit(core.IdentifyFailed{Conn: c, Err: err})
			return
		}
		for _, e := range changes {
			s.Node.Emit(e)
		}
		s.Node.Emit(core.Identified{Conn: c, ObservedAddr: m.observed})
	})
	if sent := st.sent.Load(); sent != 0 && sent != s.self.snapshot(placeOf(c)).serial {
		s.wakePusher() // what changed since it asked us; only now we know whether it takes pushes
	}
}

// request opens a stream and reads what the peer says.
func (s *Service) request(ctx context.Context, c core.Conn) (*message, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stream, err := c.NewStream(core.AllowLimited(ctx), ID)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	defer guard(ctx, stream)()
	m, err := readMessage(stream)
	if err != nil {
		stream.Reset(core.StreamNoError)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	return m, checkKey(c, m.publicKey)
}

// guard resets a stream when ctx ends, until it is released.
func guard(ctx context.Context, stream core.Stream) (release func() bool) {
	return context.AfterFunc(ctx, func() { stream.Reset(core.StreamNoError) })
}

// checkKey compares a key, if there is one, with that of the connection.
func checkKey(c core.Conn, told []byte) error {
	if len(told) == 0 || bytes.Equal(told, peer.MarshalPublicKey(c.RemotePublicKey())) {
		return nil
	}
	// There is more than one way to write some keys.
	if key, err := peer.UnmarshalPublicKey(told); err != nil || !c.RemotePeer().Matches(key) {
		return ErrKey
	}
	return nil
}

// store puts what a peer said into the peerstore, unless its connection is
// gone. It returns the events to be emitted.
func (s *Service) store(st *state, m *message, push bool) ([]any, error) {
	c := st.conn
	p := c.RemotePeer()
	said := peerstore.Identified{
		Protocols:       m.protocols,
		Addrs:           m.addrs,
		Accept:          placeOf(c).shares,
		Agent:           m.agent,
		ProtocolVersion: m.version,
		SignedRecord:    m.record,
		Partial:         push,
	}
	st.mu.Lock()
	if st.gone || st.ended && !push {
		st.mu.Unlock()
		return nil, core.ErrConnClosed
	}
	first := !push && len(s.Book.PeerProtocols(p)) == 0
	added, removed, err := s.Book.SetIdentified(p, said)
	st.mu.Unlock()
	if err != nil {
		s.Log.Debug("signed record not taken", "peer", p, "error", err)
	}
	if first || len(added)+len(removed) == 0 {
		return nil, nil
	}
	return []any{core.PeerProtocolsChanged{Peer: p, Added: added, Removed: removed}}, nil
}
