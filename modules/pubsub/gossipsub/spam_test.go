// SPDX-License-Identifier: Apache-2.0 OR MIT

package gossipsub_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// What the tests of go-libp2p-pubsub (v0.19.0) demand under attack, with the same
// parameters and limits, and where it is shown here. Behind a dot are traces of the
// router, in internal/mesh/testdata.
//
//	GossipsubAttackSpamIWANT              TestEvil_G5_SpamIWANT, .evil_g5_iwant
//	GossipsubAttackSpamIHAVE              TestEvil_G4_SpamIHAVE, .evil_g4_ihave
//	BrokenPromises, NoBrokenPromises      .evil_g4_ihave
//	GossipsubAttackGRAFTNonExistentTopic  TestEvil_G7_GraftOfUnknownTopic, .evil_g7_graft
//	GossipsubAttackGRAFTDuringBackoff     TestEvil_G7_GraftDuringBackoff, .evil_g7_graft
//	GossipsubAttackInvalidMessageSpam     TestEvil_G8_InvalidSpam, TestEvil_G8_Messages
//	GossipsubAttackSpamIDONTWANT          TestEvil_G6_SpamIDONTWANT, .evil_g6_idontwant
//	GossipsubHandleIDontwantSpam          TestEvil_G6_SpamIDONTWANT
//	GossipsubIDontWantUnwantedCleanup     TestEvil_G6_Cleanup
//	ValidateOverload                      TestEvil_G10_ValidationOverload
//	BasicSeqnoValidatorReplay             TestEvil_G8_SeqnoReplay
//	PeerGater…                            TestEvil_G10_PeerGater, internal/gater
//	…SubscriptionFilter…                  TestEvil_G2_SubscriptionFilter, TestEvil_G2_SubscriptionFlood
//	PubSubRemovesBlacklistedPeer          TestEvil_G12_Graylisted; who is barred is the gater's of the node
//	Score… (P1 to P7)                     internal/score
//	GossipsubPeerScoreInspect             cmd: TestPubSub (`pubsub scores`)
//	NoLeakFromDisconnectedPeer            TestEvil_G14_Churn
//	PartialMessages: PeerInitiatedCounter .evil_g14_groups
//	FragmentRPCFunction, …Fragmentation   internal/hub: TestQueue…, FuzzQueue

// count is how many there are of something in what an attacker got.
func count(a *attacker, of func(*rpc.RPC) int) (n int) {
	for _, m := range a.frames() {
		n += of(m)
	}
	return n
}

func prunes(m *rpc.RPC) int { return len(m.Control.Prune) }
func wanted(m *rpc.RPC) int { return len(m.Control.IWant) }

// graft is what a peer sends that wants into the mesh.
func graft(topic string) []byte { return control(&rpc.Control{Graft: []string{topic}}) }

func ids(format string, from, to int) (list [][]byte) {
	for i := from; i < to; i++ {
		list = append(list, fmt.Appendf(nil, format, i))
	}
	return list
}

// inMesh reports whether a peer is in the mesh of news.
func inMesh(v core.Topics, n *coretest.FakeNode) bool {
	return slices.ContainsFunc(v.TopicPeers("news"), func(p core.TopicPeer) bool {
		return p.Peer == n.ID() && slices.Contains(p.Mesh, "news")
	})
}

// A message comes, and again three times for who asks for it, however often.
func TestEvil_G5_SpamIWANT(t *testing.T) {
	for name, want := range map[string]func(id []byte) []byte{
		"one by one":    func(id []byte) []byte { return control(&rpc.Control{IWant: [][]byte{id}}) },
		"many in a row": func(id []byte) []byte { return control(&rpc.Control{IWant: slices.Repeat([][]byte{id}, 5000)}) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, `{"message_id": "sha256"}`, 1, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
				a := attack(t, n[1], n[0], false)
				a.send(subscribe("news"), graft("news"))
				if _, err := v.Publish(t.Context(), "news", []byte("x")); err != nil {
					t.Fatal(err)
				}
				id := sha256.Sum256([]byte("x"))
				for range 20 {
					a.send(want(id[:]))
				}
				time.Sleep(time.Second)
				if got := a.messages(); len(got) != 1+3 {
					t.Errorf("%d messages, want the first and 3 more", len(got))
				}
			})
		})
	}
}

