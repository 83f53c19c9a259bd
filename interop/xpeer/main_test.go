// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
)

// server is a listen command that runs in this process.
type server struct {
	addr  string // the first of addrs
	addrs []string
	url   string
	lines *bufio.Scanner
	stdin *io.PipeWriter
	exit  chan int
	wg    sync.WaitGroup
}

func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	stdin, toStdin := io.Pipe()
	fromStdout, stdout := io.Pipe()
	s := &server{lines: bufio.NewScanner(fromStdout), stdin: toStdin, exit: make(chan int, 1)}
	s.wg.Go(func() {
		s.exit <- run(t.Context(), append([]string{"listen"}, args...), stdin, stdout, t.Output())
		stdout.Close()
	})
	var first ready
	s.next(t, &first)
	if first.PeerID == "" || len(first.Addrs) == 0 {
		t.Fatalf("first line %+v", first)
	}
	s.addr, s.addrs, s.url = first.Addrs[0], first.Addrs, first.Delegated
	return s
}

// next reads the next line into v.
func (s *server) next(t *testing.T, v any) {
	t.Helper()
	if !s.lines.Scan() {
		t.Fatalf("no line: %v", s.lines.Err())
	}
	if err := json.Unmarshal(s.lines.Bytes(), v); err != nil {
		t.Fatalf("%s: %v", s.lines.Bytes(), err)
	}
}

func (s *server) stop(t *testing.T) {
	t.Helper()
	s.stdin.Close()
	for s.lines.Scan() { // events of the end
	}
	if status := <-s.exit; status != exitDone {
		t.Errorf("listen: exit status %d", status)
	}
	s.wg.Wait()
}

// client runs one command to its end and returns its only line.
func client(t *testing.T, args ...string) map[string]any {
	t.Helper()
	var out bytes.Buffer
	if status := run(t.Context(), args, strings.NewReader(""), &out, t.Output()); status != exitDone {
		t.Fatalf("%v: exit status %d: %s", args, status, out.Bytes())
	}
	line := map[string]any{}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %q: %v", args, out.Bytes(), err)
	}
	return line
}

func TestEveryCommand(t *testing.T) {
	s := startServer(t, "--quiet", "--seed", "7", "--transport", "tcp", "--security", "noise", "--muxer", "yamux")
	defer s.stop(t)

	if got := client(t, "ping", "--count", "3", s.addr); got["transport"] != "tcp" || got["security"] != "noise" || got["muxer"] != "yamux" {
		t.Errorf("ping went over %v", got)
	}
	got := client(t, "identify", s.addr)
	protocols := got["protocols"].([]any)
	if got["protocol_version"] == "" || got["observed_addr"] == "" || got["signed_peer_record"] != true || len(protocols) < 5 {
		t.Errorf("identify: %v", got)
	}
	if addrs := got["listen_addrs"].([]any); len(addrs) != 1 || !strings.HasPrefix(s.addr, addrs[0].(string)+"/p2p/") {
		t.Errorf("identify: listens on %v, not %s", addrs, s.addr)
	}
	for _, sizes := range [][2]string{{"0", "0"}, {"1", "0"}, {"0", "1"}, {"3000001", "2000003"}} {
		got := client(t, "perf", "--upload", sizes[0], s.addr, "--download", sizes[1])
		if got["upload_bytes"] == nil || got["client_cpu_seconds"] == nil {
			t.Errorf("perf: %v", got)
		}
	}
	for _, size := range []string{"0", "1", "1000001"} {
		if got := client(t, "echo", s.addr, "--size", size); got["ok"] != true {
			t.Errorf("echo: %v", got)
		}
	}
	for _, more := range []string{"", "--identify", "--fresh", "--fresh --identify"} {
		args := append([]string{"handshakes", s.addr, "--count", "6", "--parallel", "2"}, strings.Fields(more)...)
		if got := client(t, args...); got["errors"] != 0.0 {
			t.Errorf("handshakes %s: %v", more, got)
		}
	}
	if got := client(t, "streams", s.addr, "--count", "50", "--parallel", "4", "--size", "100"); got["errors"] != 0.0 {
		t.Errorf("streams: %v", got)
	}
	if got := client(t, "idle", s.addr, "--conns", "10"); got["conns"] != 10.0 {
		t.Errorf("idle: %v", got)
	}
}

func TestHandshakesWithoutIdentify(t *testing.T) {
	s := startServer(t, "--no-identify", "--quiet")
	defer s.stop(t)
	if got := client(t, "handshakes", s.addr, "--count", "4"); got["errors"] != 0.0 {
		t.Errorf("handshakes: %v", got)
	}
	var out bytes.Buffer
	if status := run(t.Context(), []string{"identify", s.addr}, strings.NewReader(""), &out, t.Output()); status != exitFailed {
		t.Errorf("identify of a node without it: exit status %d: %s", status, out.Bytes())
	}
}

