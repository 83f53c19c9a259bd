// SPDX-License-Identifier: Apache-2.0 OR MIT

package gossipsub_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// parts is a program that puts messages together of eight parts of one byte each.
// Metadata is the eight with a space for each that is missing, and so is data.
type parts struct {
	p core.PartialTopics

	mu     sync.Mutex
	groups map[string][]byte
	got    int // parts that have come, also those that were there
}

func newParts(t *testing.T, v core.Topics, requests bool) *parts {
	t.Helper()
	p := &parts{p: v.(core.PartialTopics), groups: make(map[string][]byte)}
	stop, err := p.p.HandlePartial("news", requests, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return p
}

// merge adds parts to those of a group, and returns how many are new.
func merge(have *[]byte, more []byte) (fresh int) {
	if *have == nil {
		*have = []byte("        ")
	}
	for i := range min(len(more), len(*have)) {
		if more[i] != ' ' && (*have)[i] == ' ' {
			(*have)[i] = more[i]
			fresh++
		}
	}
	return fresh
}

func (p *parts) ReceivePartial(m *core.PartialMessage) core.TopicVerdict {
	if len(m.Data) != 0 && len(m.Data) != 8 {
		return core.TopicReject
	}
	p.mu.Lock()
	have := p.groups[string(m.Group)]
	merge(&have, m.Data)
	p.groups[string(m.Group)] = have
	p.got += len(bytes.ReplaceAll(m.Data, []byte(" "), nil))
	p.mu.Unlock()
	p.publish(string(m.Group))
	return core.TopicAccept
}

func (p *parts) GossipPartial(_ string, group []byte, _ []peer.ID) { p.publish(string(group)) }

// publish sends each peer what it lacks.
func (p *parts) publish(group string, to ...peer.ID) (int, error) {
	p.mu.Lock()
	have := slices.Clone(p.groups[group])
	p.mu.Unlock()
	return p.p.PublishPartial("news", []byte(group), func(to core.PartialPeer) (out core.PartialParts) {
		if !bytes.Equal(to.Sent, have) {
			out.Metadata = have
		}
		if to.Metadata == nil {
			return out // it will say what it has
		}
		known := slices.Clone(to.Metadata)
		out.Data = []byte("        ")
		for i := range have {
			if known[i] == ' ' {
				out.Data[i], known[i] = have[i], have[i]
			}
		}
		out.Known = known
		if len(bytes.TrimSpace(out.Data)) == 0 {
			out.Data = nil
		}
		return out
	}, to...)
}

func (p *parts) group(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.groups[name])
}

const partialConfig = `{"topics": ["news"], "partial_messages": {}, "score": {"topics": {"news": {}}}}`

// Four nodes in a row, of which each of the first and the last has half of a
// message: in the end all have all of it, and hardly a part has come twice.
func TestPartialMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 4)
		var list []*parts
		for i, node := range n {
			list = append(list, newParts(t, victim(t, node, partialConfig), true))
			if i > 0 {
				if _, err := n[i-1].Connect(t.Context(), peer.AddrInfo{ID: node.ID()}); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(3 * time.Second)
		list[0].groups["g"], list[3].groups["g"] = []byte("abcd    "), []byte("    efgh")
		for _, i := range []int{0, 3} {
			if peers, err := list[i].publish("g"); err != nil || peers != 1 {
				t.Errorf("node %d publishes to %d peers, %v", i, peers, err)
			}
		}
		synctest.Wait()
		for i, p := range list {
			if got := p.group("g"); got != "abcdefgh" {
				t.Errorf("node %d has %q", i, got)
			}
			if p.got > 12 {
				t.Errorf("node %d got %d parts", i, p.got)
			}
		}
	})
}

// A node that is not in the topic has a message, and gives it to two of those that
// are; all of them get all of it.
func TestPartialFanout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 5)
		from := victim(t, n[0], `{"partial_messages": {}}`)
		publisher := newParts(t, from, false)
		var list []*parts
		for _, node := range n[1:] {
			list = append(list, newParts(t, victim(t, node, partialConfig), true))
			for _, other := range n {
				if _, err := node.Connect(t.Context(), peer.AddrInfo{ID: other.ID()}); other != node && err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(3 * time.Second)
		publisher.groups["named"], publisher.groups["g"] = []byte("abcdefgh"), []byte("ijklmnop")
		if peers, err := publisher.publish("named", n[1].ID(), n[2].ID(), "nobody"); err != nil || peers != 2 {
			t.Errorf("published to %d peers, %v, want the two that were named", peers, err)
		}
		if peers, err := publisher.publish("g"); err != nil || peers != 4 {
			t.Errorf("published to %d peers, %v, want 4", peers, err)
		}
		time.Sleep(3 * time.Second)
		for i, p := range list {
			if got := p.group("named") + p.group("g"); got != "abcdefghijklmnop" {
				t.Errorf("node %d has %q", i+1, got)
			}
		}
		if got := from.TopicNames(); len(got) != 0 {
			t.Errorf("the publisher is in %v", got)
		}
	})
}

// A node that asks for parts still takes whole messages, from those who do not
// speak the extension, and gives them whole ones.
func TestPartialAndWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 3)
		v := victim(t, n[0], partialConfig)
		newParts(t, v, true)
		other := victim(t, n[1], partialConfig)
		newParts(t, other, true)
		plain := victim(t, n[2], `{"topics": ["news"]}`)
		subs := make([]core.Subscription, 3)
		for i, v := range []core.Topics{v, other, plain} {
			var err error
			if subs[i], err = v.Subscribe("news"); err != nil {
				t.Fatal(err)
			}
			defer subs[i].Close()
		}
		for _, to := range n[1:] {
			if _, err := n[0].Connect(t.Context(), peer.AddrInfo{ID: to.ID()}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		for _, m := range []struct {
			from  core.Topics
			peers int
		}{{plain, 1}, {v, 1}} {
			if peers, err := m.from.Publish(t.Context(), "news", fmt.Append(nil, m.peers)); err != nil || peers != m.peers {
				t.Errorf("published to %d peers, %v, want %d", peers, err, m.peers)
			}
			synctest.Wait()
		}
		for i, want := range []int{2, 0, 2} {
			if got := next(t, subs[i]); len(got) != want {
				t.Errorf("node %d got %q, want %d messages", i, got, want)
			}
		}
	})
}