// Who says that it has a lot is asked for some of it, anew each heartbeat, and is
// worse off when it does not send it.
func TestEvil_G4_SpamIHAVE(t *testing.T) {
	const config = `{"params": {"iwant_followup_time": "10s"}, "score": {"behaviour_weight": -1, "behaviour_decay": 0.926,
		"gossip_threshold": -100, "publish_threshold": -500, "graylist_threshold": -1000}}`
	const most = 5000 // IDs; in ten messages
	for want, ihave := range map[int]func(from int) [][]byte{
		10: func(from int) (list [][]byte) { // one by one
			for _, id := range ids("id%d", from, from+3*most) {
				list = append(list, control(&rpc.Control{IHave: []rpc.IHave{{Topic: "news", IDs: [][]byte{id}}}}))
			}
			return list
		},
		most: func(from int) (list [][]byte) { // many in a row
			for i := range 3 {
				list = append(list, control(&rpc.Control{IHave: []rpc.IHave{{Topic: "news", IDs: ids("id%d", from+i*most, from+(i+1)*most)}}}))
			}
			return list
		},
	} {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			inBubble(t, config, 1, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
				a := attack(t, n[1], n[0], false)
				a.send(subscribe("news"), graft("news"))
				for round := range 2 {
					a.send(ihave(round * 3 * most)...)
					if asked := count(a, wanted); asked != (round+1)*want {
						t.Errorf("round %d: %d are asked for in all", round, asked)
					}
					if s := score(t, v, n[1]); s != 0 {
						t.Errorf("round %d: a score of %v before any promise is broken", round, s)
					}
					time.Sleep(time.Second)
				}
				time.Sleep(11 * time.Second)
				if s := score(t, v, n[1]); s >= 0 {
					t.Errorf("a score of %v for promises that were not kept", s)
				}
			})
		})
	}
}

// Who wants into the mesh of a topic that is none gets no answer, and makes
// nothing be remembered.
func TestEvil_G7_GraftOfUnknownTopic(t *testing.T) {
	inBubble(t, `{}`, 1, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		a := attack(t, n[1], n[0], false)
		a.send(subscribe("news"), graft("news"))
		size := v.(interface{ Size() map[string]int }).Size
		before := size()
		a.send(graft("nowhere"), graft("nowhere"))
		time.Sleep(100 * time.Millisecond)
		if got := count(a, prunes); got != 0 {
			t.Errorf("%d answers", got)
		}
		for what, n := range size() {
			if n != before[what] {
				t.Errorf("%d %s, and %d before", n, what, before[what])
			}
		}
		if !inMesh(v, n[1]) {
			t.Error("it is out of the mesh of the topic that there is")
		}
	})
}

// Who comes back before its time is sent away and judged, twice as hard if it is
// much too early, and in the end not listened to.
func TestEvil_G7_GraftDuringBackoff(t *testing.T) {
	const config = `{"params": {"prune_backoff": "2s", "graft_flood_threshold": "1s"}, "score": {"behaviour_weight": -100, "behaviour_decay": 0.926,
		"gossip_threshold": -100, "publish_threshold": -500, "graylist_threshold": -1000}}`
	inBubble(t, config, 1, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		a := attack(t, n[1], n[0], false)
		a.send(subscribe("news"), graft("news"))
		if !inMesh(v, n[1]) {
			t.Fatal("it is not in the mesh")
		}
		a.send(control(&rpc.Control{Prune: []rpc.Prune{{Topic: "news"}}}))
		time.Sleep(1100 * time.Millisecond)
		if got := count(a, prunes); got != 0 || inMesh(v, n[1]) {
			t.Fatalf("%d answers to its own goodbye", got)
		}
		for i, want := range []float64{-100, -900, -2500} { // 1, 3 and 5 times, squared
			a.send(graft("news"))
			if got := count(a, prunes); got != i+1 {
				t.Errorf("after %d tries: sent away %d times", i+1, got)
			}
			if s := score(t, v, n[1]); s != want {
				t.Errorf("after %d tries: a score of %v, want %v", i+1, s, want)
			}
		}
		time.Sleep(2100 * time.Millisecond) // the back-off is over
		a.send(graft("news"))
		if got := count(a, prunes); got != 3 {
			t.Errorf("%d answers to who is not listened to any more", got-3)
		}
		if inMesh(v, n[1]) {
			t.Error("it is in the mesh")
		}
	})
}

// topicScore is how go-libp2p-pubsub's tests judge peers by the messages that they
// send.
const topicScore = `{
	"decay_interval": "5s", "retain": "10s", "gossip_threshold": -100, "publish_threshold": -200, "graylist_threshold": -300, "accept_px_threshold": 0,
	"topics": {"news": {"weight": 0.25,
		"time_in_mesh_weight": 0.0027, "time_in_mesh_quantum": "1s", "time_in_mesh_cap": 3600,
		"first_message_deliveries_weight": 0.664, "first_message_deliveries_decay": 0.9916, "first_message_deliveries_cap": 1500,
		"mesh_message_deliveries_weight": -0.25, "mesh_message_deliveries_decay": 0.97, "mesh_message_deliveries_cap": 400,
		"mesh_message_deliveries_threshold": 100, "mesh_message_deliveries_activation": "30s", "mesh_message_deliveries_window": "5m",
		"mesh_failure_penalty_weight": -0.25, "mesh_failure_penalty_decay": 0.997,
		"invalid_message_deliveries_weight": -99, "invalid_message_deliveries_decay": 0.9994}}}`