func TestEventsAndMemory(t *testing.T) {
	a := startServer(t, "--quiet")
	defer a.stop(t)
	b := startServer(t, "--connect", a.addr)
	defer b.stop(t)
	var event struct{ Event, Peer, Addr, Transport, Security, Muxer string }
	b.next(t, &event)
	if event.Event != "peer:connect" || !strings.HasSuffix(a.addr, event.Peer) || event.Security != "tls" {
		t.Errorf("event %+v", event)
	}
	if _, err := io.WriteString(b.stdin, "gc\n"); err != nil {
		t.Fatal(err)
	}
	var m memory
	b.next(t, &m)
	if m.HeapAlloc == 0 || m.HeapInuse == 0 || m.StackInuse == 0 || m.Goroutines == 0 {
		t.Errorf("gc: %+v", m)
	}
}

func TestEveryTypeOfKey(t *testing.T) {
	s := startServer(t, "--quiet", "--key-type", "ecdsa")
	defer s.stop(t)
	for _, kind := range []string{"ed25519", "rsa", "secp256k1", "ecdsa"} {
		client(t, "ping", s.addr, "--count", "1", "--key-type", kind)
	}
}

func TestTopics(t *testing.T) {
	s := startServer(t, "--quiet", "--pubsub", "gossipsub", "--topic", "news")
	defer s.stop(t)
	got := client(t, "pubsub-bench", s.addr, "--topic", "news", "--count", "50", "--size", "100")
	if got["received"] != 1.0 || got["client_cpu_seconds"] == 0.0 {
		t.Errorf("pubsub-bench: %v", got)
	}
	got = client(t, "sim-gossip", "--nodes", "5", "--degree", "4", "--messages", "5", "--rate", "0", "--settle", "2s")
	if got["delivery_ratio"] != 1.0 || got["rss_kib_per_node"] == 0.0 {
		t.Errorf("sim-gossip: %v", got)
	}
}

func TestDHT(t *testing.T) {
	s := startServer(t, "--quiet", "--dht", "server", "--seed", "7")
	defer s.stop(t)
	first := startServer(t, "--quiet", "--dht", "client", "--key-type", "rsa", "--connect", s.addr)
	defer first.stop(t)
	ask := func(line string) map[string]any {
		t.Helper()
		if _, err := io.WriteString(first.stdin, line+"\n"); err != nil {
			t.Fatal(err)
		}
		answer := map[string]any{}
		first.next(t, &answer)
		return answer
	}
	id := first.addr[strings.LastIndex(first.addr, "/")+1:]
	for line, want := range map[string]string{
		"dht put /example/a b": `{"ok":true}`,
		"dht put-pk":           `{"peer":"` + id + `"}`,
		"dht provide cake":     `{"cid":"bafkreibszw3bsglcaacqvmfplanbb64dz7ddwgra6wguxl5wge6vli7q5e"}`,
	} {
		if raw, err := json.Marshal(ask(line)); err != nil || string(raw) != want {
			t.Errorf("%s: %s, %v", line, raw, err)
		}
	}
	addrs := `"addrs":["` + strings.TrimSuffix(first.addr, "/p2p/"+id) + `"],"peer":"` + id + `"`
	for words, want := range map[string]string{
		"get /example/a":      `{"value":"b"}`,
		"get-pk " + id:        `{"peer":"` + id + `"}`,
		"find-providers cake": `{"providers":[{` + addrs + `}]}`,
		"find-peer " + id:     `{` + addrs + `}`,
	} {
		raw, err := json.Marshal(client(t, append([]string{"dht", s.addr}, strings.Fields(words)...)...))
		if err != nil || string(raw) != want {
			t.Errorf("%s: %s, %v; want %s", words, raw, err, want)
		}
	}
	if answer := ask("dht get /example/nothing"); answer["ok"] != false {
		t.Errorf("nothing is %v", answer)
	}
}

