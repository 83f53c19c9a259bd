// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// A node has a place at another one; commands that need no running node reach it
// there, and both tell of it.
func TestRelay(t *testing.T) {
	r, b, alone := newNode(t), newNode(t), newNode(t)
	relay := r.run("-c", r.write("node.json", inNode(`"listen":["/ip4/127.0.0.1/tcp/0"],"nat":{"relay":{"service":{"reservations":7}}},"protocols":{"ping":{}}`)))
	circuit := relay.addrs[0] + "/p2p-circuit"
	behind := b.run("-c", b.write("node.json", inNode(`"listen":["/ip4/127.0.0.1/tcp/0","`+circuit+`"],"nat":{"relay":{}},"protocols":{"ping":{}}`)))
	addr := circuit + "/p2p/" + behind.id

	var at core.RelayStats
	for begun := time.Now(); len(at.Places) != 1 || at.Places[0].Expires.IsZero(); {
		if time.Since(begun) > patience {
			t.Fatalf("after %v: %+v", patience, at)
		}
		if err := json.Unmarshal([]byte(b.must("relay", "ls", "--json")), &at); err != nil {
			t.Fatal(err)
		}
	}
	if at.Service != nil || at.Places[0].Relay.String() != relay.id || at.Places[0].Addrs[0].String() != circuit || at.Places[0].Limit.Data != 128<<10 {
		t.Errorf("the places are %+v", at)
	}
	if out := b.must("relay", "ls"); !strings.Contains(out, "the node is no relay") || !strings.Contains(out, "place at  "+relay.id) || !strings.Contains(out, circuit) {
		t.Error(out)
	}

	for _, c := range []struct{ args, want string }{
		{"ping -n 2 -i 1ms", "Average latency"},
		{"trace dial", "verdict: CONNECTED, connected at " + circuit},
		{"id", behind.id},
	} {
		if out := alone.must(append(strings.Fields(c.args), addr)...); !strings.Contains(out, c.want) {
			t.Errorf("%s: %s", c.args, out)
		}
	}
	for target, says := range map[string][]string{
		circuit + "/p2p/" + nobody:                                    {"the peer has no place at the relay in " + circuit, "NO_RESERVATION"},
		closed(t) + "/p2p/" + nobody + "/p2p-circuit/p2p/" + relay.id: {"the relay in ", "connection refused"},
	} {
		out := alone.xnode("", "trace", "dial", "--timeout", "5s", target)
		for _, want := range says {
			if out.code == 0 || !strings.Contains(out.stdout, want) {
				t.Errorf("%s: no %q in %+v", target, want, out)
			}
		}
	}

	var held core.RelayStats
	if err := json.Unmarshal([]byte(r.must("relay", "ls", "--json")), &held); err != nil {
		t.Fatal(err)
	}
	s := held.Service
	if s == nil || len(s.Reservations) != 1 || s.Reservations[0].Peer.String() != behind.id || s.MaxReservations != 7 ||
		s.Connected != 3 || s.Refused["NO_RESERVATION"] != 1 || s.Bytes == 0 || s.Reserved == 0 {
		t.Errorf("the relay has %+v", s)
	}
	if out := r.must("relay", "ls"); !strings.Contains(out, "with 1 of 7 places and 0 of 1024 connections") || !strings.Contains(out, "place  "+behind.id+"  until ") {
		t.Error(out)
	}
	out := strings.Join(strings.Fields(r.must("stats", "relay")), " ")
	for _, want := range []string{"places 1 of 7", "connections made 3", "refused NO_RESERVATION", "2m0s and 131072 bytes each way"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}

	plain := newNode(t)
	plain.run("-c", plain.write("node.json", local("")))
	if out := plain.xnode("", "relay", "ls"); out.code != 1 || !strings.Contains(out.stderr, "add relay to nat") {
		t.Errorf("without the module: %+v", out)
	}
}
