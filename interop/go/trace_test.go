// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"testing"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"google.golang.org/protobuf/proto"
)

// xnode's traces of pub/sub are those of go-libp2p-pubsub: its own code reads the
// golden file, and finds an event of each type with everything in it.
func TestTraceOfXnode(t *testing.T) {
	f, err := os.Open("../../modules/pubsub/internal/pbtrace/testdata/all.pb")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	br := bufio.NewReader(f)
	for i := 0; ; i++ {
		n, err := binary.ReadUvarint(br)
		if err == io.EOF {
			if want := len(pb.TraceEvent_Type_name); i != want {
				t.Errorf("%d events, want one of each of %d types", i, want)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(br, b); err != nil {
			t.Fatal(err)
		}
		var e pb.TraceEvent
		if err := proto.Unmarshal(b, &e); err != nil {
			t.Fatal(err)
		}
		if int(e.GetType()) != i || string(e.GetPeerID()) != "a" || e.GetTimestamp() != 1_800_000_000e9+int64(i) {
			t.Errorf("event %d: %v", i, &e)
		}
		check(t, &e)
	}
}

func check(t *testing.T, e *pb.TraceEvent) {
	t.Helper()
	equal := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%v: %s is %v, want %v", e.GetType(), what, got, want)
		}
	}
	message := func(m interface {
		GetMessageID() []byte
		GetTopic() string
	}) {
		t.Helper()
		equal("ID", string(m.GetMessageID()), "m1")
		equal("topic", m.GetTopic(), "news")
	}
	meta := func(m *pb.TraceEvent_RPCMeta) {
		t.Helper()
		c := m.GetControl()
		if len(m.GetMessages()) != 2 || len(m.GetSubscription()) != 2 || len(c.GetIhave()) != 1 || len(c.GetIwant()) != 1 ||
			len(c.GetGraft()) != 1 || len(c.GetPrune()) != 1 || len(c.GetIdontwant()) != 1 {
			t.Fatalf("%v: %v", e.GetType(), m)
		}
		equal("message", string(m.Messages[1].GetMessageID())+m.Messages[1].GetTopic(), "m2chat")
		equal("subscription", m.Subscription[0].GetSubscribe(), true)
		equal("its topic", m.Subscription[1].GetTopic(), "chat")
		equal("IHAVE", c.Ihave[0].GetTopic()+string(c.Ihave[0].GetMessageIDs()[1]), "newsm2")
		equal("IWANT", string(c.Iwant[0].GetMessageIDs()[0]), "m3")
		equal("GRAFT", c.Graft[0].GetTopic(), "news")
		equal("PRUNE", c.Prune[0].GetTopic()+string(c.Prune[0].GetPeers()[0]), "chatc")
		equal("IDONTWANT", string(c.Idontwant[0].GetMessageIDs()[0]), "m4")
	}
	switch e.GetType() {
	case pb.TraceEvent_PUBLISH_MESSAGE:
		message(e.GetPublishMessage())
	case pb.TraceEvent_REJECT_MESSAGE:
		message(e.GetRejectMessage())
		equal("sender", string(e.GetRejectMessage().GetReceivedFrom()), "b")
		equal("reason", e.GetRejectMessage().GetReason(), "validation failed")
	case pb.TraceEvent_DUPLICATE_MESSAGE:
		message(e.GetDuplicateMessage())
		equal("sender", string(e.GetDuplicateMessage().GetReceivedFrom()), "b")
	case pb.TraceEvent_DELIVER_MESSAGE:
		message(e.GetDeliverMessage())
		equal("sender", string(e.GetDeliverMessage().GetReceivedFrom()), "b")
	case pb.TraceEvent_ON_NEW_OUTBOUND_STREAM:
		equal("peer", string(e.GetOnNewOutboundStream().GetPeerID()), "b")
		equal("protocol", e.GetOnNewOutboundStream().GetProto(), "/meshsub/1.3.0")
	case pb.TraceEvent_ON_CLOSED_OUTBOUND_STREAM:
		equal("peer", string(e.GetOnClosedOutboundStream().GetPeerID()), "b")
	case pb.TraceEvent_RECV_RPC:
		equal("sender", string(e.GetRecvRPC().GetReceivedFrom()), "b")
		meta(e.GetRecvRPC().GetMeta())
	case pb.TraceEvent_SEND_RPC:
		equal("receiver", string(e.GetSendRPC().GetSendTo()), "b")
		meta(e.GetSendRPC().GetMeta())
	case pb.TraceEvent_DROP_RPC:
		equal("receiver", string(e.GetDropRPC().GetSendTo()), "b")
		meta(e.GetDropRPC().GetMeta())
	case pb.TraceEvent_JOIN:
		equal("topic", e.GetJoin().GetTopic(), "news")
	case pb.TraceEvent_LEAVE:
		equal("topic", e.GetLeave().GetTopic(), "news")
	case pb.TraceEvent_GRAFT:
		equal("peer", string(e.GetGraft().GetPeerID()), "b")
		equal("topic", e.GetGraft().GetTopic(), "news")
	case pb.TraceEvent_PRUNE:
		equal("peer", string(e.GetPrune().GetPeerID()), "b")
		equal("topic", e.GetPrune().GetTopic(), "news")
	case pb.TraceEvent_SEND_RPC_COMPLETED:
		equal("receiver", string(e.GetSendRPCCompleted().GetSendTo()), "b")
		equal("duration", e.GetSendRPCCompleted().GetWriteDurationNanos(), int64(1_500_000))
		meta(e.GetSendRPCCompleted().GetMeta())
	}
}
