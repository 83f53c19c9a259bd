// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// messageTimeout is how long a message may take to come or go.
const messageTimeout = time.Minute

// serveHop serves those who want a place here, or to be connected to one who has.
func (h *hub) serveHop(s core.Stream) error {
	m, refusal, err := receive(s, hop)
	if err != nil {
		return err
	}
	h.mu.Lock()
	service := h.service
	h.mu.Unlock()
	switch {
	case refusal != nil:
	case service == nil:
		refusal = refused(StatusReservationRefused, "no relay any more")
	case isRelayed(s.Conn()):
		refusal = refused(StatusPermissionDenied, "through another relay")
	case m.kind == hop.reserve:
		refusal, err = h.serveReserve(s, service)
	case m.kind == hop.connect:
		refusal, err = h.serveConnect(s, service, m.peer)
	default:
		refusal = refused(StatusUnexpectedMessage, "a message of type %d", m.kind)
	}
	if refusal == nil {
		return err
	}
	h.mu.Lock()
	h.tally.note(refusal.Status)
	h.mu.Unlock()
	h.log.Debug("relay", "peer", s.Conn().RemotePeer(), "refused", refusal)
	return answer(s, hop, &message{status: refusal.Status})
}

// receive reads the first message of a stream, or says why it is none.
func receive(s core.Stream, d *dialect) (*message, *StatusError, error) {
	s.SetDeadline(time.Now().Add(messageTimeout))
	m, err := d.read(s)
	for _, bad := range []error{errMessage, wire.ErrTooLarge, wire.ErrVarint, io.ErrUnexpectedEOF} {
		if errors.Is(err, bad) {
			return nil, refused(StatusMalformedMessage, "%v", err), nil
		}
	}
	return m, nil, err
}

// answer sends a status.
func answer(s core.Stream, d *dialect, m *message) error {
	m.kind = d.answer
	return d.write(s, m)
}

// serveReserve gives a peer a place.
func (h *hub) serveReserve(s core.Stream, service *Service) (*StatusError, error) {
	p := s.Conn().RemotePeer()
	h.mu.Lock()
	expires, refusal := h.ledger.reserve(service, p, s.Conn().RemoteMultiaddr(), time.Now())
	if refusal == nil {
		h.tally.reserved++
	}
	h.mu.Unlock()
	if refusal != nil {
		return refusal, nil
	}
	if !h.direct(p) { // has gone meanwhile, before there was anything to note
		h.mu.Lock()
		h.ledger.left(p)
		h.mu.Unlock()
		return nil, core.ErrNotConnected
	}
	voucher, err := Voucher{Relay: h.node.ID(), Peer: p, Expires: expires}.seal(h.node)
	if err != nil {
		return nil, err
	}
	place := &placeMessage{expires: expires, addrs: h.ownAddrs(s.Conn()), voucher: voucher}
	return nil, answer(s, hop, &message{status: StatusOK, place: place, limit: service.limit()})
}

// serveConnect connects the peer of a stream to another.
func (h *hub) serveConnect(s core.Stream, service *Service, dst peer.ID) (*StatusError, error) {
	src := s.Conn().RemotePeer()
	if dst == "" {
		return refused(StatusMalformedMessage, "no peer to connect to"), nil
	}
	h.mu.Lock()
	ledger := h.ledger
	refusal := ledger.connect(service, src, s.Conn().RemoteMultiaddr(), dst, time.Now())
	h.mu.Unlock()
	if refusal != nil {
		return refusal, nil
	}
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		ledger.disconnect(src, dst)
	}()
	limit := service.limit()
	to, err := h.ask(src, dst, limit, time.Duration(service.ConnectTimeout))
	if err != nil {
		return refused(StatusConnectionFailed, "%v", err), nil
	}
	if err := answer(s, hop, &message{status: StatusOK, limit: limit}); err != nil {
		to.Reset(core.StreamNoError)
		return nil, err
	}
	h.mu.Lock()
	h.tally.connected++
	h.mu.Unlock()
	err = h.circuits.join(&circuit{from: src, to: dst, opened: time.Now(), limit: limit}, s, to)
	to.Close()
	return nil, err
}

// ask has dst agree to be connected to by src, on a stream of its own.
func (h *hub) ask(src, dst peer.ID, limit Limit, timeout time.Duration) (core.Stream, error) {
	ctx, cancel := context.WithTimeout(h.ctx, timeout)
	defer cancel()
	c := h.directConn(dst)
	if c == nil {
		return nil, core.ErrNotConnected
	}
	s, err := c.NewStream(ctx, StopID)
	if err != nil {
		return nil, err
	}
	m, err := exchange(ctx, s, stop, &message{kind: stop.connect, peer: src, limit: limit})
	if err == nil && m.status != StatusOK {
		err = fmt.Errorf("the peer answers %w", &StatusError{Status: m.status})
	}
	if err != nil {
		s.Reset(core.StreamNoError)
		return nil, err
	}
	return s, nil
}

// exchange sends a message and reads the status that answers it. It ends with ctx.
func exchange(ctx context.Context, s core.Stream, d *dialect, m *message) (*message, error) {
	s.SetDeadline(time.Now().Add(messageTimeout))
	interrupt := context.AfterFunc(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })
	err := d.write(s, m)
	var got *message
	if err == nil {
		got, err = d.read(s)
	}
	switch {
	case !interrupt():
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", d.name, err)
	case got.kind != d.answer:
		return nil, fmt.Errorf("%s: %w: not a status", d.name, errMessage)
	}
	s.SetDeadline(time.Time{})
	return got, nil
}
