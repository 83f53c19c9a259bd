// SPDX-License-Identifier: Apache-2.0 OR MIT

package pbtrace

import (
	"bytes"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

var update = flag.Bool("update", false, "write the golden file")

// all is an event of each type, with all that there is to tell.
func all() []Event {
	r := &RPC{
		Messages:      []Message{{"m1", "news"}, {"m2", "chat"}},
		Subscriptions: []rpc.Subscription{{Topic: "news", Subscribe: true}, {Topic: "chat"}},
		Control: &rpc.Control{
			IHave:     []rpc.IHave{{Topic: "news", IDs: [][]byte{[]byte("m1"), []byte("m2")}}},
			IWant:     [][]byte{[]byte("m3")},
			Graft:     []string{"news"},
			Prune:     []rpc.Prune{{Topic: "chat", Peers: []rpc.PeerInfo{{ID: []byte("c")}}}},
			IDontWant: [][]byte{[]byte("m4")},
		},
	}
	list := []Event{
		{Type: PublishMessage, ID: "m1", Topic: "news"},
		{Type: RejectMessage, ID: "m1", Peer: "b", Topic: "news", Reason: "validation failed"},
		{Type: DuplicateMessage, ID: "m1", Peer: "b", Topic: "news"},
		{Type: DeliverMessage, ID: "m1", Peer: "b", Topic: "news"},
		{Type: OnNewOutboundStream, Peer: "b", Protocol: "/meshsub/1.3.0"},
		{Type: OnClosedOutboundStream, Peer: "b"},
		{Type: RecvRPC, Peer: "b", RPC: r},
		{Type: SendRPC, Peer: "b", RPC: r},
		{Type: DropRPC, Peer: "b", RPC: r},
		{Type: Join, Topic: "news"},
		{Type: Leave, Topic: "news"},
		{Type: Graft, Peer: "b", Topic: "news"},
		{Type: Prune, Peer: "b", Topic: "news"},
		{Type: SendRPCCompleted, Peer: "b", RPC: r, Took: 1500 * time.Microsecond},
	}
	for i := range list {
		list[i].Self, list[i].Time = "a", time.Unix(1_800_000_000, int64(i))
	}
	return list
}

// The file is read by go-libp2p-pubsub's own code in interop/go.
func TestGolden(t *testing.T) {
	var got []byte
	for i, e := range all() {
		if int(e.Type) != i {
			t.Errorf("event %d is of type %d", i, e.Type)
		}
		got = e.Append(got)
	}
	const path = "testdata/all.pb"
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
