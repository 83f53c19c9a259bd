// SPDX-License-Identifier: Apache-2.0 OR MIT

package peers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommonStacks(t *testing.T) {
	a := Peer{Stacks: slices.Concat(stacks("tcp ws", "noise tls", "yamux"), whole("quic"), private("tcp", "noise", "yamux"))}
	b := Peer{Stacks: slices.Concat(whole("webrtc-direct", "quic"), stacks("ws", "noise plaintext", "mplex yamux"))}
	want := []Stack{{Transport: "ws", Security: "noise", Muxer: "yamux"}, {Transport: "quic", Security: "tls", Muxer: "quic"}}
	if diff := cmp.Diff(want, Common(a, b)); diff != "" {
		t.Error(diff)
	}
}

func TestCommonDHT(t *testing.T) {
	a, b, c := Peer{DHT: []string{"/x", "/y"}}, Peer{DHT: []string{"/y"}}, Peer{DHT: []string{"/x"}}
	for _, pair := range []struct {
		want string
		of   []Peer
	}{{"/x", []Peer{a}}, {"/y", []Peer{a, b}}, {"/y", []Peer{b, a}}, {"/x", []Peer{a, a, c}}, {"", []Peer{a, b, c}}, {"", []Peer{a, {}}}} {
		if got := CommonDHT(pair.of...); got != pair.want {
			t.Errorf("%v: %q, want %q", pair.of, got, pair.want)
		}
	}
}

func TestStackWords(t *testing.T) {
	for _, c := range []struct {
		stack       Stack
		name, flags string
	}{
		{stacks("ws", "tls", "mplex")[0], "ws+tls+mplex", "--transport ws --security tls --muxer mplex"},
		{private("tcp", "noise", "yamux")[0], "tcp+pnet+noise+yamux", "--transport tcp --security noise --muxer yamux"},
		{whole("webtransport")[0], "webtransport", "--transport webtransport"},
	} {
		if name, flags := c.stack.String(), strings.Join(c.stack.Flags(), " "); name != c.name || flags != c.flags {
			t.Errorf("%s, %s; want %s, %s", name, flags, c.name, c.flags)
		}
	}
}

func TestNamed(t *testing.T) {
	all := All("/checkout")
	for _, c := range []struct{ names, want, err string }{
		{"go,js,py", "xnode go js py", ""},
		{"py,xnode", "xnode py", ""},
		{"", "xnode", ""},
		{"c++", "", `"c++"`},
	} {
		got, err := Named(all, strings.Split(c.names, ","))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.names, err)
			}
			continue
		}
		var names []string
		for _, p := range got {
			names = append(names, p.Name)
		}
		if err != nil || strings.Join(names, " ") != c.want {
			t.Errorf("%s: %v, %v", c.names, names, err)
		}
	}
	if len(all) != 6 {
		t.Error("All was changed")
	}
}

func TestEveryPeerIsThere(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range append(All(root), Limit(root)) {
		if info, err := os.Stat(p.dir); err != nil || !info.IsDir() {
			t.Errorf("%s: no folder %s: %v", p.Name, p.dir, err)
		}
		if p.made != "" {
			for _, file := range p.Argv {
				if info, err := os.Stat(file); err != nil || info.Mode()&0o111 == 0 {
					t.Errorf("%s: %s cannot be started: %v", p.Name, file, err)
				}
			}
		}
	}
}

func TestSetup(t *testing.T) {
	dir := t.TempDir()
	p := Peer{Name: "p", dir: dir, made: "ma?e", setup: [][]string{{"touch", "made"}, {"touch", "again"}}}
	var log strings.Builder
	if err := p.Setup(t.Context(), &log); err != nil || log.String() != "p: touch made\np: touch again\n" {
		t.Errorf("%q, %v", log.String(), err)
	}
	if err := os.Remove(filepath.Join(dir, "again")); err != nil {
		t.Fatal(err)
	}
	if err := p.Setup(t.Context(), &log); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "again")); err == nil {
		t.Error("set up twice")
	}
	p.made, p.setup = "never", [][]string{{"false"}}
	if err := p.Setup(t.Context(), &log); err == nil || !strings.Contains(err.Error(), "peer p") {
		t.Errorf("%v", err)
	}
}
