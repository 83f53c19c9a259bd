// SPDX-License-Identifier: Apache-2.0 OR MIT

package gossipsub_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/message"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// meshsub is what the attackers speak.
const meshsub = "/meshsub/1.2.0"

// attacker is a peer that sends what it likes and notes what it gets.
type attacker struct {
	t        *testing.T
	n        *coretest.FakeNode
	protocol string
	out      core.Stream

	mu  sync.Mutex
	got []*rpc.RPC
}

// attack connects a node to the victim and opens its stream. It reads unless deaf.
func attack(t *testing.T, n, victim *coretest.FakeNode, deaf bool) *attacker {
	t.Helper()
	a := &attacker{t: t, n: n, protocol: meshsub}
	a.listen(deaf)
	a.open(victim)
	return a
}

// listen notes what the victim sends.
func (a *attacker) listen(deaf bool) {
	a.n.Handle(a.protocol, func(s core.Stream) error {
		if deaf {
			<-s.Conn().Done()
			return nil
		}
		br := bufio.NewReader(s)
		for {
			b, err := wire.ReadMessage(br, 4<<20)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			m, err := rpc.Decode(b, &rpc.DefaultLimits)
			if err != nil {
				a.t.Errorf("the victim sent %x: %v", b, err)
				return err
			}
			a.mu.Lock()
			a.got = append(a.got, m)
			a.mu.Unlock()
		}
	})
}

func (a *attacker) open(victim *coretest.FakeNode) {
	a.t.Helper()
	var err error
	if a.out, err = a.n.NewStream(a.t.Context(), victim.ID(), a.protocol); err != nil {
		a.t.Fatal(err)
	}
}

// send sends frames, and waits until all that follows has happened.
func (a *attacker) send(frames ...[]byte) {
	for _, b := range frames {
		if err := wire.WriteMessage(a.out, b); err != nil {
			break // the victim has had enough
		}
	}
	synctest.Wait()
}

// control are control messages as a frame.
func control(c *rpc.Control) []byte {
	var entries []byte
	for e := range c.Entries {
		entries = append(entries, e...)
	}
	return rpc.AppendControl(nil, entries)
}

func subscribe(topics ...string) (b []byte) {
	for _, topic := range topics {
		b = rpc.AppendSubscription(b, rpc.Subscription{Topic: topic, Subscribe: true})
	}
	return b
}

// signed is a message of a node, as a frame.
func signed(t *testing.T, n *coretest.FakeNode, topic, data string, number uint64) *rpc.Message {
	t.Helper()
	var seqno [8]byte
	binary.BigEndian.PutUint64(seqno[:], number)
	m, err := message.Policy{Sign: true, Strict: true}.New(n, topic, []byte(data), seqno)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func publish(messages ...*rpc.Message) (b []byte) {
	for _, m := range messages {
		m.Encode()
		b = rpc.AppendPublish(b, m.Raw)
	}
	return b
}

// frames are those that an attacker got.
func (a *attacker) frames() []*rpc.RPC {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.got)
}

// messages are those that an attacker got.
func (a *attacker) messages() (list []string) {
	for _, m := range a.frames() {
		for i := range m.Publish {
			list = append(list, string(m.Publish[i].Data))
		}
	}
	return list
}

// ended reports whether the victim has ended the stream.
func (a *attacker) ended() bool {
	_, err := a.out.Write([]byte{0})
	return err != nil
}

// victim starts gossipsub with a configuration on a node.
func victim(t *testing.T, n *coretest.FakeNode, config string) core.Topics {
	t.Helper()
	s := coretest.MustLoad[core.PubSub](t, "gossipsub", config)
	if err := s.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(core.Topics)
}

// next returns the messages that wait in a subscription.
func next(t *testing.T, s core.Subscription) (list []string) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		m, err := s.Next(ctx)
		cancel()
		if err != nil {
			return list
		}
		list = append(list, string(m.Data))
	}
}

// inBubble runs a test on fake time with a victim, whose subscription to "news"
// it gets, and nodes for attackers.
func inBubble(t *testing.T, config string, nodes int, test func(t *testing.T, v core.Topics, news core.Subscription, n []*coretest.FakeNode)) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, nodes+1)
		v := victim(t, n[0], config)
		news, err := v.Subscribe("news")
		if err != nil {
			t.Fatal(err)
		}
		test(t, v, news, n)
		news.Close()
	})
}

