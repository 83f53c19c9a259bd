// SPDX-License-Identifier: Apache-2.0 OR MIT

package builder

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// checkout is this repository.
func checkout(t *testing.T) Source {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return Source{Dir: dir}
}

func TestReadManifest(t *testing.T) {
	m, err := ReadManifest([]byte(`{"preset": "minimal", "with": ["example.org/a=../a", "example.org/b@v1.0.0"], "without": ["xnode.protocol.ping"], "output": "bin/node"}`), "/w")
	if err != nil || m.With[0] != "example.org/a=/a" || m.With[1] != "example.org/b@v1.0.0" || m.Output != "/w/bin/node" || m.Without[0] != "xnode.protocol.ping" {
		t.Errorf("%+v, %v", m, err)
	}
	for _, tc := range []struct{ text, want string }{
		{`{"presets": "minimal"}`, `unknown field "presets"; the keys are preset, with, without, tags, output and xnode`},
		{`{"with": "example.org/a"}`, "cannot unmarshal string"},
		{`{} {}`, "text after"},
		{`preset: minimal`, "invalid character"},
	} {
		if _, err := ReadManifest([]byte(tc.text), "."); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.text, err, tc.want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		m    Manifest
		want string
	}{
		{"an unknown preset", Manifest{Preset: "tiny"}, "choose one of dht, minimal, none, standard"},
		{"an unknown module", Manifest{Preset: "minimal", Without: []string{"xnode.protocol.pong"}}, "it has xnode.identity.file, xnode.muxer.yamux"},
		{"no package", Manifest{With: []string{"../mine"}}, "write PACKAGE, PACKAGE@VERSION or PACKAGE=PATH"},
		{"a flag", Manifest{With: []string{"-x"}}, "no package"},
		{"an empty path", Manifest{With: []string{"example.org/a="}}, "path is empty"},
		{"a folder without a Go module", Manifest{With: []string{"example.org/a=" + t.TempDir()}}, "no Go module"},
		{"another Go module", Manifest{With: []string{"example.org/a=" + checkout(t).Dir}}, "example.org/a is not in the Go module " + Xnode},
		{"no build tag", Manifest{Tags: []string{"a -toolexec=b"}}, `"a -toolexec=b" is no build tag`},
		{"one twice", Manifest{Preset: "minimal", With: []string{Xnode + "/modules/protocol/ping"}}, "listed twice"},
		{"what another is built on", Manifest{Preset: "dht", Without: []string{"xnode.security.tls"}}, `without "xnode.security.tls": ` + Xnode + "/modules/transport/quic is built on it"},
		{"a package that is nowhere", Manifest{Preset: "minimal", With: []string{Xnode + "/modules/protocol/nosuch"}}, "nosuch"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Build(t.Context(), &tc.m, checkout(t), nil, true); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	if _, err := Build(t.Context(), &Manifest{}, Source{Dir: t.TempDir()}, nil, true); err == nil {
		t.Error("a folder without xnode is a source of it")
	}
}

// The smallest useful node is a download of 16 MB at most.
func TestMinimalIsSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a binary")
	}
	r, err := Build(t.Context(), &Manifest{Preset: "minimal", Output: filepath.Join(t.TempDir(), "node")}, checkout(t), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if r.Size > 16e6 {
		t.Errorf("%.2f MB", float64(r.Size)/1e6)
	}
}

const hello = `// Package hello greets.
package hello

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Hello)) }

// Hello is the module.
type Hello struct {
	// Text is the greeting. Default: "hi".
	Text string ` + "`json:\"text,omitempty\"`" + `
}

func (*Hello) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.hello", New: func() caddy.Module { return new(Hello) }}
}
func (*Hello) Start(context.Context, core.Node) error { return nil }
func (*Hello) Close() error                           { return nil }
`

// A module of somebody else's is in the binary, with its documentation, and the
// binary is the same bytes each time. The network is not needed.
func TestBuildsWithAModuleOfSomebodyElse(t *testing.T) {
	if testing.Short() {
		t.Skip("builds binaries")
	}
	t.Setenv("GOPROXY", "off")
	dir := t.TempDir()
	for name, text := range map[string]string{"hello.go": hello, "go.mod": "module example.org/hello\n\ngo 1.26.0\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := &Manifest{Preset: "minimal", Without: []string{"xnode.protocol.ping"}, With: []string{"example.org/hello=" + dir}}
	var binaries [2][]byte
	for i := range binaries {
		m.Output = filepath.Join(t.TempDir(), "node")
		r, err := Build(t.Context(), m, checkout(t), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if binaries[i], err = os.ReadFile(r.Output); err != nil || int64(len(binaries[i])) != r.Size {
			t.Fatalf("%v, %d bytes, not %d", err, len(binaries[i]), r.Size)
		}
		if !strings.Contains(string(r.Main), `_ "example.org/hello"`) || len(r.Packages) != 5 || len(r.Sum) == 0 {
			t.Errorf("%+v", r)
		}
		t.Logf("%.1f MB stripped", float64(r.Size)/1e6)
	}
	if string(binaries[0]) != string(binaries[1]) {
		t.Error("two builds of the same are not the same")
	}
	for _, tc := range []struct{ args, has, lacks string }{
		{"list-modules", "xnode.protocol.hello", "xnode.protocol.ping"},
		{"docs hello", "text is the greeting.", "ping"},
		{"schema hello", `"default": "hi"`, "ping"},
	} {
		out, err := exec.CommandContext(t.Context(), m.Output, strings.Fields(tc.args)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), tc.has) || strings.Contains(string(out), tc.lacks) {
			t.Errorf("%s: %v\n%s", tc.args, err, out)
		}
	}
	if runtime.GOOS == "linux" && strings.Contains(string(binaries[0]), checkout(t).Dir+"/cmd") {
		t.Error("the binary has the folder of this machine's sources in it")
	}
}
