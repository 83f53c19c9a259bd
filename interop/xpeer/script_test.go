// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

// said is a line of a node's log.
type said struct {
	Time   time.Time `json:"time"`
	Msg    string    `json:"msg"`
	ID     string    `json:"id"`
	NodeID *int      `json:"node_id"`
	From   string    `json:"from"`
	Topic  string    `json:"topic"`
	Group  uint64    `json:"group id"`
}

// follow has nodes follow a script, and returns what each said.
func follow(t *testing.T, nodes int, at string, script ...string) [][]said {
	t.Helper()
	file := filepath.Join(t.TempDir(), "params.json")
	if err := os.WriteFile(file, []byte(`{"script": [`+strings.Join(script, ",")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	logs := make([][]said, nodes)
	ended := make(chan error)
	for i := range nodes {
		go func() {
			var stdout, stderr bytes.Buffer
			status := runScript(t.Context(), []string{"--params", file, "--node", fmt.Sprint(i), "--at", at}, &stdout, &stderr)
			if status != exitDone {
				ended <- fmt.Errorf("node %d ends with %d: %s", i, status, stderr.String())
				return
			}
			for text := range bytes.Lines(stdout.Bytes()) {
				var l said
				if err := json.Unmarshal(text, &l); err != nil {
					ended <- fmt.Errorf("node %d says %s: %w", i, text, err)
					return
				}
				logs[i] = append(logs[i], l)
			}
			ended <- nil
		}()
	}
	for range nodes {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	return logs
}

func at(node int, what string) string {
	return fmt.Sprintf(`{"type": "ifNodeIDEquals", "nodeID": %d, "instruction": %s}`, node, what)
}

// Every instruction that there is, as gossipsub-interop has it.
func TestScript(t *testing.T) {
	logs := follow(t, 3, "127.78.1.1",
		`{"type": "initGossipSub", "gossipSubParams": {"HeartbeatInterval": 200000000, "HeartbeatInitialDelay": 100000, "D": null, "OpportunisticGraftTicks": 30}}`,
		`{"type": "setTopicValidationDelay", "topicID": "a", "delaySeconds": 0.005}`,
		at(0, `{"type": "connect", "connectTo": [1, 2]}`),
		`{"type": "subscribeToTopic", "topicID": "a"}`,
		at(1, `{"type": "subscribeToTopic", "topicID": "b", "partial": true}`),
		at(2, at(2, `{"type": "subscribeToTopic", "topicID": "b", "partial": true}`)),
		`{"type": "waitUntil", "elapsedSeconds": 1}`,
		at(1, `{"type": "publish", "messageID": 7, "messageSizeBytes": 2000, "topicID": "a"}`),
		at(0, `{"type": "addPartialMessage", "parts": 255, "topicID": "b", "groupID": 5}`),
		at(1, `{"type": "addPartialMessage", "parts": 1, "topicID": "b", "groupID": 5}`),
		at(0, `{"type": "publishPartial", "topicID": "b", "groupID": 5, "publishToNodeIDs": [1, 2]}`),
		`{"type": "waitUntil", "elapsedSeconds": 2}`,
	)
	for i, log := range logs {
		received, complete := 0, 0
		for _, l := range log {
			if l.Time.IsZero() {
				t.Errorf("node %d: no time: %+v", i, l)
			}
			switch l.Msg {
			case "PeerID":
				key, err := scriptKey(i)
				if err != nil || l.ID != peer.FromPublicKey(key.Public()).String() || l.NodeID == nil || *l.NodeID != i {
					t.Errorf("node %d is %+v, %v", i, l, err)
				}
			case "Received Message":
				received++
				if l.ID != "7" || l.Topic != "a" || l.From == "" {
					t.Errorf("node %d received %+v", i, l)
				}
			case "All parts received":
				complete++
				if l.Group != 5 {
					t.Errorf("node %d has all parts of %+v", i, l)
				}
			default:
				t.Errorf("node %d says %+v", i, l)
			}
		}
		if i != 1 && received == 0 || complete != 1 || len(log) == 0 || log[0].Msg != "PeerID" {
			t.Errorf("node %d: %d received, %d complete; %+v", i, received, complete, log)
		}
	}
}

// What a node does not understand it says before it does anything.
func TestScriptRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "params.json")
	for _, tc := range []struct{ script, want string }{
		{`{"type": "waitUntil"}, {"type": "dance"}`, `script/1: "dance": no such instruction; there are initGossipSub, `},
		{at(5, `{"type": "dance"}`), `script/0: "dance": no such instruction`},
		{`{"type": "ifNodeIDEquals", "nodeID": 5}`, "script/0: ifNodeIDEquals: no instruction"},
		{`{"type": "initGossipSub", "gossipSubParams": {"E": 1}}`, "gossipSubParams: E is no parameter"},
		{`{"type": "initGossipSub", "gossipSubParams": {"PruneBackoff": "1m"}}`, "gossipSubParams: PruneBackoff: "},
		{`{"type": "initGossipSub", "gossipSubParams": {"D": -1}}`, "d: want 1 <= d_low"},
		{`{"type": "addPartialMessage", "parts": 256}`, "parts"},
		{`{"type": 1}`, "type"},
	} {
		if err := os.WriteFile(file, []byte(`{"script": [`+tc.script+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		status := runScript(t.Context(), []string{"--params", file, "--node", "0", "--at", "127.78.2.1"}, &stdout, &stderr)
		if status != exitFailed || !strings.Contains(stderr.String(), tc.want) || stdout.Len() > 0 {
			t.Errorf("%s: %d, %q; want %q", tc.script, status, stderr.String(), tc.want)
		}
	}
}

// Every parameter that is told to gossipsub is one that it has.
func TestScriptParams(t *testing.T) {
	given := make(map[string]json.RawMessage)
	for name, p := range scriptParams {
		given[name] = json.RawMessage("2")
		switch p.unit {
		case nanoseconds:
			given[name] = json.RawMessage("1e9")
		case heartbeats:
			given[name] = json.RawMessage("60")
		}
	}
	maps.Copy(given, map[string]json.RawMessage{"D": []byte("6"), "Dlo": []byte("5"), "Dhi": []byte("12"), "GossipFactor": []byte("0.5")})
	text, err := json.Marshal(map[string]any{"type": "initGossipSub", "gossipSubParams": given})
	if err != nil {
		t.Fatal(err)
	}
	logs := follow(t, 1, "127.78.3.1", string(text))
	if len(logs[0]) != 1 {
		t.Errorf("%+v", logs)
	}
	params := make(map[string]any)
	if err := setParams(params, given); err != nil || params["opportunistic_graft_interval"] != "1m0s" || params["prune_backoff"] != "1s" {
		t.Errorf("%v, %v", params, err)
	}
}

// The suite's own vector: the peer IDs of 10,000 nodes, of which it has the hash.
func TestScriptPeerIDs(t *testing.T) {
	if coretest.Race {
		t.Skip("ten thousand keys")
	}
	hash := sha256.New()
	for i := range 10_000 {
		key, err := scriptKey(i)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(hash, ">%d:%s\n", i, peer.FromPublicKey(key.Public()))
	}
	if got, want := fmt.Sprintf("%x", hash.Sum(nil)), "11395ea896d00ca25f7f648ebb336488ee092096a5498d90d76b92eaec27867a"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
