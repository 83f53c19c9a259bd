// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xnode-p2p/xnode/core"
)

func TestEvil_X4_PlaceholdersExpandOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "value")
	if err := os.WriteFile(file, []byte("from {env.SECRET}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XNODE_DATA", filepath.Join(dir, "{env.SECRET}"))
	t.Setenv("SECRET", "s3cr3t")
	t.Setenv("PLAIN", "value")
	t.Setenv("NESTED", "{env.SECRET}")
	t.Setenv("HALF", "{env.")
	t.Setenv("EMPTY", "")
	for _, tc := range []struct{ text, want string }{
		{"", ""},
		{"/ip4/1.2.3.4", "/ip4/1.2.3.4"},
		{"{env.PLAIN}", "value"},
		{"a-{env.PLAIN}-{env.PLAIN}-z", "a-value-value-z"},
		{"{env.NESTED}", "{env.SECRET}"},
		{"{env.HALF}SECRET}", "{env.SECRET}"},
		{"{xnode.data}/k", filepath.Join(dir, "{env.SECRET}") + "/k"},
		{"{file." + file + "}", "from {env.SECRET}"},
		{`\{env.PLAIN\}`, "{env.PLAIN}"},
		{"half {open", "half {open"},
		{"}{", "}{"},
	} {
		if got, err := core.Expand(tc.text); err != nil || got != tc.want {
			t.Errorf("%q: got %q, %v, want %q", tc.text, got, err, tc.want)
		}
	}
	for _, tc := range []struct{ text, want string }{
		{"x {env.UNSET_IN_THIS_TEST}", `"x {env.UNSET_IN_THIS_TEST}": evaluated placeholder {env.UNSET_IN_THIS_TEST} is empty`},
		{"{env.EMPTY}", `"{env.EMPTY}": evaluated placeholder {env.EMPTY} is empty`},
		{"{nothing}", `"{nothing}": unrecognized placeholder {nothing}`},
		{"{}", `"{}": unrecognized placeholder {}`},
		{"{xnode.date}", `"{xnode.date}": unrecognized placeholder {xnode.date}`},
		{"{file." + filepath.Join(dir, "gone") + "}", "is empty"},
		{strings.Repeat("{", 1000), "too many unclosed placeholders"},
	} {
		got, err := core.Expand(tc.text)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.40q: got %q, %v, want an error with %s", tc.text, got, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: the error tells a secret: %v", tc.text, err)
		}
	}
}

func TestDataDir(t *testing.T) {
	for _, tc := range []struct{ own, xdg, home, want string }{
		{"/own", "/xdg", "/home/u", "/own"},
		{"relative", "", "/home/u", "relative"},
		{"", "/xdg", "/home/u", "/xdg/xnode"},
		{"", "relative", "/home/u", "/home/u/.local/share/xnode"},
		{"", "", "/home/u", "/home/u/.local/share/xnode"},
		{"", "", "", "xnode-data"},
	} {
		t.Setenv("XNODE_DATA", tc.own)
		t.Setenv("XDG_DATA_HOME", tc.xdg)
		t.Setenv("HOME", tc.home)
		if got := core.DataDir(); got != tc.want {
			t.Errorf("%+v: got %s", tc, got)
		}
	}
}
