// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"context"
	"fmt"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// maxAnnounced bounds the addresses of one relay that peers are told of.
	maxAnnounced = 8
	// maxPlaceTime bounds how long a relay is believed to keep a place.
	maxPlaceTime = 24 * time.Hour
)

// Reservation is a place at a relay.
type Reservation struct {
	Relay   peer.ID
	Expires time.Time
	// Addrs are where this node can be reached through the relay.
	Addrs []ma.Multiaddr
	// Limit is what a connection through the relay may have.
	Limit Limit
	// Voucher is the relay's word for it; nil if it gave none that is true.
	Voucher *Voucher
}

// dial connects to dst through a relay, which it connects to first.
func (h *hub) dial(ctx context.Context, relay peer.AddrInfo, dst peer.ID) (*conn, error) {
	if relay.ID == h.node.ID() || relay.ID == dst {
		return nil, core.ErrSelf
	}
	s, err := h.openHop(ctx, relay)
	if err != nil {
		return nil, err
	}
	m, err := exchange(ctx, s, hop, &message{kind: hop.connect, peer: dst})
	if err == nil && m.status != StatusOK {
		err = &StatusError{Status: m.status}
	}
	if err != nil {
		s.Reset(core.StreamNoError)
		return nil, err
	}
	var remote ma.Multiaddr
	if len(relay.Addrs) > 0 {
		remote = behind(relay.Addrs[0], relay.ID)
	}
	return newConn(s, remote, dst, m.limit, h.finish), nil
}

// openHop opens a stream to a relay, over a connection that is not relayed.
func (h *hub) openHop(ctx context.Context, relay peer.AddrInfo) (core.Stream, error) {
	c, err := h.node.Connect(core.ForceDirect(ctx), relay)
	if err != nil {
		return nil, err
	}
	return c.NewStream(ctx, HopID)
}

// reserve asks a relay for a place, or to keep the one there is.
func (h *hub) reserve(ctx context.Context, relay peer.AddrInfo) (*Reservation, error) {
	s, err := h.openHop(ctx, relay)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	m, err := exchange(ctx, s, hop, &message{kind: hop.reserve})
	switch {
	case err != nil:
		s.Reset(core.StreamNoError)
		return nil, err
	case m.status != StatusOK && (m.status != 0 || m.place == nil): // some say OK by the place alone
		return nil, &StatusError{Status: m.status}
	case m.place == nil:
		return nil, fmt.Errorf("hop: %w: OK without a reservation", errMessage)
	}
	now := time.Now()
	r := &Reservation{Relay: relay.ID, Expires: m.place.expires, Limit: m.limit}
	if !r.Expires.After(now) {
		return nil, fmt.Errorf("the place has run out at %v: is a clock wrong?", r.Expires.UTC().Format(time.RFC3339))
	}
	if last := now.Add(maxPlaceTime); r.Expires.After(last) {
		r.Expires = last
	}
	r.Addrs = announced(s.Conn(), relay, m.place.addrs)
	if v, err := openVoucher(m.place.voucher); err == nil && v.Relay == relay.ID && v.Peer == h.node.ID() {
		r.Voucher = &v
	} else if m.place.voucher != nil {
		h.log.Debug("a relay's voucher is not used", "relay", relay.ID, "reason", err)
	}
	return r, nil
}

// announced returns the addresses to tell peers for a place at a relay: the one
// at which it was reached, and what else it says of itself. What a relay on the
// Internet says of local networks is left out: nobody can use it, and it would
// have others dial where the relay wants.
func announced(c core.Conn, relay peer.AddrInfo, told []ma.Multiaddr) (list []ma.Multiaddr) {
	add := func(a ma.Multiaddr) {
		if a == nil || relayed(a) || len(list) >= maxAnnounced {
			return
		}
		if a = behind(a, relay.ID); !slices.ContainsFunc(list, a.Equal) {
			list = append(list, a)
		}
	}
	at := c.RemoteMultiaddr()
	if c.Stat().Direction == core.Outbound {
		if len(relay.Addrs) == 0 || peer.IsPublic(at) {
			add(at)
		}
		for _, a := range relay.Addrs {
			add(a)
		}
		if len(list) == 0 {
			add(at)
		}
	}
	for _, a := range told {
		if n := len(a); n > 0 && a[n-1].Code() == ma.P_CIRCUIT {
			a = a[:n-1] // js and rust tell the whole address
		}
		a, id := peer.SplitAddr(a)
		if id != "" && id != relay.ID || peer.IsPublic(at) && !peer.IsPublic(a) {
			continue
		}
		add(a)
	}
	return list
}

// ownAddrs are the addresses that a peer is told for its place here: those on
// the Internet, unless the peer is not there either.
func (h *hub) ownAddrs(c core.Conn) (list []ma.Multiaddr) {
	local := !peer.IsPublic(c.RemoteMultiaddr())
	for _, a := range h.node.Addrs() {
		if len(list) < maxAddrs && !relayed(a) && (local || peer.IsPublic(a)) {
			list = append(list, peer.JoinAddr(a, h.node.ID()))
		}
	}
	return list
}

// serveStop accepts a connection through a relay at which the node has a place, or
// that is about to give it one. Others are refused: nobody was told to come that way,
// and they could have the node begin handshakes as often as they please. The
// specification leaves open whom a peer accepts.
func (h *hub) serveStop(s core.Stream) error {
	m, refusal, err := receive(s, stop)
	if err != nil {
		return err
	}
	relay := s.Conn().RemotePeer()
	l := h.listenerFor(relay)
	switch {
	case refusal != nil:
	case m.kind != stop.connect:
		refusal = refused(StatusUnexpectedMessage, "a message of type %d", m.kind)
	case m.peer == "":
		refusal = refused(StatusMalformedMessage, "no peer who connects")
	case isRelayed(s.Conn()) || m.peer == h.node.ID() || m.peer == relay || !h.planning.expects(relay):
		refusal = refused(StatusPermissionDenied, "there is no place at that relay")
	case l == nil || !l.take():
		refusal = refused(StatusResourceLimitExceeded, "nobody accepts it")
	}
	if refusal != nil {
		h.log.Debug("connection through a relay", "relay", relay, "refused", refusal)
		return answer(s, stop, &message{status: refusal.Status})
	}
	if err := answer(s, stop, &message{status: StatusOK}); err != nil {
		l.giveBack()
		return err
	}
	s.SetDeadline(time.Time{})
	c := newConn(s, nil, m.peer, m.limit, nil)
	l.deliver(c)
	<-c.closed // for as long, the stream is being served
	c.finish(h.ctx)
	return nil
}
