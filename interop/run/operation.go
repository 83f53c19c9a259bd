// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"slices"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// operation is one column: a command of the client and what it must say.
type operation struct {
	name  string
	flags []string
	check func(*row, map[string]any) error
}

const mebibyte = 1 << 20

// operations are those of a suite that runs against one server.
func operations(suite string) []operation {
	size := fmt.Sprint(mebibyte)
	if suite == suiteHTTP {
		return []operation{{"http", []string{"--size", size}, checkHTTP}}
	}
	return []operation{
		{"ping", []string{"--count", "5"}, checkPing},
		{"identify", nil, checkIdentify},
		{"echo", []string{"--size", size}, checkEcho},
		{"perf", []string{"--upload", size, "--download", size}, checkPerf},
	}
}

// checkPing wants round trips, over the stack that was asked for.
func checkPing(r *row, got map[string]any) error {
	for key, want := range map[string]string{
		"transport": r.Stack.Transport, "security": r.Stack.Security, "muxer": r.Stack.Muxer,
	} {
		if got[key] != want {
			return fmt.Errorf("%s %v, want %s", key, got[key], want)
		}
	}
	if rtt, ok := got["rtt_median_ms"].(float64); !ok || rtt <= 0 {
		return fmt.Errorf("rtt_median_ms %v", got["rtt_median_ms"])
	}
	return nil
}

// checkIdentify wants everything that identify tells. The version of the
// protocol family is of no use any more, and go-libp2p leaves it out. Addresses on
// the loopback interface, of a relay too, are not for those who come from elsewhere,
// as they do over WebRTC: by the machine's other addresses.
func checkIdentify(r *row, got map[string]any) error {
	for _, key := range []string{"agent", "protocol_version", "observed_addr"} {
		text, ok := got[key].(string)
		if !ok || text == "" && (key != "protocol_version" || r.Server == peers.Xnode) {
			return fmt.Errorf("no %s", key)
		}
	}
	if addrs, ok := got["listen_addrs"].([]any); !ok || len(addrs) == 0 && !r.Stack.ThroughRelay() {
		return fmt.Errorf("no listen_addrs")
	}
	protocols, _ := got["protocols"].([]any)
	for _, want := range []string{"/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/perf/1.0.0", "/echo/1.0.0"} {
		if !slices.Contains(protocols, any(want)) {
			return fmt.Errorf("protocols without %s", want)
		}
	}
	if got["signed_peer_record"] != true && !r.Stack.ThroughRelay() {
		return fmt.Errorf("no signed peer record")
	}
	return nil
}

// checkEcho wants the word that every byte came back.
func checkEcho(_ *row, got map[string]any) error {
	if got["ok"] != true {
		return fmt.Errorf("ok %v", got["ok"])
	}
	return nil
}

// checkPerf wants all bytes in both directions.
func checkPerf(_ *row, got map[string]any) error {
	for _, key := range []string{"upload_bytes", "download_bytes"} {
		if got[key] != float64(mebibyte) {
			return fmt.Errorf("%s %v, want %d", key, got[key], mebibyte)
		}
	}
	return nil
}

// checkHTTP wants that the server was asked what it speaks, sent every byte back, and
// knew by whom it was asked.
func checkHTTP(_ *row, got map[string]any) error {
	if protocols, _ := got["protocols"].([]any); got["ok"] != true || !slices.Contains(protocols, any("/http-echo/1.0.0")) {
		return fmt.Errorf("ok %v, protocols %v", got["ok"], got["protocols"])
	}
	if got["asked_by"] != got["peer_id"] {
		return fmt.Errorf("asked by %v, and the server takes it for %v", got["peer_id"], got["asked_by"])
	}
	return nil
}
