// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"bytes"
	"fmt"
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
	q.fields(rpc.AppendSubscription(nil, rpc.Subscription{Topic: "t", Subscribe: true}))
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
