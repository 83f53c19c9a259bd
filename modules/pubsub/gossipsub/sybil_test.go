// SPDX-License-Identifier: Apache-2.0 OR MIT

package gossipsub_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// sybil is an attacker that gets into every mesh it can and passes nothing on,
// from a certain time on.
type sybil struct {
	n    *coretest.FakeNode
	from time.Time // when it turns

	mu   sync.Mutex
	outs map[peer.ID]core.Stream // to its victims
}

func newSybil(n *coretest.FakeNode, from time.Time) *sybil {
	s := &sybil{n: n, from: from, outs: make(map[peer.ID]core.Stream)}
	n.Handle(meshsub, s.serve)
	return s
}

// serve reads what a victim sends. Who is still good passes messages on.
func (s *sybil) serve(in core.Stream) error {
	br := bufio.NewReader(in)
	for {
		b, err := wire.ReadMessage(br, 1<<20)
		if err != nil {
			return nil
		}
		m, err := rpc.Decode(b, &rpc.DefaultLimits)
		if err != nil {
			return err
		}
		for _, p := range m.Control.Prune { // and in again, as soon as it may
			time.AfterFunc(p.Backoff+time.Second, func() { s.graft(in.Conn().RemotePeer()) })
		}
		if time.Now().Before(s.from) {
			for i := range m.Publish {
				s.pass(in.Conn().RemotePeer(), m.Publish[i].Raw)
			}
		}
	}
}

func (s *sybil) pass(not peer.ID, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, out := range s.outs {
		if p != not {
			_ = wire.WriteMessage(out, rpc.AppendPublish(nil, raw)) // to a victim that may be gone
		}
	}
}

func (s *sybil) graft(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if out := s.outs[p]; out != nil {
		_ = wire.WriteMessage(out, control(&rpc.Control{Graft: []string{"news"}}))
	}
}

// connect connects to a victim, subscribes and grafts.
func (s *sybil) connect(t *testing.T, victim *coretest.FakeNode) {
	t.Helper()
	out, err := s.n.NewStream(t.Context(), victim.ID(), meshsub)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.outs[victim.ID()] = out
	s.mu.Unlock()
	if err := wire.WriteMessage(out, subscribe("news")); err != nil {
		t.Fatal(err)
	}
	s.graft(victim.ID())
}

// The attacks of the evaluation report of 2020 that are made with many
// identities: for every connection between honest nodes there are twenty to
// attackers. Messages still arrive at all honest nodes.
func TestEvil_G13_Sybils(t *testing.T) {
	const config = `{"score": {"topics": {"news": {
		"time_in_mesh_weight": 0.01, "first_message_deliveries_weight": 1, "first_message_deliveries_decay": 0.9,
		"mesh_message_deliveries_weight": -1, "mesh_message_deliveries_threshold": 2, "mesh_message_deliveries_decay": 0.95,
		"mesh_message_deliveries_activation": "5s", "mesh_message_deliveries_window": "100ms",
		"mesh_failure_penalty_weight": -1, "mesh_failure_penalty_decay": 0.95}}}}`
	for _, tc := range []struct {
		name      string
		coldBoot  bool          // attackers are there before there is an honest mesh
		good      time.Duration // how long attackers pass messages on
		settle    time.Duration // how long it takes before deliveries count
		onlyFirst bool          // all attackers are at one node
	}{
		{"degradation", false, 0, 20 * time.Second, false},
		{"cold boot", true, 0, 20 * time.Second, false},
		{"covert flash", false, 30 * time.Second, 40 * time.Second, false},
		{"eclipse of one", true, 0, 20 * time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			honest, ratio, degree := 30, 20, 6
			if testing.Short() || coretest.Race {
				honest = 12
			}
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(3, 4))
				attackers := honest * degree * ratio / 10 // each has ten victims
				if tc.onlyFirst {
					attackers = degree * ratio
				}
				n := coretest.FakeNodes(t, honest+attackers)
				var topics []core.Topics
				var subs []core.Subscription
				for _, node := range n[:honest] {
					v := victim(t, node, config)
					s, err := v.Subscribe("news")
					if err != nil {
						t.Fatal(err)
					}
					topics, subs = append(topics, v), append(subs, s)
				}
				meet := func() {
					for i, node := range n[:honest] {
						for range degree / 2 {
							other := n[(i+1+random.IntN(honest-1))%honest]
							if _, err := node.Connect(t.Context(), peer.AddrInfo{ID: other.ID()}); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
				infest := func() {
					turn := time.Now().Add(tc.good)
					for _, node := range n[honest:] {
						s := newSybil(node, turn)
						if tc.onlyFirst {
							s.connect(t, n[0])
							continue
						}
						for _, i := range random.Perm(honest)[:10] {
							s.connect(t, n[i])
						}
					}
				}
				if tc.coldBoot {
					infest()
					time.Sleep(5 * time.Second)
					meet()
				} else {
					meet()
					time.Sleep(5 * time.Second)
					infest()
				}
				published := 0
				publish := func() {
					if _, err := topics[published%honest].Publish(t.Context(), "news", fmt.Append(nil, published)); err != nil {
						t.Fatal(err)
					}
					published++
				}
				for end := time.Now().Add(tc.settle); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
					publish()
				}
				time.Sleep(6 * time.Second)
				for _, s := range subs {
					next(t, s)
				}
				const counted = 50
				for range counted {
					publish()
					time.Sleep(200 * time.Millisecond)
				}
				time.Sleep(6 * time.Second)
				got := 0
				for _, s := range subs {
					got += len(next(t, s))
					s.Close()
				}
				ratioOf := float64(got) / float64(counted*honest)
				t.Logf("%d honest nodes, %d attackers: %.2f%% delivered", honest, attackers, 100*ratioOf)
				if ratioOf < 0.99 {
					t.Errorf("%d of %d deliveries", got, counted*honest)
				}
				for _, node := range n[honest:] {
					for _, c := range node.Conns() {
						c.Close()
					}
				}
			})
		})
	}
}
