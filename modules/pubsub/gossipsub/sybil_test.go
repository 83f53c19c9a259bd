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

// sybil is an attacker that gets into every mesh it can. It passes messages on, but
// those of some peers or, from a certain time on, none.
type sybil struct {
	n      *coretest.FakeNode
	from   time.Time // when it turns; the zero time if it never does
	silent map[peer.ID]bool

	mu     sync.Mutex
	passed map[string]bool
	outs   map[peer.ID]core.Stream // to its victims
}

// serve reads what a victim sends.
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
		for _, p := range m.Control.Prune { // and in again, soon after it may
			time.AfterFunc(p.Backoff+rand.N(time.Minute), func() { s.graft(in.Conn().RemotePeer()) })
		}
		if s.from.IsZero() || time.Now().Before(s.from) {
			for i := range m.Publish {
				s.pass(in.Conn().RemotePeer(), &m.Publish[i])
			}
		}
	}
}

// pass sends a message on, once.
func (s *sybil) pass(not peer.ID, m *rpc.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if author, err := peer.FromBytes(m.From); err != nil || s.silent[author] || s.passed[string(m.Raw)] {
		return
	}
	s.passed[string(m.Raw)] = true
	for p, out := range s.outs {
		if p != not {
			_ = wire.WriteMessage(out, rpc.AppendPublish(nil, m.Raw)) // to a victim that may be gone
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

// siege is one of the attacks of the evaluation report of 2020 that are made with
// many identities.
type siege struct {
	first  bool          // attackers are there before honest nodes know one another
	good   time.Duration // how long attackers pass messages on; forever: always
	at     int           // they are at that many nodes; 0: at all
	silent bool          // they never pass messages of the first node on
	by     int           // that many nodes publish; 0: all
}

const forever time.Duration = -1

// For every connection between honest nodes there are twenty to attackers. Messages
// still arrive at all honest nodes.
func TestEvil_G13_Sybils(t *testing.T) {
	for name, s := range map[string]siege{
		"degradation":           {},
		"attack at dawn":        {good: 5 * time.Second, first: true},
		"cold boot":             {first: true},
		"covert flash":          {good: 30 * time.Second},
		"eclipse of one":        {first: true, at: 1},
		"eclipse of publishers": {at: 3, by: 3},
		"censor":                {good: forever, silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { s.run(t) })
		})
	}
}

func (s *siege) run(t *testing.T) {
	const (
		config = `{"score": {"topics": {"news": {
			"time_in_mesh_weight": 0.01, "time_in_mesh_cap": 10, "first_message_deliveries_weight": 1, "first_message_deliveries_decay": 0.9,
			"mesh_message_deliveries_weight": -10, "mesh_message_deliveries_threshold": 0.5, "mesh_message_deliveries_decay": 0.98,
			"mesh_message_deliveries_activation": "5s", "mesh_message_deliveries_window": "2s",
			"mesh_failure_penalty_weight": -10, "mesh_failure_penalty_decay": 0.99}}}}`
		ratio, degree, victims = 20, 6, 10
	)
	honest := 10
	if coretest.FullSize() {
		honest = 100
	}
	random := rand.New(rand.NewPCG(3, 4))
	attackers := honest * degree * ratio / victims
	if s.at > 0 {
		attackers = degree * ratio
	}
	n := coretest.FakeNodes(t, honest+attackers)
	var topics []core.Topics
	var subs []core.Subscription
	for _, node := range n[:honest] {
		v := victim(t, node, config)
		sub, err := v.Subscribe("news")
		if err != nil {
			t.Fatal(err)
		}
		topics, subs = append(topics, v), append(subs, sub)
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
		var turn time.Time
		if s.good != forever {
			turn = time.Now().Add(s.good)
		}
		for _, node := range n[honest:] {
			a := &sybil{n: node, from: turn, silent: make(map[peer.ID]bool), passed: make(map[string]bool), outs: make(map[peer.ID]core.Stream)}
			if s.silent {
				a.silent[n[0].ID()] = true
			}
			node.Handle(meshsub, a.serve)
			targets := random.Perm(honest)[:victims]
			if s.at > 0 {
				targets = random.Perm(s.at)
			}
			for _, i := range targets {
				a.connect(t, n[i])
			}
		}
	}
	begin := [...]func(){meet, infest}
	if s.first {
		begin = [...]func(){infest, meet}
	}
	begin[0]()
	time.Sleep(5 * time.Second)
	begin[1]()

	published, by := 0, s.by
	if by == 0 {
		by = honest
	}
	publish := func(every time.Duration) {
		if _, err := topics[published%by].Publish(t.Context(), "news", fmt.Append(nil, published)); err != nil {
			t.Fatal(err)
		}
		published++
		time.Sleep(every)
	}
	settle := 30 * time.Second
	if s.first { // nodes have to find out about all that are in their meshes, some at a time
		settle = 150 * time.Second
	}
	for end := time.Now().Add(max(s.good, 0) + settle); time.Now().Before(end); {
		publish(5 * time.Second / time.Duration(honest))
	}
	time.Sleep(6 * time.Second)
	for _, sub := range subs {
		next(t, sub)
	}
	const counted = 50
	if s.silent {
		by = 1
	}
	for range counted {
		publish(200 * time.Millisecond)
	}
	time.Sleep(6 * time.Second)
	got := 0
	for _, sub := range subs {
		got += len(next(t, sub))
		sub.Close()
	}
	share := float64(got) / float64(counted*honest)
	t.Logf("%d honest nodes, %d attackers: %.2f%% delivered", honest, attackers, 100*share)
	if share < 0.99 {
		t.Errorf("%d of %d deliveries", got, counted*honest)
	}
	for _, node := range n[honest:] {
		for _, c := range node.Conns() {
			c.Close()
		}
	}
}