func score(t *testing.T, v core.Topics, n *coretest.FakeNode) float64 {
	t.Helper()
	for _, p := range v.TopicPeers("") {
		if p.Peer == n.ID() {
			return p.Score
		}
	}
	t.Fatalf("%v is no peer", n)
	return 0
}

func TestEvil_G2_SubscriptionFlood(t *testing.T) {
	inBubble(t, `{}`, 2, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		a := attack(t, n[1], n[0], false)
		a.send(bytes.Repeat(subscribe(""), 349_525))
		if !a.ended() {
			t.Error("a frame of 2 MiB is taken")
		}
		a.open(n[0])
		for i := range 30 { // 30,000 topics in frames that are small enough
			var topics []string
			for j := range 1000 {
				topics = append(topics, fmt.Sprint(i*1000+j))
			}
			a.send(subscribe(topics...))
		}
		if got := len(v.TopicPeers("")[0].Topics); got != 10_000 {
			t.Errorf("the victim remembers %d topics, want 10000", got)
		}
		if s := score(t, v, n[1]); s >= 0 {
			t.Errorf("its score is %v", s)
		}
		n[1].ConnsTo(n[0].ID())[0].Close()
		synctest.Wait()
		if got := v.TopicPeers(""); len(got) != 0 {
			t.Errorf("after it is gone: %v", got)
		}
	})
}

// Whatever is wrong with a message, it is neither delivered nor passed on, and
// its sender is worse off for it.
func TestEvil_G8_Messages(t *testing.T) {
	const config = `{"score": {"topics": {"news": {}}}}`
	for name, change := range map[string]func(m *rpc.Message, other *coretest.FakeNode){
		"no signature":   func(m *rpc.Message, _ *coretest.FakeNode) { m.Signature = nil },
		"signature":      func(m *rpc.Message, _ *coretest.FakeNode) { m.Signature[3] ^= 1 },
		"author":         func(m *rpc.Message, other *coretest.FakeNode) { m.From = other.ID().Bytes() },
		"author is none": func(m *rpc.Message, _ *coretest.FakeNode) { m.From = []byte{1, 2, 3} },
		"no author":      func(m *rpc.Message, _ *coretest.FakeNode) { m.From = nil },
		"data":           func(m *rpc.Message, _ *coretest.FakeNode) { m.Data = []byte("other") },
		"number":         func(m *rpc.Message, _ *coretest.FakeNode) { m.Seqno = m.Seqno[1:] },
		"key": func(m *rpc.Message, other *coretest.FakeNode) {
			m.Key = peer.MarshalPublicKey(other.PublicKey())
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, config, 3, func(t *testing.T, v core.Topics, news core.Subscription, n []*coretest.FakeNode) {
				a, witness := attack(t, n[1], n[0], false), attack(t, n[2], n[0], false)
				a.send(subscribe("news"))
				witness.send(subscribe("news"))
				time.Sleep(2 * time.Second) // a mesh
				good, bad := signed(t, n[3], "news", "good", 1), signed(t, n[3], "news", "good", 1)
				change(bad, n[2])
				a.send(publish(bad))
				if got := next(t, news); len(got) != 0 {
					t.Errorf("delivered: %q", got)
				}
				if s := score(t, v, n[1]); s >= 0 {
					t.Errorf("the sender's score is %v", s)
				}
				// What it pretended to be is still taken from others.
				witness.send(publish(good))
				if got := next(t, news); !slices.Equal(got, []string{"good"}) {
					t.Errorf("then delivered: %q", got)
				}
				if got := witness.messages(); len(got) != 0 {
					t.Errorf("passed on: %q", got)
				}
			})
		})
	}
}

// A node's own messages, sent back to it, are not delivered again.
func TestEvil_G8_FromSelf(t *testing.T) {
	inBubble(t, `{"seen_ttl": "1s"}`, 1, func(t *testing.T, v core.Topics, news core.Subscription, n []*coretest.FakeNode) {
		a := attack(t, n[1], n[0], false)
		a.send(subscribe("news"))
		if peers, err := v.Publish(t.Context(), "news", []byte("mine")); err != nil || peers != 1 {
			t.Fatalf("%d, %v", peers, err)
		}
		synctest.Wait()
		if got := next(t, news); !slices.Equal(got, []string{"mine"}) {
			t.Errorf("delivered: %q", got)
		}
		got := a.frames()
		i := slices.IndexFunc(got, func(m *rpc.RPC) bool { return len(m.Publish) > 0 })
		if i < 0 {
			t.Fatal("not sent")
		}
		time.Sleep(time.Minute) // forgotten
		for number := range uint64(3) {
			a.send(publish(signed(t, n[1], "news", "other", number))) // makes it forget
			time.Sleep(2 * time.Second)
		}
		next(t, news)
		a.send(publish(&got[i].Publish[0]))
		if got := next(t, news); len(got) != 0 {
			t.Errorf("delivered again: %q", got)
		}
		if s := score(t, v, n[1]); s < 0 {
			t.Errorf("an honest echo costs %v", s)
		}
	})
}

