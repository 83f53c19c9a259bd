// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Partial messages of gossipsub-interop have eight parts of a KiB. Their metadata
// is a byte with a bit for each that the sender has. What is sent of them is such a
// byte, the parts, and the group.
const (
	partCount = 8
	partSize  = 1 << 10
	allParts  = 1<<partCount - 1
)

// parts are the partial messages of a node. It implements [core.PartialHandler].
type parts struct {
	topics core.PartialTopics
	log    *slog.Logger

	mu     sync.Mutex
	groups map[string]map[uint64]*[partCount][]byte // of each topic

	handled map[string]handled // topics; it belongs to who follows the script
}

// handled is how partial messages of a topic are handled.
type handled struct {
	requests bool
	stop     func()
}

func newParts(topics core.PartialTopics, log *slog.Logger) *parts {
	return &parts{topics: topics, log: log, groups: make(map[string]map[uint64]*[partCount][]byte), handled: make(map[string]handled)}
}

// handle has partial messages of a topic handled until the node ends, and, with
// requests, asked for.
func (p *parts) handle(topic string, requests bool) error {
	before, ok := p.handled[topic]
	if ok && (before.requests || !requests) {
		return nil
	}
	if ok {
		before.stop()
	}
	stop, err := p.topics.HandlePartial(topic, requests, p)
	if err == nil {
		p.handled[topic] = handled{requests, stop}
	}
	return err
}

// group is a group's parts so far, which may be none.
func (p *parts) group(topic string, id uint64) *[partCount][]byte {
	if p.groups[topic] == nil {
		p.groups[topic] = make(map[uint64]*[partCount][]byte)
	}
	g := p.groups[topic][id]
	if g == nil {
		g = new([partCount][]byte)
		p.groups[topic][id] = g
	}
	return g
}

func have(g *[partCount][]byte) (bits byte) {
	for i, part := range g {
		if part != nil {
			bits |= 1 << i
		}
	}
	return bits
}

// add makes some parts: numbers that go up from the group's own.
func (p *parts) add(topic string, id uint64, bits byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.group(topic, id)
	before := have(g)
	for i := range g {
		if bits&(1<<i) == 0 {
			continue
		}
		g[i] = make([]byte, 0, partSize)
		for n := range uint64(partSize / 8) {
			g[i] = binary.BigEndian.AppendUint64(g[i], id+uint64(i)*partSize/8+n)
		}
	}
	if before != allParts && have(g) == allParts {
		p.log.Info("All parts received", "group id", id)
	}
}

// publish sends peers what they have not got; only those in to, if there are any.
func (p *parts) publish(topic string, id uint64, to ...peer.ID) error {
	p.mu.Lock()
	g := *p.group(topic, id)
	p.mu.Unlock()
	mine := have(&g)
	_, err := p.topics.PublishPartial(topic, binary.BigEndian.AppendUint64(nil, id), func(q core.PartialPeer) (out core.PartialParts) {
		if len(q.Metadata) == 1 && q.Requests {
			if missing := mine &^ q.Metadata[0]; missing != 0 {
				out.Data = encodeParts(&g, missing, id)
				out.Known = []byte{q.Metadata[0] | missing}
			}
		}
		if len(q.Sent) != 1 || mine&^q.Sent[0] != 0 {
			out.Metadata = []byte{mine}
		}
		return out
	}, to...)
	return err
}

func encodeParts(g *[partCount][]byte, bits byte, id uint64) []byte {
	b := []byte{bits}
	for i, part := range g {
		if bits&(1<<i) != 0 {
			b = append(b, part...)
		}
	}
	return binary.BigEndian.AppendUint64(b, id)
}

// ReceivePartial implements [core.PartialHandler].
func (p *parts) ReceivePartial(m *core.PartialMessage) core.TopicVerdict {
	if len(m.Group) != 8 {
		return core.TopicReject
	}
	id := binary.BigEndian.Uint64(m.Group)
	if len(m.Data) > 0 {
		if err := p.extend(m.Topic, id, m.Data); err != nil {
			p.log.Error("parts that are none", "from", m.From.String(), "error", err.Error())
			return core.TopicReject
		}
	}
	if err := p.publish(m.Topic, id); err != nil {
		p.log.Error("parts not published", "error", err.Error())
	}
	return core.TopicAccept
}

// extend takes parts that the node has not got.
func (p *parts) extend(topic string, id uint64, b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.group(topic, id)
	before := have(g)
	bits, b := b[0], b[1:]
	for i := range g {
		if bits&(1<<i) == 0 {
			continue
		}
		if len(b) < partSize {
			return errors.New("too short")
		}
		if g[i] == nil {
			g[i] = slices.Clone(b[:partSize])
		}
		b = b[partSize:]
	}
	if len(b) != 8 || binary.BigEndian.Uint64(b) != id {
		return errors.New("of another group")
	}
	if before != allParts && have(g) == allParts {
		p.log.Info("All parts received", "group id", id)
	}
	return nil
}

// GossipPartial implements [core.PartialHandler].
func (p *parts) GossipPartial(topic string, group []byte, _ []peer.ID) {
	if len(group) != 8 {
		return
	}
	if err := p.publish(topic, binary.BigEndian.Uint64(group)); err != nil {
		p.log.Error("parts not published", "error", err.Error())
	}
}
