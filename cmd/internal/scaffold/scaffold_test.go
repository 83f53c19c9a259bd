// SPDX-License-Identifier: Apache-2.0 OR MIT

package scaffold

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the examples anew")

const (
	root   = "../../.."
	header = "// SPDX-License-Identifier: Apache-2.0 OR MIT\n\n"
)

// examples are the modules in the folder of that name, by their kinds.
var examples = map[string]string{
	"transport": "throttle", "security": "keytypes", "muxer": "bounded", "routing": "table",
	"validator": "prefix", "discovery": "peerfile", "protocol": "greeting",
}

// The examples are what 'xnode new module' writes.
func TestExamplesAreCurrent(t *testing.T) {
	for kind, name := range examples {
		dir := filepath.Join(t.TempDir(), name)
		if err := Write(dir, kind, name, "example.org/"+name, Xnode{Dir: "../.."}); err != nil {
			t.Fatal(err)
		}
		example := filepath.Join(root, "examples", kind)
		if *update {
			renew(t, dir, example)
		}
		for _, file := range []string{name + ".go", name + "_test.go", "README.md", "example.json"} {
			want, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(example, file))
			if err != nil || strings.TrimPrefix(string(got), header) != string(want) {
				t.Errorf("examples/%s/%s is not what the template gives (%v); run go test ./cmd/internal/scaffold -update", kind, file, err)
			}
		}
	}
}

// renew writes an example anew.
func renew(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(to, ".github")); err != nil { // this repository's CI runs them
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(to, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append([]byte(header), text...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, to)
}

// settle completes a go.mod.
func settle(t *testing.T, dir string) {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644); err != nil {
		t.Fatal(err)
	}
	goTool(t, dir, "list", "-mod=mod", "-deps", "-test", "./...")
}

func goTool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Of every kind there is a module that builds and passes, with nothing edited and
// without a network.
func TestEveryKindBuildsAndPasses(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and tests a module of every kind")
	}
	xnode, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds() {
		if examples[kind] != "" {
			continue // tested by make examples
		}
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "demo")
			if err := Write(dir, kind, "demo", "", Xnode{Dir: xnode}); err != nil {
				t.Fatal(err)
			}
			settle(t, dir)
			if out, err := exec.CommandContext(t.Context(), "gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("not formatted: %s, %v", out, err)
			}
			goTool(t, dir, "vet", "./...")
			goTool(t, dir, "test", "./...")
		})
	}
}

func TestRefuses(t *testing.T) {
	for _, tc := range []struct{ kind, name, path, want string }{
		{"transprot", "demo", "", "choose one of certificate, discovery"},
		{"transport", "Demo", "", "lower-case letters"},
		{"transport", "func", "", "no name for a module"},
		{"transport", "../x", "", "no name for a module"},
		{"transport", "core", "", "no name for a module"},
		{"transport", "demo", "a b", "no path"},
	} {
		dir := filepath.Join(t.TempDir(), "x")
		if err := Write(dir, tc.kind, tc.name, tc.path, Xnode{}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v", tc, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%+v: a folder was made", tc)
		}
	}
	if err := Write(t.TempDir(), "transport", "demo", "", Xnode{}); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("over a folder: %v", err)
	}
}