// A message that has been delivered is not delivered again, whoever sends it.
func TestEvil_G8_Replay(t *testing.T) {
	inBubble(t, `{}`, 2, func(t *testing.T, _ core.Topics, news core.Subscription, n []*coretest.FakeNode) {
		a, b := attack(t, n[1], n[0], false), attack(t, n[2], n[0], false)
		m := publish(signed(t, n[1], "news", "once", 1))
		a.send(m, m)
		b.send(m)
		time.Sleep(time.Minute)
		b.send(m)
		if got := next(t, news); !slices.Equal(got, []string{"once"}) {
			t.Errorf("delivered: %q", got)
		}
	})
}

// slow is a module that checks messages and does not come to an end.
type slow struct{}

func init() { core.Register(new(slow)) }

func (*slow) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.validator.slow", New: func() caddy.Module { return new(slow) }}
}

func (*slow) ValidateMessage(ctx context.Context, m *core.TopicMessage) core.TopicVerdict {
	switch {
	case bytes.HasPrefix(m.Data, []byte("bad")):
		return core.TopicReject
	case bytes.HasPrefix(m.Data, []byte("panic")):
		panic("at a message")
	}
	<-ctx.Done()
	return core.TopicAccept // too late
}

// Modules that do not get done do not stand in the way of other topics, and what
// they cannot take is dropped.
func TestEvil_G10_ValidationOverload(t *testing.T) {
	const config = `{"topic_options": {"hard": {"validators": [{"module": "slow"}]}}, "score": {"topics": {"hard": {}}}}`
	inBubble(t, config, 1, func(t *testing.T, v core.Topics, news core.Subscription, n []*coretest.FakeNode) {
		hard, err := v.Subscribe("hard")
		if err != nil {
			t.Fatal(err)
		}
		defer hard.Close()
		a := attack(t, n[1], n[0], false)
		for i := range uint64(3000) {
			a.send(publish(signed(t, n[1], "hard", "x", i)))
		}
		a.send(publish(signed(t, n[1], "news", "through", 9999)))
		if got := next(t, news); !slices.Equal(got, []string{"through"}) {
			t.Errorf("on the other topic: %q", got)
		}
		time.Sleep(time.Minute)
		if got := next(t, hard); len(got) != 0 {
			t.Errorf("%d messages that nobody has accepted", len(got))
		}
		if s := score(t, v, n[1]); s != 0 {
			t.Errorf("messages without a verdict cost %v", s)
		}
		a.send(publish(signed(t, n[1], "hard", "panic", 10_000)))
		if s := score(t, v, n[1]); s != 0 {
			t.Errorf("a module's panic costs its victim %v", s)
		}
		a.send(publish(signed(t, n[1], "hard", "bad", 10_001)))
		if s := score(t, v, n[1]); s >= 0 {
			t.Errorf("a rejected message costs %v", s)
		}
	})
}

