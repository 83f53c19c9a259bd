// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestConfigs(t *testing.T) {
	turn := func(s string) string { return `{"turn": [` + s + `]}` }
	coretest.TestConfigs[core.Transport](t, "webrtc", []coretest.Config{
		{Name: "defaults", JSON: `{}`},
		{Name: "all", JSON: `{"stun": ["stun:stun.example.org"], "turn": [{"url": "turns:turn.example.org:5349?transport=tcp", "username": "me", "password_file": "/run/secret", "allow_readable": true}],
			"handshake_timeout": "5s", "max_handshakes": 1, "idle_timeout": "1m", "max_incoming_streams": 16384, "receive_buffer": "1MiB"}`},
		{Name: "no URL", JSON: `{"stun": ["stun.example.org"]}`, WantErr: "stun/0: "},
		{Name: "TURN as STUN", JSON: `{"stun": ["turn:turn.example.org"]}`, WantErr: "an example is stun:stun.example.org:3478"},
		{Name: "many servers", JSON: `{"stun": ["stun:a","stun:a","stun:a","stun:a","stun:a","stun:a","stun:a","stun:a","stun:a"]}`, WantErr: "stun: 9 servers is not from 0 servers to 8 servers"},
		{Name: "STUN as TURN", JSON: turn(`{"url": "stun:a"}`), WantErr: "turn/0/url: "},
		{Name: "no username", JSON: turn(`{"url": "turn:a"}`), WantErr: "turn/0/username: it is missing"},
		{Name: "no password", JSON: turn(`{"url": "turn:a", "username": "me"}`), WantErr: "turn/0/password_file: it is missing"},
		{Name: "password in the document", JSON: turn(`{"url": "turn:a", "username": "me", "password": "x"}`), WantErr: "password"},
		{Name: "null", JSON: turn(`null`), WantErr: "turn/0: it is null"},
		{Name: "short handshake", JSON: `{"handshake_timeout": "1ms"}`, WantErr: "handshake_timeout: 1ms is not from 1s to 5m"},
		{Name: "no handshakes", JSON: `{"max_handshakes": -1}`, WantErr: "max_handshakes: -1 is not from 1 to 1024"},
		{Name: "short idle", JSON: `{"idle_timeout": "1s"}`, WantErr: "idle_timeout: 1s is not from 10s to 1h"},
		{Name: "small buffer", JSON: `{"receive_buffer": "1KiB"}`, WantErr: "receive_buffer: 1KiB is not from 64KiB to 64MiB"},
	})
}

// The password is read when the node starts, from a file that nobody else reads.
func TestEvil_X7_TURNPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	start := func() (*Transport, error) {
		tr := coretest.MustLoad[core.Transport](t, "webrtc", `{"turn": [{"url": "turn:turn.example.org", "username": "me", "password_file": "`+path+`"}]}`).(*Transport)
		return tr, tr.Start(t.Context(), coretest.FakeNodes(t, 1)[0])
	}
	if _, err := start(); err == nil || !strings.Contains(err.Error(), "there is no such file") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := start(); err == nil || strings.Contains(err.Error(), "secret\n") {
		t.Errorf("a file that others can read: %v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := start()
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if u := tr.servers.all[0]; u.Password != "secret" || u.Username != "me" || !tr.servers.turn || tr.TURN[0].uri.Password != "" {
		t.Errorf("the server is %+v", u)
	}
}

func TestMatch(t *testing.T) {
	const relay = "/ip4/192.0.2.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	for text, want := range map[string]bool{
		"/webrtc": true, relay + "/p2p-circuit/webrtc": true, "/p2p-circuit/webrtc": true,
		relay + "/p2p-circuit": false, "/ip4/192.0.2.1/udp/1/webrtc": false, relay + "/webrtc": false,
		"/ip4/192.0.2.1/udp/1/webrtc-direct": false, "/webrtc/p2p-circuit": false,
	} {
		if got := new(Transport).Match(ma.StringCast(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
	if new(Transport).Match(nil) {
		t.Error("matches nothing")
	}
}
