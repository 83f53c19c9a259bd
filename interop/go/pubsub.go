// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// pubsubFlags are those of every command with messages on topics.
type pubsubFlags struct {
	router   string // gossipsub, floodsub or empty for none
	topic    string
	unsigned bool
}

func (f *pubsubFlags) define(flags *flag.FlagSet) {
	flags.StringVar(&f.topic, "topic", "interop", "the topic")
	flags.BoolVar(&f.unsigned, "unsigned", false, "no message has an author or a signature")
}

func (f *pubsubFlags) check() error {
	if !slices.Contains([]string{"", "gossipsub", "floodsub"}, f.router) {
		return usagef("--pubsub %q: want gossipsub or floodsub", f.router)
	}
	return nil
}

// start makes pub/sub in a node, until ctx ends.
func (f *pubsubFlags) start(ctx context.Context, n *node) (*pubsub.PubSub, error) {
	options := []pubsub.Option{}
	if f.unsigned {
		options = append(options, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
			pubsub.WithMessageIdFn(nameByContent))
	}
	make := pubsub.NewGossipSub
	if f.router == "floodsub" {
		make = pubsub.NewFloodSub
	}
	ps, err := make(ctx, n.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", f.router, err)
	}
	return ps, nil
}

// talk is a node's part in a topic, nil for none.
type talk struct {
	topic *pubsub.Topic
	sub   *pubsub.Subscription
	stop  context.CancelFunc
	wg    sync.WaitGroup

	mu  sync.Mutex
	got []message
}

// message is a message of another node.
type message struct {
	Topic string `json:"topic"`
	From  string `json:"from"`
	Data  []byte `json:"data"`
}

// messages is the answer to a line of that name: all that have come so far.
type messages struct {
	Messages []message `json:"messages"`
	Peers    int       `json:"peers"` // of the topic
}

type publication struct {
	Published int `json:"published"`
}

// startTalk subscribes to the topic. What the node publishes itself is not among the messages.
func (n *node) startTalk(ctx context.Context, f pubsubFlags) (*talk, error) {
	if f.router == "" {
		return nil, nil
	}
	ctx, stop := context.WithCancel(ctx)
	ps, err := f.start(ctx, n)
	if err != nil {
		stop()
		return nil, err
	}
	t := &talk{stop: stop}
	if t.topic, err = ps.Join(f.topic); err == nil {
		t.sub, err = t.topic.Subscribe()
	}
	if err != nil {
		stop()
		return nil, err
	}
	t.wg.Go(func() { t.read(ctx, n.ID()) })
	return t, nil
}

// read takes messages until ctx ends.
func (t *talk) read(ctx context.Context, self peer.ID) {
	for {
		m, err := t.sub.Next(ctx)
		if err != nil {
			return
		}
		if m.ReceivedFrom == self {
			continue
		}
		from := ""
		if len(m.From) > 0 {
			from = m.GetFrom().String()
		}
		t.mu.Lock()
		t.got = append(t.got, message{m.GetTopic(), from, m.Data})
		t.mu.Unlock()
	}
}

// publish answers a line that asks for it.
func (t *talk) publish(ctx context.Context, text string) any {
	if err := t.topic.Publish(ctx, []byte(text)); err != nil {
		return failure{Error: err.Error()}
	}
	return publication{1}
}

func (t *talk) messages() messages {
	t.mu.Lock()
	defer t.mu.Unlock()
	return messages{append([]message{}, t.got...), len(t.topic.ListPeers())}
}

// wait waits until a peer is in the topic.
func (t *talk) wait(ctx context.Context) error {
	for len(t.topic.ListPeers()) == 0 {
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
	t.stop()
	t.wg.Wait()
	return nil
}

func publishCommand(flags *flag.FlagSet) body {
	f := pubsubFlags{router: "gossipsub"}
	f.define(flags)
	data := flags.String("data", "hello", "what to publish")
	count := flags.Int("count", 1, "how often, with a number behind it from the second time on")
	return func(ctx context.Context, in *invocation) error {
		s, t, err := in.talk(ctx, f)
		if err != nil {
			return err
		}
		defer s.Close()
		defer t.Close()
		for i := range *count {
			text := *data
			if i > 0 {
				text = fmt.Sprintf("%s %d", *data, i+1)
			}
			if err := t.topic.Publish(ctx, []byte(text)); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
		}
		time.Sleep(500 * time.Millisecond) // for the messages to leave: nothing says when they have
		in.out.emit(publication{*count})
		return nil
	}
}

func subscribeCommand(flags *flag.FlagSet) body {
	f := pubsubFlags{router: "gossipsub"}
	f.define(flags)
	count := flags.Int("count", 1, "how many messages to wait for")
	return func(ctx context.Context, in *invocation) error {
		s, t, err := in.talk(ctx, f)
		if err != nil {
			return err
		}
		defer s.Close()
		defer t.Close()
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
	}
}

// talk opens a session with the target and waits until it is in the topic.
func (in *invocation) talk(ctx context.Context, f pubsubFlags) (*session, *talk, error) {
	s, err := in.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	t, err := s.startTalk(ctx, f)
	if err == nil {
		err = t.wait(ctx)
	}
	if err != nil {
		_ = t.Close()
		_ = s.Close()
		return nil, nil, err
	}
	return s, t, nil
}

// nameByContent names messages without an author by what is in them.
func nameByContent(m *pb.Message) string {
	sum := sha256.Sum256(m.Data)
	return string(sum[:])
}
