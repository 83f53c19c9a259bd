// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/pbtrace"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

const (
	// writeTimeout is how long a peer may take nothing before its stream ends; half
	// of it is enough.
	writeTimeout = 30 * time.Second
	// maxTries is how often a stream to a peer is opened that keeps ending.
	maxTries = 4
	// firstRetry is how long after its end it is opened again; the time doubles.
	firstRetry = time.Second
)

// remote is a peer that speaks one of the hub's protocols.
type remote struct {
	id       peer.ID
	protocol Protocol
	queue    queue
	ctx      context.Context // of what is sent to it
	stop     context.CancelFunc
	out      outgoing

	inbound core.Stream // the latest of its streams; nil if it has none
}

// meet begins pub/sub with the peer of a connection, if it speaks it.
func (h *Hub) meet(c core.Conn) {
	if c.Stat().Limited {
		return
	}
	spoken := h.node.PeerProtocols(c.RemotePeer())
	for _, p := range h.Protocols {
		if slices.Contains(spoken, p.ID) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.joinLocked(c, p)
			return
		}
	}
}

// joinLocked returns the remote of a connection's peer, and makes it if there is
// none. It is nil if the hub is closing.
func (h *Hub) joinLocked(c core.Conn, p Protocol) *remote {
	id := c.RemotePeer()
	if r := h.remotes[id]; r != nil || h.closed {
		return r
	}
	ctx, cancel := context.WithCancel(h.ctx)
	r := &remote{id: id, protocol: p, ctx: ctx, stop: cancel}
	r.queue.begin = func() {
		if ctx.Err() == nil && !h.closed {
			h.sendSoon(r)
		}
	}
	h.remotes[id] = r
	ip, _ := peer.IP(c.RemoteMultiaddr())
	if board := h.router.Board; board != nil {
		board.Join(id, ip)
	}
	if h.gater != nil {
		h.gater.Join(id, ip)
	}
	if h.seeker != nil {
		h.seeker.Met(id)
	}
	h.stepLocked(mesh.Joined{Peer: id, Version: p.Version, Outbound: c.Stat().Direction == core.Outbound})
	r.queue.greet()
	return r
}

// part ends pub/sub with a peer.
func (h *Hub) part(p peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.remotes[p]; r != nil {
		h.partLocked(r)
	}
}

func (h *Hub) partLocked(r *remote) {
	r.stop()
	delete(h.remotes, r.id)
	h.stepLocked(mesh.Left{Peer: r.id})
	if board := h.router.Board; board != nil {
		board.Leave(r.id, time.Now())
	}
	if h.gater != nil {
		h.gater.Leave(r.id, time.Now())
	}
}

// maxIdle is how many goroutines wait for a peer to send to. A new one would have
// to grow its stack each time.
const maxIdle = 4

// sendSoon has somebody send what is queued for a peer.
func (h *Hub) sendSoon(r *remote) {
	select {
	case h.toSend <- r:
	default:
		h.wg.Go(func() { h.sendTo(r) })
	}
}

// sendTo sends to a peer, and then to others, if not enough others wait to.
func (h *Hub) sendTo(r *remote) {
	for {
		h.send(r)
		if h.idle.Add(1) > maxIdle {
			h.idle.Add(-1)
			return
		}
		select {
		case r = <-h.toSend:
			h.idle.Add(-1)
		case <-h.ctx.Done():
			return
		}
	}
}

