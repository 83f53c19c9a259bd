// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// server is a listen command that runs in this process.
type server struct {
	addr  string
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
	s.addr = first.Addrs[0]
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

func TestEveryCommandBetweenTwoInstances(t *testing.T) {
	for _, stack := range []struct{ transport, security, muxer string }{
		{"tcp", "noise", "yamux"},
		{"tcp", "tls", "yamux"},
		{"tcp", "plaintext", "yamux"},
		{"ws", "noise", "yamux"},
		{"wss", "tls", "yamux"},
		{"quic", "tls", "quic"},
		{"webtransport", "noise", "webtransport"},
		{"webrtc-direct", "noise", "webrtc-direct"},
	} {
		t.Run(stack.transport+"/"+stack.security, func(t *testing.T) {
			s := startServer(t, "--transport", stack.transport, "--security", stack.security, "--quiet")
			defer s.stop(t)
			common := []string{s.addr, "--security", stack.security}
			call := func(command string, more ...string) map[string]any {
				t.Helper()
				return client(t, append(append([]string{command}, common...), more...)...)
			}

			got := call("ping", "--count", "3")
			if got["transport"] != stack.transport || got["security"] != stack.security || got["muxer"] != stack.muxer {
				t.Errorf("ping went over %v", got)
			}
			if got := call("identify"); got["agent"] != userAgent || got["signed_peer_record"] != true {
				t.Errorf("identify: %v", got)
			}
			if got := call("echo", "--size", "200001"); got["ok"] != true {
				t.Errorf("echo: %v", got)
			}
			got = call("perf", "--upload", "300000", "--download", "200000")
			if got["upload_bytes"] != 300000.0 || got["download_bytes"] != 200000.0 {
				t.Errorf("perf: %v", got)
			}
			for _, flags := range [][]string{nil, {"--identify"}, {"--fresh"}} {
				flags = append(flags, "--count", "4", "--parallel", "2")
				if got := call("handshakes", flags...); got["errors"] != 0.0 {
					t.Errorf("handshakes %v: %v", flags, got)
				}
			}
			if got := call("streams", "--count", "20", "--parallel", "4", "--size", "32"); got["errors"] != 0.0 {
				t.Errorf("streams: %v", got)
			}
			if got := call("idle", "--conns", "3"); got["conns"] != 3.0 {
				t.Errorf("idle: %v", got)
			}
		})
	}
}

func TestPrivateNetwork(t *testing.T) {
	key := filepath.Join(t.TempDir(), "swarm.key")
	if err := os.WriteFile(key, []byte("/key/swarm/psk/1.0.0/\n/base16/\n"+strings.Repeat("a", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "--pnet", key, "--quiet")
	defer s.stop(t)
	client(t, "ping", s.addr, "--pnet", key)
	client(t, "handshakes", s.addr, "--pnet", key, "--count", "1")
	args := []string{"ping", s.addr, "--timeout", "10"}
	if status := run(t.Context(), args, strings.NewReader(""), io.Discard, t.Output()); status != exitFailed {
		t.Errorf("exit status %d of a stranger", status)
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
	// An announcement is not answered: when it has arrived is not known.
	if answer := ask("dht get /example/nothing"); answer["ok"] != false {
		t.Errorf("nothing is %v", answer)
	}
}

func TestListenTellsOfConnectionsAndMemory(t *testing.T) {
	s := startServer(t, "--seed", "7", "--no-identify")
	defer s.stop(t)
	if want := "/p2p/12D3KooWLnZUpcaBwbz9uD1XsyyHnbXUrJRmxnsMiRnuCmvPix67"; !strings.HasSuffix(s.addr, want) {
		t.Errorf("address %s of seed 7, want it to end in %s", s.addr, want)
	}
	if _, err := io.WriteString(s.stdin, "gc\n"); err != nil {
		t.Fatal(err)
	}
	var m memory
	if s.next(t, &m); m.HeapAlloc == 0 || m.StackInuse == 0 || m.Goroutines == 0 {
		t.Errorf("memory %+v", m)
	}
	exit := make(chan int, 1)
	s.wg.Go(func() {
		exit <- run(t.Context(), []string{"ping", s.addr, "--count", "1"}, strings.NewReader(""), io.Discard, t.Output())
	})
	var up connected
	if s.next(t, &up); up.Event != "peer:connect" || up.Peer == "" || up.Security != "tls" || up.Limited {
		t.Errorf("event %+v", up)
	}
	var down disconnected
	if s.next(t, &down); down.Event != "peer:disconnect" || down.Peer != up.Peer {
		t.Errorf("event %+v after %+v", down, up)
	}
	if status := <-exit; status != exitDone {
		t.Errorf("ping: exit status %d", status)
	}
}

func TestExitStatusOfWhatCannotBeDone(t *testing.T) {
	closed := "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWLnZUpcaBwbz9uD1XsyyHnbXUrJRmxnsMiRnuCmvPix67"
	for _, c := range []struct {
		args string
		want int
	}{
		{"", exitUsage},
		{"fly", exitUsage},
		{"ping", exitUsage},
		{"ping /ip4/127.0.0.1/tcp/1", exitUsage},
		{"ping --count 0 " + closed, exitUsage},
		{"ping --wings " + closed, exitUsage},
		{"dht " + closed, exitUsage},
		{"dht put k " + closed, exitUsage},
		{"listen --dht maybe", exitUsage},
		{"ping --muxer mplex " + closed, exitUsage},
		{"ping --security rot13 " + closed, exitUsage},
		{"ping --seed 1 --key-type rsa " + closed, exitUsage},
		{"listen --transport pigeon", exitUsage},
		{"listen --ip nowhere", exitUsage},
		{"ping --timeout 10 --count 1 " + closed, exitFailed},
		{"handshakes --count 2 " + closed, exitFailed},
		{"ping --key /nonexistent " + closed, exitFailed},
	} {
		var out bytes.Buffer
		status := run(t.Context(), strings.Fields(c.args), strings.NewReader(""), &out, io.Discard)
		var last struct {
			OK    *bool
			Error string
		}
		err := json.Unmarshal(out.Bytes(), &last)
		if status != c.want || err != nil || last.OK == nil || *last.OK || last.Error == "" {
			t.Errorf("%q: exit status %d, want %d, with %q", c.args, status, c.want, out.Bytes())
		}
	}
}
