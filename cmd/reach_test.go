// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Two nodes have each other dial them, over TCP and QUIC.
func TestAddrsReach(t *testing.T) {
	const autonat = `"listen":["/ip4/127.0.0.1/tcp/0","/ip4/127.0.0.1/udp/0/quic-v1"],"nat":{"autonat":{"allow_private":true,"confirmations":1}}`
	a, b := newNode(t), newNode(t)
	a.run("-c", a.write("node.json", inNode(autonat)))
	to := b.run("-c", b.write("node.json", inNode(autonat)))
	if out := a.must("addrs", "reach"); !strings.Contains(out, "unknown") || strings.Count(out, "never tried") != 2 {
		t.Error(out)
	}
	a.must("connect", to.addrs[0])
	type reach struct {
		Reachability string
		Addrs        []struct {
			Addr, Reachability string
			Reached, Missed    int
			Checked            *time.Time
		}
	}
	for _, n := range []*testNode{a, b} {
		for begun := time.Now(); ; {
			var r reach
			if err := json.Unmarshal([]byte(n.must("addrs", "reach", "--json")), &r); err != nil {
				t.Fatal(err)
			}
			done := r.Reachability == "public"
			for _, addr := range r.Addrs {
				if addr.Reachability == "private" {
					t.Fatalf("%+v", r)
				}
				done = done && addr.Reachability == "public" && addr.Reached == 1 && addr.Checked != nil
			}
			if done && len(r.Addrs) == 2 {
				break
			}
			if time.Since(begun) > patience {
				t.Fatalf("after %v: %+v", patience, r)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	if out := a.must("addrs", "reach"); strings.Count(out, "reached from 1 of 1 networks") != 2 || !strings.Contains(out, "peers can dial it") {
		t.Error(out)
	}
	var d struct {
		Checks []struct{ ID, Status, Evidence string }
	}
	if err := json.Unmarshal([]byte(a.must("doctor", "--json")), &d); err != nil || len(d.Checks) < 10 {
		t.Errorf("%+v, %v", d, err)
	}
	for _, c := range d.Checks {
		if c.ID == "reach.node" && (c.Status != "ok" || !strings.Contains(c.Evidence, "2 of 2")) {
			t.Errorf("%+v", c)
		}
	}
	plain := newNode(t)
	if out := plain.must("doctor"); !strings.Contains(out, "no node is running") || !strings.Contains(out, "files") {
		t.Error(out)
	}
	plain.run("-c", plain.write("node.json", local("")))
	if out := plain.xnode("", "addrs", "reach"); out.code != 1 || !strings.Contains(out.stderr, "add a module that does to nat, such as autonat") {
		t.Errorf("without the module: %+v", out)
	}
}