// requestPartial is how a peer begins that wants parts of news.
func requestPartial() []byte {
	b := control(&rpc.Control{Extensions: &rpc.Extensions{PartialMessages: true}})
	return rpc.AppendSubscription(b, rpc.Subscription{Topic: "news", Subscribe: true, RequestsPartial: true})
}

// attackPartial is attack with the extension for partial messages.
func attackPartial(t *testing.T, n, victim *coretest.FakeNode) *attacker {
	t.Helper()
	a := &attacker{t: t, n: n, protocol: "/meshsub/1.3.0"}
	a.listen(false)
	a.open(victim)
	a.send(requestPartial())
	return a
}

// faulty handles partial messages badly.
type faulty struct{ asked int }

func (f *faulty) ReceivePartial(m *core.PartialMessage) core.TopicVerdict {
	f.asked++
	switch string(m.Data) {
	case "panic":
		panic("at a part")
	case "bad":
		return core.TopicReject
	}
	return core.TopicAccept
}

func (*faulty) GossipPartial(string, []byte, []peer.ID) { panic("at gossip") }

// Whatever comes as parts of messages, what is kept of it has a bound, goes with
// the peer, and what handles it may fail.
func TestEvil_G14_PartialMessages(t *testing.T) {
	inBubble(t, partialConfig, 1, func(t *testing.T, v core.Topics, news core.Subscription, n []*coretest.FakeNode) {
		f := new(faulty)
		stop, err := v.(core.PartialTopics).HandlePartial("news", true, f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.(core.PartialTopics).HandlePartial("news", true, f); err == nil {
			t.Error("there are two handlers")
		}
		a := attackPartial(t, n[1], n[0])
		time.Sleep(2 * time.Second) // a mesh
		send := func(p rpc.Partial) { a.send(rpc.AppendPartial(nil, &p)) }
		sizes := func() map[string]int { return v.(interface{ Size() map[string]int }).Size() }
		for i := range 1000 {
			send(rpc.Partial{Topic: "news", Group: fmt.Append(nil, i), Metadata: []byte("x")})
		}
		if got := sizes()["groups"]; got != 8 || f.asked != 8 {
			t.Errorf("%d groups, asked about %d, want 8", got, f.asked)
		}
		for _, p := range []rpc.Partial{
			{Topic: "other", Group: []byte("0")},
			{Topic: "news", Group: bytes.Repeat([]byte("x"), 129)},
			{Topic: "news", Group: []byte("0"), Metadata: make([]byte, 4<<10+1)},
		} {
			if send(p); f.asked != 8 {
				t.Errorf("asked about %s %.10q", p.Topic, p.Group)
			}
		}
		before := score(t, v, n[1])
		send(rpc.Partial{Topic: "news", Group: []byte("0"), Message: []byte("panic")})
		if s := score(t, v, n[1]); s < before {
			t.Errorf("a handler's panic costs its victim %v", s-before)
		}
		send(rpc.Partial{Topic: "news", Group: []byte("0"), Message: []byte("bad")})
		if s := score(t, v, n[1]); s >= before {
			t.Errorf("bad parts cost nothing: %v, %v before", s, before)
		}
		if _, err := v.(core.PartialTopics).PublishPartial("news", []byte("own"), func(core.PartialPeer) core.PartialParts {
			return core.PartialParts{Data: make([]byte, 2<<20)}
		}); err == nil || !strings.Contains(err.Error(), "partial message of 20") {
			t.Errorf("two megabytes of parts: %v", err)
		}
		time.Sleep(3 * time.Second) // gossip, and with it the handler's other panic
		n[1].ConnsTo(n[0].ID())[0].Close()
		time.Sleep(10 * time.Second)
		if got := sizes()["groups"]; got != 0 {
			t.Errorf("%d groups are left", got)
		}
		stop()
		stop()
		if _, err := v.(core.PartialTopics).PublishPartial("news", []byte("own"), nil); err == nil || !strings.Contains(err.Error(), "nothing handles") {
			t.Errorf("after its end: %v", err)
		}
	})
}

// Without the extension nobody is told of it, and what comes is left out.
func TestNoPartialMessages(t *testing.T) {
	inBubble(t, `{}`, 1, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		if _, err := v.(core.PartialTopics).HandlePartial("news", true, new(faulty)); err == nil || !strings.Contains(err.Error(), `add "partial_messages"`) {
			t.Error(err)
		}
		a := attackPartial(t, n[1], n[0])
		a.send(rpc.AppendPartial(nil, &rpc.Partial{Topic: "news", Group: []byte("0")}))
		for _, m := range a.frames() {
			if e := m.Control.Extensions; e != nil && e.PartialMessages {
				t.Error("the victim speaks of the extension")
			}
		}
		if s := score(t, v, n[1]); s != 0 {
			t.Errorf("it costs %v", s)
		}
	})
	coretest.TestConfigs[core.PubSub](t, "gossipsub", []coretest.Config{
		{Name: "bad", JSON: `{"partial_messages": {"group_ttl": -1}}`, WantErr: "partial_messages: group_ttl: want 1 to 1000, have -1"},
	})
}
