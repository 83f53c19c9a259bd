// SPDX-License-Identifier: Apache-2.0 OR MIT

package gossipsub_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// types counts the events of a trace by their type.
func types(t *testing.T, trace []byte) map[int]int {
	t.Helper()
	count := make(map[int]int)
	for len(trace) > 0 {
		event, n := protowire.ConsumeBytes(trace)
		if n < 0 || len(event) < 2 || event[0] != 8 {
			t.Fatalf("no event: %q", trace)
		}
		count[int(event[1])]++
		trace = trace[n:]
	}
	return count
}

// A trace in protobuf has events of every type that there is, and the file of the
// configuration the same.
func TestRecord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace")
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 3)
		v := coretest.MustLoad[core.PubSub](t, "gossipsub", fmt.Sprintf(`{"trace_file": %q, "params": {"flood_publish": false}}`, file))
		if err := v.Start(t.Context(), n[0]); err != nil {
			t.Fatal(err)
		}
		topics := v.(core.Topics)
		var wg sync.WaitGroup
		wg.Go(func() {
			if missed, err := v.(core.TopicRecorder).RecordTopics(t.Context(), &out); err != nil || missed != 0 {
				t.Errorf("%d missed, %v", missed, err)
			}
		})
		synctest.Wait()
		a, deaf := attack(t, n[1], n[0], false), attack(t, n[2], n[0], true)
		a.send(subscribe("news"))
		deaf.send(subscribe("news"))
		news, err := topics.Subscribe("news")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		m := publish(signed(t, n[1], "news", "x", 1))
		a.send(m, m, publish(&rpc.Message{Topic: "news", HasTopic: true, Data: []byte("unsigned")}))
		for range 400 { // more than there is room for
			if _, err := topics.Publish(t.Context(), "news", make([]byte, 10<<10)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		a.send(control(&rpc.Control{Prune: []rpc.Prune{{Topic: "news", Backoff: time.Minute}}}))
		n[1].ConnsTo(n[0].ID())[0].Close()
		synctest.Wait()
		news.Close()
		synctest.Wait()
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	})
	count := types(t, out.Bytes())
	for kind := range 14 {
		if count[kind] == 0 {
			t.Errorf("no event of type %d", kind)
		}
	}
	for kind, want := range map[int]int{0: 400, 1: 1, 2: 1, 3: 1, 9: 1, 10: 1} {
		if count[kind] != want {
			t.Errorf("%d events of type %d, want %d", count[kind], kind, want)
		}
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := types(t, written); fmt.Sprint(got) != fmt.Sprint(count) {
		t.Errorf("the file has %v, want %v", got, count)
	}
}

// Who takes events slowly holds up nobody: what there is no room for is left out
// and counted.
func TestRecordSlowly(t *testing.T) {
	inBubble(t, `{"policy": "strict_no_sign", "message_id": "sha256"}`, 1, func(t *testing.T, v core.Topics, news core.Subscription, n []*coretest.FakeNode) {
		ctx, cancel := context.WithCancel(t.Context())
		client, server := net.Pipe() // nobody reads
		result := make(chan uint64)
		go func() {
			missed, _ := v.(core.TopicRecorder).RecordTopics(ctx, server)
			result <- missed
		}()
		synctest.Wait()
		for i := range 20_000 {
			if _, err := v.Publish(t.Context(), "news", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		go io.Copy(io.Discard, client)
		if missed := <-result; missed < 3000 || missed > 4000 {
			t.Errorf("%d events are missed, want those for which there was no room, 3616 or so", missed)
		}
		client.Close()
	})
}

// The file does not grow beyond its size, and one that cannot be written to is an
// error of the start.
func TestRecordFileSize(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace")
	inBubble(t, fmt.Sprintf(`{"trace_file": %q, "trace_file_size": "2KiB"}`, file), 0, func(t *testing.T, v core.Topics, _ core.Subscription, _ []*coretest.FakeNode) {
		for range 1000 {
			if _, err := v.Publish(t.Context(), "news", nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		info, err := os.Stat(file)
		if err != nil || info.Size() > 2<<10 || info.Size() < 1<<10 {
			t.Errorf("%v, %v", info.Size(), err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
	})
	s := coretest.MustLoad[core.PubSub](t, "gossipsub", fmt.Sprintf(`{"trace_file": %q}`, filepath.Dir(file)))
	defer s.Close()
	if err := s.Start(t.Context(), coretest.FakeNodes(t, 1)[0]); err == nil || !strings.Contains(err.Error(), "trace_file: ") {
		t.Errorf("a folder: %v", err)
	}
}
