// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"bufio"
	"io"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/message"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// maxInbound is how many streams of one protocol a peer may have: one, and one
// that takes its place.
const maxInbound = 2

// maxSpared is for how many IDs that a peer does not want, of one frame, it is
// looked whether the message is in the peer's queue.
const maxSpared = 16

// serve implements [core.StreamHandler]: it reads what a peer sends.
func (h *Hub) serve(s core.Stream) error {
	r, err := h.begin(s)
	if err != nil {
		return err
	}
	defer h.end(r, s)
	// A small buffer takes the length and what is short; the rest of a frame is
	// read to where it stays.
	br := bufio.NewReaderSize(s, 128)
	var frame []byte
	for first := true; ; first = false {
		frame, err = wire.ReadMessageInto(frame, br, h.MaxMessage)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		kept, err := h.decode(r.id, frame, first)
		if err != nil {
			h.Log.Info("peer of pub/sub sent what is none", "peer", r.id, "protocol", s.Protocol(), "error", err)
			h.step(mesh.Misbehaved{Peer: r.id, Count: 1})
			s.Reset(core.StreamProtocolViolation)
			return nil
		}
		if kept || cap(frame) > keptFrame {
			frame = nil
		}
	}
}

const (
	// keptFrame bounds the memory of a frame that is used for the next one, in
	// bytes, and keptMessages that for the messages in it.
	keptFrame    = 1 << 10
	keptMessages = 16
)

// decoded are of *rpc.RPC, for the frames that hubs of the process handle.
var decoded sync.Pool

// decode reads a frame of a peer and handles it. It reports whether something of
// the frame stays in use.
func (h *Hub) decode(from peer.ID, frame []byte, first bool) (kept bool, err error) {
	m, ok := decoded.Get().(*rpc.RPC)
	if !ok {
		m = new(rpc.RPC)
	}
	if err := m.Decode(frame, &rpc.DefaultLimits); err != nil {
		return false, err
	}
	kept = h.frame(from, m, first)
	if cap(m.Publish) <= keptMessages {
		m.Reset()
		decoded.Put(m)
	}
	return kept, nil
}

// begin makes s the stream that a peer sends on. What the peer wanted before it
// says anew.
func (h *Hub) begin(s core.Stream) (*remote, error) {
	var p Protocol
	for _, p = range h.Protocols {
		if p.ID == s.Protocol() {
			break
		}
	}
	r, before := h.supplant(s, p)
	if before != nil {
		before.Reset(core.StreamSupplanted)
	}
	if r == nil {
		return nil, core.ErrNotConnected
	}
	return r, nil
}

// supplant makes s the stream of its peer, and returns the one that was.
func (h *Hub) supplant(s core.Stream, p Protocol) (r *remote, before core.Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r = h.joinLocked(s.Conn(), p); r == nil {
		return nil, nil
	}
	if before = r.inbound; before != nil {
		h.stepLocked(mesh.Restarted{Peer: r.id})
	}
	r.inbound = s
	return r, before
}

func (h *Hub) end(r *remote, s core.Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.inbound == s {
		r.inbound = nil
		if h.remotes[r.id] == r {
			h.stepLocked(mesh.Restarted{Peer: r.id})
		}
	}
}

// frame handles one frame of a peer. It reports whether something of the frame
// stays in use.
func (h *Hub) frame(from peer.ID, m *rpc.RPC, first bool) (kept bool) {
	if !h.listen(from, m, first) {
		return true
	}
	if m.Partial != nil && h.Partial != nil {
		h.partial(from, m.Partial)
	}
	kept = m.Partial != nil || hasControl(&m.Control)
	for i := range m.Publish {
		kept = h.receive(from, &m.Publish[i]) || kept
	}
	return kept
}

func hasControl(c *rpc.Control) bool {
	return len(c.IHave)+len(c.IWant)+len(c.Graft)+len(c.Prune)+len(c.IDontWant) > 0 || c.Extensions != nil
}

// listen handles all of a frame but the messages. It reports whether they are to
// be handled.
func (h *Hub) listen(from peer.ID, m *rpc.RPC, first bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recordReceived(from, m)
	// Who takes nothing is no peer any more, and nothing is taken from it.
	if h.closed || h.remotes[from] == nil || h.router.Graylisted(from, time.Now()) {
		return false
	}
	if m.Excess > 0 {
		h.stepLocked(mesh.Misbehaved{Peer: from, Count: 1})
	}
	if len(m.Subscriptions) > 0 {
		list := m.Subscriptions[:0]
		for _, s := range m.Subscriptions {
			if h.Allow == nil || h.Allow(s.Topic) {
				list = append(list, s)
			}
		}
		h.stepLocked(mesh.Subscribed{Peer: from, Subscriptions: list})
	}
	if c := &m.Control; hasControl(c) {
		h.stepLocked(mesh.Controlled{Peer: from, Control: c, First: first})
		for _, id := range c.IDontWant[:min(len(c.IDontWant), maxSpared)] {
			h.remotes[from].queue.spare(string(id))
		}
	}
	if (len(m.Publish) > 0 || m.Partial != nil) && !h.admitLocked(from) {
		h.trace(core.TopicThrottled, from, "")
		return false
	}
	return true
}

// name is the ID of a message.
func (h *Hub) name(m *rpc.Message) string {
	if name := h.Names[m.Topic]; name != nil {
		return name(m)
	}
	return h.Name(m)
}

// receive handles one message of a peer. It reports whether the message stays in
// use.
func (h *Hub) receive(from peer.ID, m *rpc.Message) (kept bool) {
	h.mu.Lock()
	topic := h.topics[m.Topic]
	h.mu.Unlock()
	if topic == nil {
		return false // nobody has asked for it
	}
	id := h.name(m)
	h.mu.Lock()
	if h.seen.hasString(id) {
		h.duplicateLocked(from, id, m.Topic)
		h.mu.Unlock()
		return false
	}
	f, verify := h.boardLocked(from, id, m.Raw)
	h.mu.Unlock()
	if !verify {
		return false
	}
	author, err := h.verify(from, m)
	if err != nil {
		h.Log.Debug("message of pub/sub refused", "peer", from, "topic", wire.Text(m.Topic, 64), "error", err)
	}
	shared := &core.TopicMessage{
		Topic: m.Topic, Data: m.Data, ID: id, From: author, Seqno: m.Seqno, ReceivedFrom: from,
	}
	h.mu.Lock()
	arrived := h.landLocked(f, id, from, m, err, author == h.self && author != "")
	if arrived && topic.checks.none() {
		h.decideLocked(shared, m.Raw, core.TopicAccept)
		arrived = false
	}
	h.mu.Unlock()
	if arrived {
		h.check(&topic.checks, shared, m.Raw)
	}
	return true
}

// duplicateLocked takes note of who has a message too: what is queued for it need
// not be sent.
func (h *Hub) duplicateLocked(from peer.ID, id, topic string) {
	h.stepLocked(mesh.Duplicate{Peer: from, ID: id, Topic: topic})
	if r := h.remotes[from]; r != nil && h.router.Spares(topic) {
		r.queue.spare(id)
	}
}

// verify checks the form and the signature of a message, and returns who wrote
// it.
func (h *Hub) verify(from peer.ID, m *rpc.Message) (peer.ID, error) {
	if err := h.Policy.Check(m); err != nil {
		return "", err
	}
	author, err := message.Author(m)
	if err != nil {
		return "", err
	}
	return author, h.Policy.Verify(m, &h.authors)
}
