// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

// TestEveryStack does every operation of the matrix over every stack.
func TestEveryStack(t *testing.T) {
	var stacks [][3]string // transport, security, muxer
	for _, transport := range []string{"tcp", "ws", "wss"} {
		for _, security := range []string{"noise", "tls", "plaintext"} {
			for _, muxer := range []string{"yamux", "mplex"} {
				stacks = append(stacks, [3]string{transport, security, muxer})
			}
		}
	}
	stacks = append(stacks, [3]string{"quic"}, [3]string{"webtransport"}, [3]string{"webrtc-direct"}, [3]string{"webrtc"})
	relay := startServer(t, "--quiet", "--relay-service")
	t.Cleanup(func() { relay.stop(t) })
	for _, s := range stacks {
		transport, security, muxer := s[0], s[1], s[2]
		flags := []string{"--transport", transport}
		if security != "" {
			flags = append(flags, "--security", security, "--muxer", muxer)
		} else {
			security, muxer = map[string]string{"quic": "tls", "webrtc": "dtls"}[transport], transport
			if security == "" {
				security = "noise"
			}
		}
		t.Run(fmt.Sprintf("%s %s %s", transport, security, muxer), func(t *testing.T) {
			t.Parallel()
			listen, addr := append(flags, "--quiet"), `[^ ]+`
			if transport == "webrtc" {
				listen, addr = append(listen, "--reserve", relay.addr), `[^ ]+/p2p-circuit/webrtc/[^ ]+`
			}
			server := startServer(t, listen...)
			defer server.stop(t)
			at := regexp.MustCompile(addr).FindString(strings.Join(server.addrs, " "))
			do := func(words ...string) map[string]any { return client(t, slices.Concat(words, []string{at}, flags)...) }
			if got := do("ping"); got["transport"] != transport || got["security"] != security || got["muxer"] != muxer {
				t.Errorf("ping went over %v", got)
			}
			if got := do("identify"); got["signed_peer_record"] != true {
				t.Errorf("identify: %v", got)
			}
			if got := do("echo", "--size", "300001"); got["ok"] != true {
				t.Errorf("echo: %v", got)
			}
			if got := do("perf", "--upload", "300001", "--download", "200003"); got["download_bytes"] != 200003.0 {
				t.Errorf("perf: %v", got)
			}
		})
	}
}

func TestPrivateNetwork(t *testing.T) {
	key := func(hex string) string {
		path := filepath.Join(t.TempDir(), "swarm.key")
		if err := os.WriteFile(path, []byte("/key/swarm/psk/1.0.0/\n/base16/\n"+strings.Repeat(hex, 64)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ours := key("a")
	for _, transport := range []string{"tcp", "ws"} {
		server := startServer(t, "--quiet", "--transport", transport, "--pnet", ours)
		client(t, "ping", server.addr, "--pnet", ours)
		for _, flags := range []string{"", "--pnet " + key("b")} {
			args := append([]string{"ping", server.addr, "--timeout", "10"}, strings.Fields(flags)...)
			if status := run(t.Context(), args, strings.NewReader(""), new(strings.Builder), t.Output()); status != exitFailed {
				t.Errorf("%s: exit status %d of a stranger: %v", transport, status, args)
			}
		}
		server.stop(t)
	}
}

// TestSharedPorts: all transports of a node need one port on TCP and one on UDP.
func TestSharedPorts(t *testing.T) {
	addrs := startEvery(t, "tcp,ws,wss,quic,webtransport,webrtc-direct")
	ports := map[string]bool{}
	for _, addr := range addrs {
		for _, c := range ma.StringCast(addr) {
			if c.Code() == ma.P_TCP || c.Code() == ma.P_UDP {
				ports[c.String()] = true
			}
		}
	}
	if len(ports) != 2 {
		t.Errorf("ports %v of %v", ports, addrs)
	}
}

func TestFixedPort(t *testing.T) {
	named, err := (&options{transports: list{"tcp", "wss", "quic"}}).namedTransports()
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := listenAddrs(named, "::1", 4001)
	want := "[/ip6/::1/tcp/4001 /ip6/::1/tcp/4001/tls/ws /ip6/::1/udp/4001/quic-v1]"
	if got := fmt.Sprint(addrs); err != nil || got != want {
		t.Errorf("%s, want %s: %v", got, want, err)
	}
}

// startEvery returns the addresses of a node that listens on several
// transports, once every one of them was dialled and the node has ended.
func startEvery(t *testing.T, transports string) []string {
	s := startServer(t, "--quiet", "--transport", transports)
	defer s.stop(t)
	want := strings.Split(transports, ",")
	if len(s.addrs) != len(want) {
		t.Fatalf("addresses %v, want one for each of %v", s.addrs, want)
	}
	var got []string
	for _, addr := range s.addrs {
		got = append(got, client(t, "ping", addr, "--count", "1")["transport"].(string))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("transports %v, want %v", got, want)
	}
	return s.addrs
}
