// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/score"
)

// crowded makes a router with peers, all of which are in all topics, as is the
// node.
func crowded(peers, topics int, params *score.Params) (r *Router, now time.Time) {
	p := new(Params)
	p.Provision()
	s := Settings{
		Params: p, Rand: rand.New(rand.NewPCG(1, 2)),
		Seen: func([]byte) bool { return false }, Record: func(peer.ID) []byte { return nil },
	}
	if params != nil {
		params.Provision()
		s.Board = score.New(params)
	}
	r, now = New(s), time.Unix(1e9, 0)
	var subs []rpc.Subscription
	for i := range topics {
		name := fmt.Sprintf("topic %05d", i)
		subs = append(subs, rpc.Subscription{Topic: name, Subscribe: true})
		r.Step(TopicJoined{Topic: name}, now)
	}
	for i := range peers {
		who := id(fmt.Sprint(i))
		if s.Board != nil {
			s.Board.Join(who)
		}
		r.Step(Joined{Peer: who, Version: V13, Outbound: i%2 == 0}, now)
		r.Step(Subscribed{Peer: who, Subscriptions: subs}, now)
	}
	return r, now
}

// A peer that has sent a message while it was being checked does not get it, but
// where peers are judged by what they deliver.
func TestSpares(t *testing.T) {
	judging := &score.Params{Topics: map[string]*score.TopicParams{"topic 00000": {
		MeshDeliveriesWeight: -1, MeshDeliveriesThreshold: 1, MeshDeliveriesDecay: 0.9,
	}}}
	for _, tc := range []struct {
		params *score.Params
		want   int
	}{{nil, 4}, {new(score.Params), 4}, {judging, 5}} {
		r, now := crowded(6, 1, tc.params)
		r.Step(Heartbeat{}, now)
		if n := len(r.topics["topic 00000"].mesh); n != 6 {
			t.Fatalf("%d in the mesh", n)
		}
		m := &Message{ID: "m", Topic: "topic 00000", Raw: []byte("raw")}
		r.Step(Arrived{Peer: id("0"), ID: "m", Topic: m.Topic, Size: 3}, now)
		r.Step(Duplicate{Peer: id("1"), ID: "m", Topic: m.Topic}, now)
		got := 0
		for _, a := range r.Step(Accepted{Peer: id("0"), Message: m}, now) {
			if d, ok := a.(Deliver); ok {
				got = len(d.Peers)
			}
		}
		if got != tc.want || len(r.arriving) != 0 {
			t.Errorf("sent to %d peers, want %d; %d messages still arriving", got, tc.want, len(r.arriving))
		}
	}
}

// BenchmarkHeartbeat is a heartbeat of a router in many topics, with what the
// router holds.
func BenchmarkHeartbeat(b *testing.B) {
	for _, size := range []struct{ peers, topics int }{{50, 1}, {200, 100}, {200, 10_000}} {
		b.Run(fmt.Sprintf("peers=%d/topics=%d", size.peers, size.topics), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			r, now := crowded(size.peers, size.topics, new(score.Params))
			for range 3 { // the meshes form
				now = now.Add(time.Second)
				r.Step(Heartbeat{}, now)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Second)
				r.Step(Heartbeat{}, now)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
			runtime.KeepAlive(r)
		})
	}
}

// BenchmarkForward is what the router does about a message with one duplicate.
func BenchmarkForward(b *testing.B) {
	r, now := crowded(50, 1, new(score.Params))
	r.Step(Heartbeat{}, now)
	topic := "topic 00000"
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i++; i%100 == 0 {
			now = now.Add(time.Second)
			r.Step(Heartbeat{}, now)
		}
		m := &Message{ID: fmt.Sprint(i), Topic: topic, Raw: make([]byte, 256)}
		r.Step(Arrived{Peer: id("0"), ID: m.ID, Topic: topic, Size: 256}, now)
		r.Step(Accepted{Peer: id("0"), Message: m}, now)
		r.Step(Duplicate{Peer: id("1"), ID: m.ID, Topic: topic}, now)
	}
}

// BenchmarkControl is what the router does about control messages of a peer.
func BenchmarkControl(b *testing.B) {
	var ids [][]byte
	for i := range 100 {
		ids = append(ids, fmt.Appendf(nil, "id %17d", i))
	}
	for name, c := range map[string]*rpc.Control{
		"IHAVE":     {IHave: []rpc.IHave{{Topic: "topic 00000", IDs: ids}}},
		"IWANT":     {IWant: ids},
		"IDONTWANT": {IDontWant: ids[:1]},
		"GRAFT":     {Graft: []string{"topic 00000"}, Prune: []rpc.Prune{{Topic: "topic 00000", Backoff: time.Second}}},
	} {
		b.Run(name, func(b *testing.B) {
			r, now := crowded(50, 1, new(score.Params))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i%10 == 0 { // what a peer may say is for a heartbeat
					now = now.Add(time.Second)
					r.Step(Heartbeat{}, now)
				}
				r.Step(Controlled{Peer: id(fmt.Sprint(i % 50)), Control: c}, now)
			}
		})
	}
}