// ask has a server run an operation.
func (s *server) ask(t *testing.T, line string) string {
	t.Helper()
	if _, err := io.WriteString(s.stdin, line+"\n"); err != nil {
		t.Fatal(err)
	}
	answer := map[string]any{}
	s.next(t, &answer)
	raw, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestDelegated(t *testing.T) {
	s := startServer(t, "--quiet", "--dht", "server", "--serve-delegated")
	defer s.stop(t)
	other := startServer(t, "--quiet", "--dht", "server", "--seed", "7", "--connect", s.addr)
	defer other.stop(t)
	other.ask(t, "dht provide cake") // it is a part of the network from then on
	c := startServer(t, "--quiet", "--delegated", s.url, "--seed", "8")
	defer c.stop(t)
	bare, id, _ := strings.Cut(other.addr, "/p2p/")
	_, own, _ := strings.Cut(c.addr, "/p2p/")
	const name, page = `{"peer":"`, `{"value":"/ipfs/bafkreibwmayvvgxt34sv3dyzvmdx4r4xqivucsekbyvajpdk64jbhqrsoq"}`
	at := `"addrs":["` + bare + `"],"peer":"` + id + `"`
	for _, step := range []struct {
		by         *server
		line, want string
	}{
		{c, "dht find-peer " + id, `{` + at + `}`},
		{c, "dht find-providers cake", `{"providers":[{` + at + `}]}`},
		{other, "dht put-name page", name + id + `"}`},
		{c, "dht get-name " + id, page},
		{c, "dht put-name page", name + own + `"}`},
		{other, "dht get-name " + own, page},
	} {
		if got := step.by.ask(t, step.line); got != step.want {
			t.Errorf("%s: %s; want %s", step.line, got, step.want)
		}
	}
}

// Who has registered at a point is found there after its end.
func TestRendezvous(t *testing.T) {
	s := startServer(t, "--quiet", "--rendezvous", "server")
	defer s.stop(t)
	if got := client(t, "rendezvous", s.addr, "register", "chat", "--seed", "7"); got["ttl"] != 7200.0 {
		t.Errorf("registered: %v", got)
	}
	for namespace, want := range map[string]int{"chat": 1, "other": 0} {
		got := client(t, "rendezvous", s.addr, "discover", namespace)
		if found, _ := got["peers"].([]any); len(found) != want {
			t.Errorf("%s: %v", namespace, got)
		}
	}
}

func TestExitStatusOfWhatCannotBeDone(t *testing.T) {
	const nobody = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"
	for _, c := range []struct {
		args string
		want int
		text string
	}{
		{"", exitUsage, "no command"},
		{"fly", exitUsage, "no command"},
		{"fetch " + nobody, exitFailed, "not in this build"},
		{"dht " + nobody, exitUsage, "find-peer ID"},
		{"dht " + nobody + " put k", exitUsage, "put k"},
		{"ping", exitUsage, "want one address"},
		{"ping nonsense", exitUsage, "address"},
		{"ping /ip4/127.0.0.1/tcp/1", exitUsage, "address"},
		{"ping --count 0 " + nobody, exitUsage, "--count"},
		{"ping --wings " + nobody, exitUsage, "wings"},
		{"ping --security rot13 " + nobody, exitUsage, "rot13"},
		{"ping --muxer spdy " + nobody, exitUsage, "spdy"},
		{"ping --pnet /nonexistent " + nobody, exitFailed, "/nonexistent"},
		{"ping --key-type dsa " + nobody, exitUsage, "key-type"},
		{"ping --seed 1 --key-type rsa " + nobody, exitUsage, "--seed"},
		{"listen --transport webrtc", exitUsage, "--transport webrtc: goes with --reserve"},
		{"listen --transport memory", exitFailed, "not in this build"},
		{"listen --transport pigeon", exitUsage, "pigeon"},
		{"listen --autonat v3", exitUsage, "want v1, v2 or both"},
		{"listen --bootstrap " + nobody, exitFailed, "--bootstrap: not in this build"},
		{"listen --relay-limits", exitUsage, "--relay-limits: goes with --relay-service"},
		{"listen --dht maybe", exitUsage, "server or client"},
		{"listen --dht server --delegated http://x", exitUsage, "no DHT"},
		{"listen --rendezvous maybe", exitUsage, "server"},
		{"rendezvous " + nobody + " marry chat", exitUsage, "register NS"},
		{"listen --ip nowhere", exitUsage, "--ip"},
		{"listen more", exitUsage, "unexpected"},
		{"idle --conns 0 " + nobody, exitUsage, "--conns"},
		{"ping --timeout 5 " + nobody, exitFailed, "refused"},
	} {
		var out bytes.Buffer
		status := run(t.Context(), strings.Fields(c.args), strings.NewReader(""), &out, io.Discard)
		if status != c.want || !strings.Contains(out.String(), `"ok":false`) || !strings.Contains(out.String(), c.text) {
			t.Errorf("%q: exit status %d, want %d, with %s", c.args, status, c.want, out.Bytes())
		}
	}
}