// send sends a peer what is queued for it, until nothing is left, the peer is
// gone or its streams keep ending.
func (h *Hub) send(r *remote) {
	for {
		err := h.sendQueued(r)
		if err == nil || r.ctx.Err() != nil {
			return
		}
		h.Log.Debug("stream of pub/sub ended", "peer", r.id, "error", err)
		if r.out.tries >= maxTries || errors.Is(err, core.ErrNotConnected) {
			break
		}
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(firstRetry << (r.out.tries - 1)):
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.remotes[r.id] == r {
		h.partLocked(r)
	}
}

// sendQueued sends until the queue is empty. A stream that it opens begins with
// which topics the node is in.
func (h *Hub) sendQueued(r *remote) error {
	if r.out.stream == nil {
		if err := h.openOut(r); err != nil {
			return err
		}
		h.greet(r)
	}
	for {
		runtime.Gosched() // what others are about to queue goes out with this
		if more, err := h.sendSome(r); err != nil || !more {
			return err
		}
	}
}

// buffers are of *[]byte, for what is being sent, by all hubs of the process.
var buffers sync.Pool

// sendSome sends a part of what is queued. It reports whether there was something.
func (h *Hub) sendSome(r *remote) (more bool, err error) {
	buf, _ := buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer buffers.Put(buf)
	*buf = r.queue.drain((*buf)[:0])
	if len(*buf) == 0 {
		return false, nil
	}
	begin := time.Now()
	if err := r.out.write(*buf); err != nil {
		r.out.close()
		return false, err
	}
	h.recordWritten(r.id, time.Since(begin))
	if cap(*buf) > 2*writeSize {
		*buf = nil // of a large message: not kept
	}
	return true, nil
}

// outgoing is the stream to a peer. It belongs to who drains the peer's queue.
type outgoing struct {
	stream core.Stream // nil if there is none
	forget func() bool // ends what resets the stream when the peer is gone
	opened time.Time
	tries  int       // how many streams there were, of which none lasted
	until  time.Time // by when what is written has to be taken
}

func (h *Hub) openOut(r *remote) error {
	out := &r.out
	if time.Since(out.opened) > time.Minute {
		out.tries = 0
	}
	out.opened = time.Now()
	out.tries++
	ids := make([]string, len(h.Protocols))
	for i, p := range h.Protocols {
		ids[i] = p.ID
	}
	s, err := h.node.NewStream(core.NoDial(r.ctx), r.id, ids...)
	if err != nil {
		return err
	}
	out.stream, out.until = s, time.Time{}
	out.forget = context.AfterFunc(r.ctx, func() { s.Reset(core.StreamNoError) })
	return nil
}

func (o *outgoing) write(b []byte) error {
	// A new deadline is a new timer: what is left of the old one will do.
	if now := time.Now(); o.until.Sub(now) < writeTimeout/2 {
		o.until = now.Add(writeTimeout)
		if err := o.stream.SetWriteDeadline(o.until); err != nil {
			return err
		}
	}
	_, err := o.stream.Write(b)
	return err
}

func (o *outgoing) close() {
	o.forget()
	o.stream.Reset(core.StreamNoError)
	o.stream = nil
}

// greet puts in front of what is queued what a peer has to know first.
func (h *Hub) greet(r *remote) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var fields [][]byte
	if r.protocol.Version >= mesh.V13 {
		var entries []byte
		for entry := range (&rpc.Control{Extensions: &rpc.Extensions{PartialMessages: h.Partial != nil}}).Entries {
			entries = append(entries, entry...)
		}
		fields = append(fields, rpc.AppendControl(nil, entries))
	}
	var list []rpc.Subscription
	for topic := range h.topics {
		s := h.subscriptionLocked(topic, true)
		list = append(list, s)
		fields = append(fields, rpc.AppendSubscription(nil, s))
	}
	h.recordLocked(pbtrace.Event{Type: pbtrace.SendRPC, Peer: r.id, RPC: &pbtrace.RPC{Subscriptions: list}})
	r.queue.greetWith(fields)
}

// announce tells all peers of a change of subscription.
func (h *Hub) announceLocked(topic string, subscribe bool) {
	s := h.subscriptionLocked(topic, subscribe)
	field := rpc.AppendSubscription(nil, s)
	for _, r := range h.remotes {
		r.queue.field(field)
		h.recordLocked(pbtrace.Event{Type: pbtrace.SendRPC, Peer: r.id, RPC: &pbtrace.RPC{Subscriptions: []rpc.Subscription{s}}})
	}
}