// Who sends messages that are not valid is out of the mesh soon, and not listened
// to: four are enough.
func TestEvil_G8_InvalidSpam(t *testing.T) {
	inBubble(t, `{"score": `+topicScore+`}`, 1, func(t *testing.T, v core.Topics, news core.Subscription, n []*coretest.FakeNode) {
		a := attack(t, n[1], n[0], false)
		a.send(subscribe("news"), graft("news"))
		if s := score(t, v, n[1]); s != 0 {
			t.Fatalf("a score of %v at the beginning", s)
		}
		for i := range 100 {
			m := &rpc.Message{Topic: "news", HasTopic: true, Data: fmt.Append(nil, i), From: n[1].ID().Bytes(), Seqno: []byte{byte(i)}}
			a.send(publish(m))
		}
		if s := score(t, v, n[1]); s != -0.25*99*16 {
			t.Errorf("a score of %v, want that of 4 messages", s)
		}
		if c := v.Counts(); c.Rejected != 4 || c.Delivered != 0 {
			t.Errorf("%+v, want 4 rejected", c)
		}
		time.Sleep(1100 * time.Millisecond) // a heartbeat
		if got := count(a, prunes); got != 1 || inMesh(v, n[1]) {
			t.Errorf("%d times sent away", got)
		}
		if got := next(t, news); len(got) != 0 {
			t.Errorf("delivered: %q", got)
		}
	})
}

// What a peer does not want it does not get, up to a number of messages in a
// heartbeat, whether it says so one by one or at once.
func TestEvil_G6_SpamIDONTWANT(t *testing.T) {
	for name, frames := range map[string]func(list [][]byte) [][]byte{
		"at once": func(list [][]byte) [][]byte { return [][]byte{control(&rpc.Control{IDontWant: list})} },
		"one by one": func(list [][]byte) (frames [][]byte) {
			for _, id := range list {
				frames = append(frames, control(&rpc.Control{IDontWant: [][]byte{id}}))
			}
			return frames
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, `{"message_id": "sha256"}`, 2, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
				a, author := attack(t, n[1], n[0], false), attack(t, n[2], n[0], false)
				a.send(subscribe("news"), graft("news"))
				number := uint64(0)
				say := func(data string) {
					number++
					author.send(publish(signed(t, n[2], "news", data, number)))
				}
				var list [][]byte
				for i := range 1000 + 1 {
					id := sha256.Sum256(fmt.Append(nil, i))
					list = append(list, id[:])
				}
				a.send(frames(list)...)
				for _, data := range []string{"0", "999", "1000"} {
					say(data)
				}
				if got := a.messages(); !slices.Equal(got, []string{"1000"}) {
					t.Errorf("it got %q, want the one beyond the limit", got)
				}
				time.Sleep(time.Second) // a heartbeat, and with it another thousand
				id := sha256.Sum256([]byte("later"))
				a.send(control(&rpc.Control{IDontWant: [][]byte{id[:]}}))
				say("later")
				if got := a.messages(); len(got) != 1 {
					t.Errorf("after a heartbeat it got %q", got[1:])
				}
			})
		})
	}
}

// What a peer does not want is forgotten after three heartbeats, and with the
// peer.
func TestEvil_G6_Cleanup(t *testing.T) {
	inBubble(t, `{}`, 1, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		unwanted := func() int { return v.(interface{ Size() map[string]int }).Size()["unwanted messages"] }
		a := attack(t, n[1], n[0], false)
		a.send(rpc.AppendControl(nil), rpc.AppendControl(nil, []byte{0x2a, 0})) // none at all, and one without IDs
		if got := unwanted(); got != 0 {
			t.Errorf("%d without an ID", got)
		}
		for range 2 {
			a.send(control(&rpc.Control{IDontWant: ids("id%d", 0, 10)}))
			if got := unwanted(); got != 10 {
				t.Errorf("%d, want 10", got)
			}
			time.Sleep(3 * time.Second)
			if got := unwanted(); got != 0 {
				t.Errorf("%d after three heartbeats", got)
			}
		}
		a.send(control(&rpc.Control{IDontWant: ids("id%d", 0, 10)}))
		n[1].ConnsTo(n[0].ID())[0].Close()
		synctest.Wait()
		if got := unwanted(); got != 0 {
			t.Errorf("%d after its end", got)
		}
	})
}

