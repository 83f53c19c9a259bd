// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// relayResult is what messages did that went through others.
type relayResult struct {
	PerSecond float64 `json:"messages_per_second"`
	Received  float64 `json:"received"` // the part of all
	P50       float64 `json:"latency_p50_ms"`
	P99       float64 `json:"latency_p99_ms"`
	ClientCPU float64 `json:"client_cpu_seconds"`
}

// relay publishes with one node and receives with another one, that meet only at
// the targets.
type relay struct {
	flags               pubsubFlags
	count, size, window int
}

const (
	// meshTime is how long meshes are given to form.
	meshTime = 2 * time.Second
	// lostTime is how long a message may be under way.
	lostTime = 10 * time.Second
)

func pubsubBenchCommand(flags *flag.FlagSet) body {
	b := relay{flags: pubsubFlags{router: "gossipsub"}}
	b.flags.define(flags)
	flags.IntVar(&b.count, "count", 1000, "how many messages")
	flags.IntVar(&b.size, "size", 256, "bytes of a message, at least 8")
	flags.IntVar(&b.window, "window", 16, "how many are under way at a time")
	return func(ctx context.Context, in *invocation) error {
		if b.count < 1 || b.size < 8 || b.window < 1 || len(in.args) == 0 {
			return usagef("want addresses, --count and --window of 1 or more, --size of 8 or more")
		}
		var targets []peer.AddrInfo
		for _, text := range in.args {
			target, err := addrInfo(text)
			if err != nil {
				return err
			}
			targets = append(targets, target)
		}
		from, err := b.join(ctx, in, targets)
		if err != nil {
			return err
		}
		defer from.Close()
		in.options.seed = 0
		to, err := b.join(ctx, in, targets)
		if err != nil {
			return err
		}
		defer to.Close()
		r, err := b.run(ctx, from, to)
		if err != nil {
			return fmt.Errorf("pubsub-bench: %w", err)
		}
		in.out.emit(r)
		return nil
	}
}

// participant is a node in the topic.
type participant struct {
	*node
	stop  context.CancelFunc
	topic *pubsub.Topic
	sub   *pubsub.Subscription
}

func (p *participant) Close() error {
	p.stop()
	return p.node.Close()
}

// join starts a node that is in the topic and connected to all targets, which are too.
func (b *relay) join(ctx context.Context, in *invocation, targets []peer.AddrInfo) (*participant, error) {
	plan, err := in.clientPlan(targets[0], full)
	if err != nil {
		return nil, err
	}
	n, err := plan.start()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	p := &participant{node: n, stop: stop}
	if err := p.enter(ctx, b.flags, targets); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *participant) enter(ctx context.Context, f pubsubFlags, targets []peer.AddrInfo) error {
	ps, err := f.start(ctx, p.node)
	if err != nil {
		return err
	}
	if p.topic, err = ps.Join(f.topic); err != nil {
		return err
	}
	if p.sub, err = p.topic.Subscribe(pubsub.WithBufferSize(256)); err != nil {
		return err
	}
	for _, target := range targets {
		if err := p.Connect(ctx, target); err != nil {
			return err
		}
	}
	for len(p.topic.ListPeers()) < len(targets) {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("not all peers are in the topic: %w", ctx.Err())
		}
	}
	return nil
}

// run publishes and receives.
func (b *relay) run(ctx context.Context, from, to *participant) (*relayResult, error) {
	select {
	case <-time.After(meshTime):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	room := make(chan struct{}, b.window)
	publishing := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := startWatch()
	go func() { publishing <- b.publish(ctx, from.topic, room) }()

	took := make([]time.Duration, 0, b.count)
	for len(took) < b.count {
		waiting, done := context.WithTimeout(ctx, lostTime)
		m, err := to.sub.Next(waiting)
		done()
		if err != nil {
			break // what is missing is in the result
		}
		took = append(took, time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(m.Data)))))
		<-room
	}
	seconds, cpu := watch.seconds(), watch.cpuSeconds()
	cancel()
	if err := <-publishing; err != nil && !errors.Is(err, context.Canceled) {
		return nil, err
	}
	if len(took) == 0 {
		return nil, errors.New("no message has come")
	}
	return &relayResult{
		PerSecond: float64(len(took)) / seconds, ClientCPU: cpu,
		Received: float64(len(took)) / float64(b.count),
		P50:      percentile(took, 50), P99: percentile(took, 99),
	}, nil
}

// publish publishes as long as there is room for messages under way.
func (b *relay) publish(ctx context.Context, topic *pubsub.Topic, room chan<- struct{}) error {
	for range b.count {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		data := make([]byte, b.size)
		binary.BigEndian.PutUint64(data, uint64(time.Now().UnixNano()))
		if err := topic.Publish(ctx, data); err != nil {
			return err
		}
	}
	return nil
}