// A peer that does not read costs little, does not hold up others, and is left
// in the end.
func TestEvil_G11_SlowReader(t *testing.T) {
	inBubble(t, `{}`, 4, func(t *testing.T, v core.Topics, news core.Subscription, n []*coretest.FakeNode) {
		deaf := attack(t, n[1], n[0], true)
		deaf.send(subscribe("news"))
		var others []*attacker
		for _, node := range n[2:] {
			a := attack(t, node, n[0], false)
			a.send(subscribe("news"))
			others = append(others, a)
		}
		data := bytes.Repeat([]byte{1}, 10<<10)
		const count = 1000
		for range count {
			if _, err := v.Publish(t.Context(), "news", data); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for _, a := range others {
			if got := len(a.messages()); got != count {
				t.Errorf("another one got %d messages of %d", got, count)
			}
		}
		time.Sleep(10 * time.Minute) // all tries to reach it have failed
		for _, p := range v.TopicPeers("") {
			if p.Peer == n[1].ID() {
				t.Error("it is still a peer")
			}
		}
		next(t, news)
		deaf.send(publish(signed(t, n[1], "news", "unjudged", 1)))
		if got := next(t, news); len(got) != 0 {
			t.Errorf("it is still listened to: %q", got)
		}
	})
}

// Recommended peers are dialled only if who recommends them is trusted, and
// their records must be their own.
func TestEvil_G9_PeerExchange(t *testing.T) {
	const config = `{"params": {"peer_exchange": true}, "score": {"accept_px_threshold": 3, "topics": {"news": {"first_message_deliveries_weight": 1}}}}`
	inBubble(t, config, 3, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		a := attack(t, n[1], n[0], false)
		a.send(subscribe("news"))
		prune := func(info ...rpc.PeerInfo) {
			a.send(control(&rpc.Control{Prune: []rpc.Prune{{Topic: "news", Backoff: time.Minute, Peers: info}}}))
		}
		known := func(p *coretest.FakeNode) bool { return len(n[0].ConnsTo(p.ID())) > 0 }
		prune(rpc.PeerInfo{ID: n[2].ID().Bytes()})
		if known(n[2]) {
			t.Error("a stranger's recommendation is followed")
		}
		for i := range uint64(5) {
			a.send(publish(signed(t, n[1], "news", fmt.Sprint(i), i)))
		}
		prune(rpc.PeerInfo{ID: n[2].ID().Bytes(), Record: []byte("forged")}, rpc.PeerInfo{ID: []byte("none")})
		if known(n[2]) {
			t.Error("a forged record is believed")
		}
		prune(rpc.PeerInfo{ID: n[3].ID().Bytes()})
		if !known(n[3]) {
			t.Error("a good peer's recommendation is not followed")
		}
	})
}

// What is no frame at all ends the stream, not the connection.
func TestEvil_B2_Frames(t *testing.T) {
	for name, b := range map[string][]byte{
		"length":        {0xff, 0xff, 0xff, 0xff, 0x0f},
		"varint":        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"protobuf":      {3, 0x0a, 0xff, 0x01},
		"field type":    {2, 0x10, 1},
		"control bytes": append(wire.AppendUvarint(nil, 600<<10+4), append([]byte{0x1a, 0x80, 0xe0, 0x24}, make([]byte, 600<<10)...)...),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, `{}`, 1, func(t *testing.T, _ core.Topics, news core.Subscription, n []*coretest.FakeNode) {
				a := attack(t, n[1], n[0], false)
				a.out.Write(b)
				synctest.Wait()
				if !a.ended() {
					t.Error("the stream goes on")
				}
				if len(n[0].ConnsTo(n[1].ID())) != 1 {
					t.Error("the connection is gone")
				}
				a.open(n[0])
				a.send(publish(signed(t, n[1], "news", "sorry", 1)))
				if got := next(t, news); !slices.Equal(got, []string{"sorry"}) {
					t.Errorf("afterwards delivered: %q", got)
				}
			})
		})
	}
}

// Peers that come and go leave nothing behind.
func TestEvil_G14_Churn(t *testing.T) {
	inBubble(t, `{"peer_gater": {}}`, 100, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		for i, node := range n[1:] {
			a := attack(t, node, n[0], false)
			a.send(subscribe("news", fmt.Sprint("topic", i)),
				control(&rpc.Control{Graft: []string{"news"}, IDontWant: [][]byte{[]byte("x")}, IHave: []rpc.IHave{{Topic: "news", IDs: [][]byte{[]byte("y")}}}}))
			node.ConnsTo(n[0].ID())[0].Close()
			synctest.Wait()
		}
		if got := v.TopicPeers(""); len(got) != 0 {
			t.Errorf("%d peers are left", len(got))
		}
		time.Sleep(2 * time.Hour)
		sized, ok := v.(interface{ Size() map[string]int })
		if !ok {
			t.Fatal("no sizes")
		}
		for what, size := range sized.Size() {
			if size != 0 && what != "own topics" {
				t.Errorf("%d %s are left", size, what)
			}
		}
	})
}

// Strange topics are shown harmlessly.
func TestEvil_B7_Topics(t *testing.T) {
	inBubble(t, `{}`, 1, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		a := attack(t, n[1], n[0], false)
		a.send(subscribe("\x1b[2J\xff", strings.Repeat("x", 256), strings.Repeat("x", 257), ""))
		if got := len(v.TopicPeers("")[0].Topics); got != 3 {
			t.Errorf("%d topics", got)
		}
		if _, err := v.Publish(t.Context(), "\x1b[2J\xff", nil); err != nil {
			t.Error(err)
		}
	})
}
