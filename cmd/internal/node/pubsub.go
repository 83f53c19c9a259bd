// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/wire"
)

// ErrNoPubSub says that a node has no pub/sub.
var ErrNoPubSub = errors.New(`this node has no pub/sub: add "pubsub": {"gossipsub": {}} to its configuration`)

// PubSub finds the pub/sub of a node.
func PubSub(n core.Modules) (core.Topics, error) {
	t, ok := core.Find[core.Topics](n)
	if !ok {
		return nil, ErrNoPubSub
	}
	return t, nil
}

// TopicPeer is a peer that pub/sub runs with.
type TopicPeer struct {
	Peer     string   `json:"peer"`
	Protocol string   `json:"protocol"`
	Topics   []string `json:"topics"`
	// Mesh are the topics in whose mesh the peer is.
	Mesh  []string `json:"mesh"`
	Score float64  `json:"score"`
}

// TopicPeers lists the peers of a topic, or of all.
func TopicPeers(t core.Topics, topic string) []TopicPeer {
	list := []TopicPeer{}
	for _, p := range t.TopicPeers(topic) {
		list = append(list, TopicPeer{p.Peer.String(), p.Protocol, names(p.Topics), names(p.Mesh), p.Score})
	}
	return list
}

// TopicMessage is a message on a topic.
type TopicMessage struct {
	Topic string `json:"topic"`
	// Data is in base64, as JSON has bytes.
	Data []byte `json:"data"`
	// ID and Seqno are in hexadecimal.
	ID    string `json:"id"`
	Seqno string `json:"seqno,omitempty"`
	// From is who wrote it; ReceivedFrom who sent it.
	From         string `json:"from,omitempty"`
	ReceivedFrom string `json:"received_from"`
}

// Messages calls each with the messages of topics, until there have been count,
// if that is not 0, or ctx ends.
func Messages(ctx context.Context, t core.Topics, topics []string, count int, each func(TopicMessage) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan *core.TopicMessage)
	for _, name := range topics {
		s, err := t.Subscribe(name)
		if err != nil {
			return err
		}
		defer s.Close()
		go func() { // ends with ctx
			for {
				m, err := s.Next(ctx)
				if err != nil {
					cancel(err)
					return
				}
				select {
				case queue <- m:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	for n := 0; count == 0 || n < count; n++ {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case m := <-queue:
			out := TopicMessage{
				Topic: wire.Text(m.Topic, maxName), Data: m.Data, ID: hex.EncodeToString([]byte(m.ID)),
				Seqno: hex.EncodeToString(m.Seqno), ReceivedFrom: m.ReceivedFrom.String(),
			}
			if m.From != "" {
				out.From = m.From.String()
			}
			if err := each(out); err != nil {
				return err
			}
		}
	}
	return nil
}

// TopicEvent is something that happened in pub/sub.
type TopicEvent struct {
	Time  time.Time `json:"time"`
	Kind  string    `json:"kind"`
	Peer  string    `json:"peer,omitempty"`
	Topic string    `json:"topic,omitempty"`
	// IDs are those of the messages concerned, in hexadecimal.
	IDs []string `json:"ids,omitempty"`
	// Reason is why a message is rejected or ignored.
	Reason string `json:"reason,omitempty"`
	// Missed is how many events were left out before this one.
	Missed int `json:"missed,omitempty"`
}

// TopicEvents calls each with what happens in pub/sub, until ctx ends.
func TopicEvents(ctx context.Context, t core.Topics, each func(TopicEvent) error) error {
	for e := range t.TraceTopics(ctx) {
		out := TopicEvent{Time: e.Time, Kind: string(e.Kind), Topic: wire.Text(e.Topic, maxName), Reason: e.Reason, Missed: e.Missed}
		if e.Peer != "" {
			out.Peer = e.Peer.String()
		}
		for _, id := range e.IDs {
			out.IDs = append(out.IDs, hex.EncodeToString([]byte(id)))
		}
		if err := each(out); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
