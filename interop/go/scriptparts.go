// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"encoding/binary"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p-pubsub/partialmessages"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Partial messages of gossipsub-interop have eight parts of a KiB. Their metadata is a byte with a
// bit for each that the sender has. What is sent of them is such a byte, the parts, and the group.
const (
	partCount = 8
	partSize  = 1 << 10
	allParts  = 1<<partCount - 1
)

// partsOfPeer is what is known of a peer's parts of a group.
type partsOfPeer struct {
	said, told bool // it has said which it has, it has been told which the node has
	has, sent  byte
}

// groupParts are the partial messages of a node.
type groupParts struct {
	ps  *pubsub.PubSub
	log *slog.Logger

	mu     sync.Mutex
	groups map[string]map[uint64]*[partCount][]byte // of each topic
}

func newParts(log *slog.Logger) *groupParts {
	return &groupParts{log: log, groups: make(map[string]map[uint64]*[partCount][]byte)}
}

// extension tells of what peers send. What follows from that it does elsewhere, for it is called by
// what that would wait for.
func (p *groupParts) extension() *partialmessages.PartialMessagesExtension[partsOfPeer] {
	return &partialmessages.PartialMessagesExtension[partsOfPeer]{
		Logger: slog.New(slog.DiscardHandler),
		OnIncomingRPC: func(from peer.ID, peers map[peer.ID]partsOfPeer, rpc *pb.PartialMessagesExtension) error {
			if len(rpc.GroupID) != 8 {
				return errors.New("group is no number")
			}
			q := peers[from]
			if len(rpc.PartsMetadata) > 0 {
				q.said, q.has = true, q.has|rpc.PartsMetadata[0]
			}
			if len(rpc.PartialMessage) > 0 {
				q.has |= rpc.PartialMessage[0]
			}
			peers[from] = q
			topic, id := rpc.GetTopicID(), binary.BigEndian.Uint64(rpc.GroupID)
			if len(rpc.PartialMessage) > 0 {
				if err := p.extend(topic, id, rpc.PartialMessage); err != nil {
					return err
				}
			}
			go p.publish(topic, id, nil)
			return nil
		},
		OnEmitGossip: func(topic string, group []byte, _ []peer.ID, _ map[peer.ID]partsOfPeer) {
			if len(group) == 8 {
				go p.publish(topic, binary.BigEndian.Uint64(group), nil)
			}
		},
	}
}

// group is a group's parts so far, which may be none.
func (p *groupParts) group(topic string, id uint64) *[partCount][]byte {
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
func (p *groupParts) add(topic string, id uint64, bits byte) {
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

// publish sends peers what they have not got: those in to, or else all that are known.
func (p *groupParts) publish(topic string, id uint64, to []peer.ID) error {
	p.mu.Lock()
	g := *p.group(topic, id)
	p.mu.Unlock()
	mine := have(&g)
	actions := func(peers map[peer.ID]partsOfPeer, requests func(peer.ID) bool) iter.Seq2[peer.ID, partialmessages.PublishAction] {
		return func(yield func(peer.ID, partialmessages.PublishAction) bool) {
			if len(to) == 0 {
				to = slices.Collect(maps.Keys(peers))
			}
			for _, id2 := range to {
				q, action := peers[id2], partialmessages.PublishAction{}
				if missing := mine &^ q.has; q.said && missing != 0 && requests(id2) {
					action.EncodedPartialMessage = encodeParts(&g, missing, id)
					q.has |= missing
				}
				if !q.told || mine&^q.sent != 0 {
					q.told, q.sent = true, q.sent|mine
					action.EncodedPartsMetadata = []byte{q.sent}
				}
				peers[id2] = q
				if !yield(id2, action) {
					return
				}
			}
		}
	}
	return pubsub.PublishPartial(p.ps, topic, binary.BigEndian.AppendUint64(nil, id), actions)
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

// extend takes parts that the node has not got.
func (p *groupParts) extend(topic string, id uint64, b []byte) error {
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
