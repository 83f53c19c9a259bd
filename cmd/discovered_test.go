// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestDiscoveredPeers(t *testing.T) {
	a, b := newNode(t), newNode(t)
	p := a.run("-c", a.write("a.json", local("")))
	q := b.run("-c", b.write("b.json", local(fmt.Sprintf(`"discovery": {"bootstrap": {"peers": [%q]}}`, p.addrs[0]))))
	want := p.addrs[0] + " bootstrap"
	if out := b.must("peers", "--discovered"); strings.TrimSuffix(strings.TrimSpace(out), " connected") != want {
		t.Errorf("%q, want %q", out, want)
	}
	if out := a.must("peers", "--discovered"); out != "" {
		t.Errorf("%q has found somebody: %q", q.id, out)
	}
	var list []struct {
		Peer           string
		Sources, Addrs []string
	}
	if err := json.Unmarshal([]byte(b.must("peers", "--discovered", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Peer != p.id || len(list[0].Addrs) != 1 || fmt.Sprint(list[0].Sources) != "[bootstrap]" {
		t.Errorf("%+v", list)
	}
}
