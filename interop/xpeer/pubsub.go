// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// pubsubFlags are those of every command with messages on topics.
type pubsubFlags struct {
	router   string // gossipsub, floodsub, or empty for none
	topic    string
	unsigned bool
	mesh     int // peers of a mesh; 0: as usual
}

func (f *pubsubFlags) define(flags *flag.FlagSet) {
	flags.StringVar(&f.topic, "topic", "interop", "the topic")
	flags.IntVar(&f.mesh, "mesh", 0, "how many peers a mesh of gossipsub has; 0 for what is usual")
	flags.BoolVar(&f.unsigned, "unsigned", false, "no message has an author or a signature")
}

func (f *pubsubFlags) check() error {
	if f.router != "" && f.router != "gossipsub" && f.router != "floodsub" {
		return usagef("--pubsub %q: want gossipsub or floodsub", f.router)
	}
	if f.router != "" && !inBuild[core.PubSub](f.router) {
		return absent("--pubsub " + f.router)
	}
	return nil
}

// config are the modules of a node, with their configurations. Messages without
// an author are named by what is in them, as by all interop peers.
func (f *pubsubFlags) config() map[string]json.RawMessage {
	if f.router == "" {
		return nil
	}
	config := map[string]any{}
	if f.unsigned {
		config["policy"], config["message_id"] = "strict_no_sign", "sha256"
	}
	if f.mesh > 0 {
		config["params"] = map[string]int{"d": f.mesh, "d_low": f.mesh, "d_high": f.mesh, "d_score": f.mesh, "d_out": 0}
	}
	text, err := json.Marshal(config)
	if err != nil {
		panic(err) // strings and numbers
	}
	return map[string]json.RawMessage{f.router: text}
}

// talk is a node's part in a topic.
type talk struct {
	name   string
	topics core.Topics
	sub    core.Subscription
	wg     sync.WaitGroup

	stop context.CancelFunc // ends what follows control messages

	mu      sync.Mutex
	got     []message
	control map[peer.ID]map[core.TopicEventKind]int // what has been sent to peers, and come from them
}

// message is a message of another node.
type message struct {
	Topic string  `json:"topic"`
	From  peer.ID `json:"from"`
	Data  []byte  `json:"data"`
}

// messages is the answer to a line of that name: all that have come so far.
type messages struct {
	Messages []message `json:"messages"`
	Peers    int       `json:"peers"` // of the topic
	// Control counts control messages by peer and kind.
	Control map[string]map[core.TopicEventKind]int `json:"control,omitempty"`
}

type publication struct {
	Published int `json:"published"`
}

// startTalk subscribes to the topic; it is nil without --pubsub. What the node
// publishes itself is not among the messages.
func (n *node) startTalk(f pubsubFlags) (*talk, error) {
	if f.router == "" {
		return nil, nil
	}
	topics, ok := core.Find[core.Topics](n)
	if !ok {
		return nil, errors.New("no pub/sub in the node")
	}
	s, err := topics.Subscribe(f.topic)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &talk{name: f.topic, topics: topics, sub: s, stop: cancel, control: make(map[peer.ID]map[core.TopicEventKind]int)}
	t.wg.Go(func() { t.read(n.ID()) })
	t.wg.Go(func() { t.follow(ctx) })
	return t, nil
}

// follow counts control messages until ctx ends.
func (t *talk) follow(ctx context.Context) {
	for e := range t.topics.TraceTopics(ctx) {
		switch e.Kind {
		case core.TopicGraftSent, core.TopicPruneSent, core.TopicIHaveSent, core.TopicIWantSent, core.TopicIDontWantSent,
			core.TopicGraftReceived, core.TopicPruneReceived, core.TopicIHaveReceived, core.TopicIWantReceived, core.TopicIDontWantHeard:
			t.mu.Lock()
			if t.control[e.Peer] == nil {
				t.control[e.Peer] = make(map[core.TopicEventKind]int)
			}
			t.control[e.Peer][e.Kind]++
			t.mu.Unlock()
		}
	}
}

// read takes messages until the subscription is closed.
func (t *talk) read(self peer.ID) {
	for {
		m, err := t.sub.Next(context.Background())
		if err != nil {
			return
		}
		if m.ReceivedFrom == self {
			continue
		}
		t.mu.Lock()
		t.got = append(t.got, message{m.Topic, m.From, m.Data})
		t.mu.Unlock()
	}
}

func (t *talk) messages() messages {
	t.mu.Lock()
	defer t.mu.Unlock()
	control := make(map[string]map[core.TopicEventKind]int, len(t.control))
	for p, kinds := range t.control {
		control[p.String()] = maps.Clone(kinds)
	}
	return messages{append([]message{}, t.got...), len(t.topics.TopicPeers(t.name)), control}
}

// publish answers a line that asks for it.
func (t *talk) publish(ctx context.Context, text string) any {
	if _, err := t.topics.Publish(ctx, t.name, []byte(text)); err != nil {
		return failure{Error: err.Error()}
	}
	return publication{1}
}

// wait waits until a peer is in the topic.
func (t *talk) wait(ctx context.Context) error {
	for len(t.topics.TopicPeers(t.name)) == 0 {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("no peer in the topic: %w", ctx.Err())
		}
	}
	return nil
}

// Close leaves the topic.
func (t *talk) Close() error {
	if t == nil {
		return nil
	}
	err := t.sub.Close()
	t.stop()
	t.wg.Wait()
	return err
}

func publishCommand(flags *flag.FlagSet) body {
	f := pubsubFlags{router: "gossipsub"}
	f.define(flags)
	data := flags.String("data", "hello", "what to publish")
	count := flags.Int("count", 1, "how often, with a number behind it from the second time on")
	return func(ctx context.Context, in *invocation) error {
		return in.talk(ctx, f, func(t *talk) error {
			for i := range *count {
				text := *data
				if i > 0 {
					text = fmt.Sprintf("%s %d", *data, i+1)
				}
				if _, err := t.topics.Publish(ctx, f.topic, []byte(text)); err != nil {
					return fmt.Errorf("publish: %w", err)
				}
			}
			time.Sleep(500 * time.Millisecond) // for the messages to leave: nothing says when they have
			in.out.emit(publication{*count})
			return nil
		})
	}
}

func subscribeCommand(flags *flag.FlagSet) body {
	f := pubsubFlags{router: "gossipsub"}
	f.define(flags)
	count := flags.Int("count", 1, "how many messages to wait for")
	return func(ctx context.Context, in *invocation) error {
		return in.talk(ctx, f, func(t *talk) error {
			for seen := 0; seen < *count; {
				all := t.messages().Messages
				for _, m := range all[seen:min(len(all), *count)] {
					in.out.emit(m)
					seen++
				}
				select {
				case <-time.After(10 * time.Millisecond):
				case <-ctx.Done():
					return fmt.Errorf("%d of %d messages: %w", seen, *count, ctx.Err())
				}
			}
			return nil
		})
	}
}

// talk connects a node with the target, waits until that is in the topic, and
// does something.
func (in *invocation) talk(ctx context.Context, f pubsubFlags, do func(*talk) error) error {
	target, err := in.target()
	if err != nil {
		return err
	}
	b, err := in.clientBlueprint(target)
	if err != nil {
		return err
	}
	b.pubsub = f.config()
	n, err := b.start(ctx)
	if err != nil {
		return err
	}
	defer n.Close()
	t, err := n.startTalk(f)
	if err != nil {
		return err
	}
	defer t.Close()
	if _, err := n.Connect(ctx, target); err != nil {
		return err
	}
	if err := t.wait(ctx); err != nil {
		return err
	}
	return do(t)
}
