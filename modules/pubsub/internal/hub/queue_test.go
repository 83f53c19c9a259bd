// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"bytes"
	"fmt"
	"maps"
	"testing"

	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// drained decodes what a queue sends until it is empty.
func drained(t *testing.T, q *queue) (ids []string, control int) {
	t.Helper()
	for {
		b := q.drain(nil)
		if len(b) == 0 {
			return ids, control
		}
		for r := bytes.NewReader(b); r.Len() > 0; {
			frame, err := wire.ReadMessage(r, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			m, err := rpc.Decode(frame, &rpc.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range m.Publish {
				ids = append(ids, string(p.Data))
			}
			control += len(m.Control.Graft) + len(m.Subscriptions)
		}
	}
}

func queued(id string) *mesh.Message {
	m := &rpc.Message{Data: []byte(id), Topic: "t", HasTopic: true}
	m.Encode()
	return &mesh.Message{ID: id, Topic: "t", Raw: m.Raw}
}

func TestQueue(t *testing.T) {
	begun := 0
	q := &queue{begin: func() { begun++ }}
	for i := range 5 {
		if !q.publish(queued(fmt.Sprint(i)), i == 4) {
			t.Fatal(i)
		}
	}
	q.control(&rpc.Control{Graft: []string{"a", "b"}})
	q.field(rpc.AppendSubscription(nil, rpc.Subscription{Topic: "t", Subscribe: true}))
	if !q.spare("2") || q.spare("2") || q.spare("4") || q.spare("none") {
		t.Error("what waits for others is taken back, once; what is the node's own is not")
	}
	if ids, control := drained(t, q); fmt.Sprint(ids) != "[4 0 1 3]" || control != 3 {
		t.Errorf("%v, %d entries of control messages and subscriptions", ids, control)
	}
	if q.messages != 0 || q.size != 0 || q.dropped != 0 {
		t.Errorf("what is left counts for %d and %d bytes; %d dropped", q.messages, q.size, q.dropped)
	}
	if begun != 1 {
		t.Errorf("begun %d times before the queue was empty", begun)
	}
	if q.publish(queued("x"), false); begun != 2 {
		t.Errorf("begun %d times after it was", begun)
	}
}

// What a peer has not been told yet about a group it is told once, as it is last;
// parts are not left out.
func TestQueueOfPartialMessages(t *testing.T) {
	q := &queue{begin: func() {}}
	say := func(group, message, metadata string) {
		p := &rpc.Partial{Topic: "t", Group: []byte(group)}
		if message != "" {
			p.Message = []byte(message)
		}
		if metadata != "" {
			p.Metadata = []byte(metadata)
		}
		q.partial(p)
	}
	say("a", "", "1")
	say("b", "", "1")
	say("a", "part", "2")
	say("a", "other", "")
	say("a", "", "3")
	say("a", "", "4")
	var got []string
	for r := bytes.NewReader(q.drain(nil)); r.Len() > 0; {
		frame, err := wire.ReadMessage(r, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		m, err := rpc.Decode(frame, &rpc.DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s%s%s", m.Partial.Group, m.Partial.Message, m.Partial.Metadata))
	}
	if fmt.Sprint(got) != "[b1 apart2 aother a4]" || q.messages != 0 {
		t.Errorf("%q, and %d bytes are left", got, q.messages)
	}
}

func TestQueueIsBounded(t *testing.T) {
	q := &queue{begin: func() {}}
	taken := 0
	for i := range 2 * maxQueued {
		if q.publish(queued(fmt.Sprint(i)), false) {
			taken++
		}
	}
	if taken != maxQueued || int(q.dropped) != maxQueued {
		t.Errorf("%d taken, %d dropped", taken, q.dropped)
	}
	if !q.publish(queued("own"), true) {
		t.Error("an own message has no room where others have none")
	}
	if ids, _ := drained(t, q); len(ids) != maxQueued+1 {
		t.Errorf("%d sent", len(ids))
	}
}

// FuzzQueue: whatever is queued, it leaves in frames that can be decoded, that hold
// one thing or are not large, and nothing of it is lost or comes twice. A byte says
// what is queued, another one how large it is.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0, 9, 1, 200, 2, 3, 3, 255, 4, 0, 5, 40, 0, 255, 0, 255, 0, 255, 6, 0, 5, 255, 5, 255})
	f.Fuzz(func(t *testing.T, ops []byte) {
		q := &queue{begin: func() {}}
		want := make(map[string]int) // how often
		got := make(map[string]int)
		drain := func() {
			b := q.drain(nil)
			for r := bytes.NewReader(b); r.Len() > 0; {
				frame, err := wire.ReadMessage(r, 4<<20)
				if err != nil {
					t.Fatal(err)
				}
				for _, what := range contents(t, frame) {
					got[what]++
				}
			}
		}
		for i := 0; i+1 < len(ops); i += 2 {
			size := int(ops[i+1]) << (ops[i] / 16 % 8)
			name := fmt.Sprintf("%d %s", i, bytes.Repeat([]byte("x"), size))
			switch ops[i] % 7 {
			case 0, 1:
				if q.publish(queued(name), ops[i]%7 == 1) {
					want[name]++
				}
			case 2:
				drain()
			case 3:
				if q.partial(&rpc.Partial{Topic: "t", Group: []byte("g"), Message: []byte(name)}) {
					want[name]++
				}
			case 4:
				topic := name[:min(len(name), 256)]
				want[topic]++
				q.field(rpc.AppendSubscription(nil, rpc.Subscription{Topic: topic, Subscribe: true}))
			case 5:
				c := &rpc.Control{Graft: []string{name[:min(len(name), 256)]}}
				want[c.Graft[0]]++
				for j := range size {
					id := fmt.Sprintf("%d %d", i, j)
					c.IHave = append(c.IHave, rpc.IHave{Topic: "t", IDs: [][]byte{[]byte(id)}})
					want[id]++
				}
				q.control(c)
			case 6:
				if q.spare(name) {
					t.Fatal("spared what is not there")
				}
			}
		}
		for q.sending {
			drain()
		}
		if q.dropped == 0 && !maps.Equal(got, want) {
			t.Fatalf("%d things left the queue, want %d", len(got), len(want))
		}
		for what, n := range got {
			if n != want[what] {
				t.Fatalf("%.40q left the queue %d times, want %d", what, n, want[what])
			}
		}
		if q.messages != 0 || q.size != 0 || q.greeting != 0 || q.count() != 0 {
			t.Fatalf("an empty queue counts %d bytes of messages and %d of control messages", q.messages, q.size)
		}
	})
}

// contents are the things in a frame, each with its text.
func contents(t *testing.T, frame []byte) (list []string) {
	m, err := rpc.Decode(frame, &rpc.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if m.Excess > 0 {
		t.Fatalf("%d things too many in a frame", m.Excess)
	}
	for _, s := range m.Subscriptions {
		list = append(list, s.Topic)
	}
	for i := range m.Publish {
		list = append(list, string(m.Publish[i].Data))
	}
	if m.Partial != nil {
		list = append(list, string(m.Partial.Message))
	}
	list = append(list, m.Control.Graft...)
	for _, h := range m.Control.IHave {
		for _, id := range h.IDs {
			list = append(list, string(id))
		}
	}
	if len(list) > 1 && len(frame) > frameSize+16 {
		t.Fatalf("%d things in a frame of %d bytes", len(list), len(frame))
	}
	return list
}

func BenchmarkQueue(b *testing.B) {
	m := queued(string(make([]byte, 256)))
	for _, burst := range []int{1, 16} {
		b.Run(fmt.Sprintf("burst=%d", burst), func(b *testing.B) {
			q := &queue{begin: func() {}}
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				for range burst {
					q.publish(m, false)
				}
				for buf = q.drain(buf[:0]); len(buf) > 0; {
					buf = q.drain(buf[:0])
				}
			}
		})
	}
}
