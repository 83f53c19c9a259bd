// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func TestPubSub(t *testing.T) {
	a, b := newNode(t), newNode(t)
	p := a.run("-c", a.write("a.json", local(`"pubsub": {"gossipsub": {}}`)))
	q := b.run("-c", b.write("b.json", local(`"pubsub": {"gossipsub": {"topics": ["steady"]}}`)))
	trace := a.start("pubsub", "trace", "--json")
	protobuf := a.start("pubsub", "trace", "--protobuf")
	for _, p := range []*process{trace, protobuf} {
		a.soon("the trace has begun", func(string) bool {
			select {
			case <-p.stdout:
				return true
			default:
				return false
			}
		}, "pubsub", "pub", "nobody", "hears")
	}
	sub := a.start("pubsub", "sub", "--json", "-n", "2", "news")
	plain := a.start("pubsub", "sub", "news")
	a.soon("subscribed", has("news\n"), "pubsub", "ls")
	a.must("connect", q.addrs[0])
	b.soon("they have met", has(p.id), "pubsub", "peers", "news")
	a.soon("they have met", has(q.id), "pubsub", "peers", "steady")

	if out := b.must("pubsub", "pub", "news", "hello\x1b[0m"); out != "published to 1 peers\n" {
		t.Errorf("pub: %q", out)
	}
	if out := b.xnode("from a pipe\n", "pubsub", "pub", "--json", "news"); out.code != 0 || out.stdout != "{\"peers\":1}\n" {
		t.Errorf("pub: %+v", out)
	}
	for _, want := range []string{"hello\x1b[0m", "from a pipe\n"} {
		var m struct {
			Topic, ID, Seqno, From string
			Data                   []byte
			ReceivedFrom           string `json:"received_from"`
		}
		if err := json.Unmarshal([]byte(sub.line(sub.stdout, "news")), &m); err != nil || string(m.Data) != want || m.From != q.id || m.ReceivedFrom != q.id || len(m.Seqno) != 16 {
			t.Errorf("%v, %+v", err, m)
		}
	}
	if code := sub.wait(); code != 0 {
		t.Errorf("sub -n 2 ended with %d", code)
	}
	plain.line(plain.stdout, `hello\x1b[0m`)
	plain.line(plain.stdout, "from a pipe")
	protobuf.line(protobuf.stdout, "/meshsub/1.3.0")
	protobuf.line(protobuf.stdout, "steady")
	trace.line(trace.stdout, `"kind":"subscribed"`, `"topic":"steady"`, q.id)
	trace.line(trace.stdout, `"kind":"delivered"`, `"topic":"news"`, q.id)

	var peers []struct {
		Peer, Protocol string
		Topics, Mesh   []string
	}
	out := a.must("pubsub", "peers", "--json")
	if err := json.Unmarshal([]byte(out), &peers); err != nil || len(peers) != 1 || peers[0].Peer != q.id ||
		peers[0].Protocol != "/meshsub/1.3.0" || strings.Join(peers[0].Topics, " ") != "steady" || len(peers[0].Mesh) != 0 {
		t.Errorf("%v: %s", err, out)
	}
	if out := a.must("pubsub", "peers", "--mesh", "steady"); out != "" {
		t.Errorf("peers --mesh: %q", out)
	}
	if out := a.must("pubsub", "scores"); !strings.HasPrefix(out, q.id+"  0.00") {
		t.Errorf("scores: %q", out)
	}
	if out := a.xnode("", "pubsub", "pub", "", "x"); out.code != 1 || !strings.Contains(out.stderr, "want 1 to 256 bytes") {
		t.Errorf("no topic: %+v", out)
	}
	status, answer := a.request("POST", "/xnode/pubsub/subscribe", `{"topics": []}`, "Content-Type", "application/json")
	if status != 400 || !strings.Contains(answer, "want at least one") {
		t.Errorf("%d %s", status, answer)
	}
}

// The admin endpoint has messages as events for those who ask for events.
func TestPubSubEvents(t *testing.T) {
	n := newNode(t)
	n.run("-c", n.write("n.json", local(`"pubsub": {"floodsub": {"topics": ["news"]}}`)))
	type answer struct {
		status int
		text   string
		err    error
	}
	got := make(chan answer, 1)
	go func() {
		status, text, err := tryRequest(t.Context(), "unix", filepath.Join(n.data(), "admin.sock"), "xnode", "POST", "/xnode/pubsub/subscribe",
			`{"topics": ["other"], "count": 1}`, []string{"Content-Type", "application/json", "Accept", "text/event-stream"})
		got <- answer{status, text, err}
	}()
	n.soon("subscribed", has("other"), "pubsub", "ls")
	n.must("pubsub", "pub", "other", "x")
	if a := <-got; a.err != nil || a.status != 200 || !strings.HasPrefix(a.text, `data: {"topic":"other","data":"eA=="`) || !strings.HasSuffix(a.text, "}\n\n") {
		t.Errorf("%+v", a)
	}
}

func TestNoPubSub(t *testing.T) {
	n := newNode(t)
	n.run("-c", n.write("n.json", local("")))
	for _, args := range []string{"ls", "peers", "pub news x", "sub news", "trace"} {
		out := n.xnode("", append([]string{"pubsub"}, strings.Fields(args)...)...)
		if out.code != 1 || !strings.Contains(out.stderr, `add "pubsub": {"gossipsub": {}}`) {
			t.Errorf("%s: %+v", args, out)
		}
	}
}
