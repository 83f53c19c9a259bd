// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A node has its store in its data folder. What needs no node leaves that alone.
func TestStore(t *testing.T) {
	n := newNode(t)
	config := n.write("node.json", local(""))
	store := filepath.Join(n.data(), "store.db")
	n.must("validate", "-c", config)
	if _, err := os.Stat(store); err == nil {
		t.Error("validate has made a store")
	}
	p := n.run("-c", config)
	if info, err := os.Stat(store); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if info, err := os.Stat(n.data()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	for _, args := range [][]string{{"ping", "-n", "1", p.addrs[0]}, {"id", p.addrs[0]}, {"trace", "dial", p.addrs[0]}, {"validate", "-c", config}} {
		if out := n.xnode("", args...); out.code != 0 || strings.Contains(out.stderr, "store") {
			t.Errorf("%v beside a node: %+v", args, out)
		}
	}
	n.must("stop")
	p.wait()
	if list, err := filepath.Glob(store + "*"); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	// A store that is none does not keep a node from starting.
	if err := os.WriteFile(store, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := n.run("-c", config)
	if again.id != p.id {
		t.Errorf("the node is %s, was %s", again.id, p.id)
	}
	if list, err := filepath.Glob(store + ".bad-*"); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}