// Topics that the configuration does not allow do not exist: they are neither
// subscribed to nor remembered of peers, and do not count against them.
func TestEvil_G2_SubscriptionFilter(t *testing.T) {
	inBubble(t, `{"allow_topics": ["news", "/chat/*/v1"]}`, 1, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		a := attack(t, n[1], n[0], false)
		a.send(subscribe("news", "/chat/a/v1", "/chat/a/b/v1", "/chat/a/v2", "other", "new"))
		for range 20 { // many that are not allowed, and more than a peer may be in
			a.send(rpc.AppendSubscription(nil, rpc.Subscription{Topic: "other", Subscribe: true}), subscribe(names(1000)...))
		}
		got := v.TopicPeers("")[0]
		if !slices.Equal(got.Topics, []string{"/chat/a/v1", "news"}) || got.Score != 0 {
			t.Errorf("%+v", got)
		}
		for topic, want := range map[string]bool{"news": true, "/chat/b/v1": true, "/chat/v1": false, "other": false} {
			s, err := v.Subscribe(topic)
			if (err == nil) != want {
				t.Errorf("subscribe to %s: %v", topic, err)
			}
			if err == nil {
				s.Close()
			}
			if _, err := v.Publish(t.Context(), topic, nil); (err == nil) != want {
				t.Errorf("publish on %s: %v", topic, err)
			}
		}
	})
}

func names(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// Who is below the graylist threshold is not listened to at all; a direct peer
// always is.
func TestEvil_G12_Graylisted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 3)
		v := victim(t, n[0], fmt.Sprintf(`{"direct_peers": ["/memory/1/p2p/%s"], "score": {"peers": {%q: -81, %q: -81}}}`, n[2].ID(), n[1].ID(), n[2].ID()))
		news, err := v.Subscribe("news")
		if err != nil {
			t.Fatal(err)
		}
		defer news.Close()
		for i, want := range []string{"", "2"} {
			from := n[i+1]
			a := &attacker{t: t, n: from, protocol: meshsub}
			a.listen(false)
			if _, err := from.Connect(t.Context(), peer.AddrInfo{ID: n[0].ID()}); err != nil {
				t.Fatal(err)
			}
			a.open(n[0])
			a.send(subscribe("news"), publish(signed(t, from, "news", fmt.Sprint(i+1), 1)))
			if s := score(t, v, from); s != -81 {
				t.Errorf("a score of %v", s)
			}
			if got := fmt.Sprint(next(t, news)); got != "["+want+"]" {
				t.Errorf("of node %d: %s", i+1, got)
			}
		}
		if got := v.TopicPeers("news"); len(got) != 1 || got[0].Peer != n[2].ID() {
			t.Errorf("in the topic: %+v", got)
		}
	})
}

// Who recommends a peer shows the record that the peer has signed, and no other.
func TestEvil_A3_RecommendedRecords(t *testing.T) {
	inBubble(t, `{"params": {"peer_exchange": true}, "score": {"accept_px_threshold": 0}}`, 3, func(t *testing.T, _ core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		a := attack(t, n[1], n[0], false)
		a.send(subscribe("news"))
		target, third := n[2], n[3]
		seal := func(by, of *coretest.FakeNode, seq uint64) []byte {
			text, err := (&record.PeerRecord{ID: of.ID(), Seq: seq, Addrs: of.ListenAddrs()}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			e, err := record.Seal(by, "libp2p-peer-record", []byte{3, 1}, text)
			if err != nil {
				t.Fatal(err)
			}
			return e.Marshal()
		}
		recommend := func(b []byte) {
			a.send(control(&rpc.Control{Prune: []rpc.Prune{{Topic: "news", Peers: []rpc.PeerInfo{{ID: target.ID().Bytes(), Record: b}}}}}))
		}
		broken := seal(target, target, 2)
		broken[len(broken)-1] ^= 1
		for what, b := range map[string][]byte{
			"a third peer's":          seal(third, third, 2),
			"signed by who sends it":  seal(n[1], target, 2),
			"a third peer's, renamed": seal(third, target, 2),
			"broken":                  broken,
		} {
			if recommend(b); len(n[0].ConnsTo(target.ID()))+len(n[0].ConnsTo(third.ID())) > 0 || n[0].PeerRecord(target.ID()) != nil {
				t.Errorf("%s: it is believed", what)
			}
		}
		if recommend(seal(target, target, 2)); len(n[0].ConnsTo(target.ID())) != 1 || n[0].PeerRecord(target.ID()) == nil {
			t.Error("the peer's own record is not believed")
		}
	})
}
