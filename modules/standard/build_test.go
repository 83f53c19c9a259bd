// SPDX-License-Identifier: Apache-2.0 OR MIT

package standard_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// minimal are the modules of the smallest useful node.
var minimal = []string{"identity/file", "transport/tcp", "security/noise", "muxer/yamux", "protocol/ping"}

// A new dependency is a change of these files, to be read in review.
func TestDependenciesAreGolden(t *testing.T) {
	overlay := overlayOf(t, map[string]string{"modules/standard/imports.go": importsFile(minimal)})
	for name, args := range map[string][]string{
		"standard.deps": nil,
		"minimal.deps":  {"-overlay", overlay},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"list"}, args...)
			args = append(args, "-deps", "-f", `{{if not .Standard}}{{with .Module}}{{.Path}}{{end}}{{end}}`, "./cmd/xnode")
			lines := strings.Fields(run(t, args...))
			slices.Sort(lines)
			got := strings.Join(slices.Compact(lines), "\n") + "\n"
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the modules linked in have changed; if that is meant, run go test ./modules/standard -update\ngot:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// builtOn lists the modules that have another one in them because their
// specification says so. Without that one they go too.
var builtOn = map[string][]string{
	"security/noise": {"transport/webrtcdirect", "transport/webtransport"},
	"security/tls":   {"transport/quic"},
}

// Whatever module is deleted, with its line in imports.go, the rest builds.
func TestEveryModuleCanBeDeleted(t *testing.T) {
	all := moduleFolders(t)
	for _, folder := range all {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			gone := append(builtOn[folder], folder)
			left := slices.DeleteFunc(slices.Clone(all), func(f string) bool { return slices.Contains(gone, f) })
			replace := map[string]string{"modules/standard/imports.go": importsFile(left)}
			for _, f := range gone {
				for _, file := range goFiles(t, filepath.Join(root(t), "modules", f)) {
					replace[file] = ""
				}
			}
			run(t, "build", "-overlay", overlayOf(t, replace), "./core/...", "./cmd/...", "./modules/...")
		})
	}
}

// imports.go lists exactly the modules there are.
func TestImportsListEveryModule(t *testing.T) {
	text, err := os.ReadFile("imports.go")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for line := range strings.Lines(string(text)) {
		if _, path, ok := strings.Cut(line, module+"modules/"); ok {
			listed = append(listed, strings.TrimSuffix(strings.TrimSpace(path), `"`))
		}
	}
	if want := moduleFolders(t); !slices.Equal(listed, want) {
		t.Errorf("imports.go lists\n%v, want, in this order,\n%v", listed, want)
	}
}

// A user's own binary: main.go copied into a new Go module, its imports edited.
func TestMinimalBinaryBuildsFromACopiedMain(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(root(t), "cmd", "xnode", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	var imports strings.Builder
	for _, m := range minimal {
		fmt.Fprintf(&imports, "\t_ %q\n", module+"modules/"+m)
	}
	line := fmt.Sprintf("\t_ %q\n", module+"modules/standard")
	if !strings.Contains(string(text), line) {
		t.Fatalf("main.go has no line %s", line)
	}
	edited := strings.Replace(string(text), line, imports.String(), 1)
	mod, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSuffix(module, "/")
	own := strings.Replace(string(mod), "module "+name, "module mynode", 1) +
		fmt.Sprintf("\nrequire %s v0.0.0\nreplace %s => %s\n", name, name, root(t))
	sums, err := os.ReadFile(filepath.Join(root(t), "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{"main.go": edited, "go.mod": own, "go.sum": string(sums)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "mynode")
	runIn(t, dir, "build", "-mod=mod", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("minimal binary: %.1f MB stripped", float64(info.Size())/1e6)
	listed, err := exec.CommandContext(t.Context(), out, "list-modules").CombinedOutput()
	if err != nil {
		t.Fatalf("list-modules: %v\n%s", err, listed)
	}
	for _, m := range minimal {
		if id := "xnode." + strings.ReplaceAll(m, "/", "."); !strings.Contains(string(listed), id) {
			t.Errorf("the binary does not list %s:\n%s", id, listed)
		}
	}
}

// guests are the folders of kinds of module that are guests of others.
var guests = []string{"pubsub/validator"}

// moduleFolders lists the folders of all modules, sorted, as kind/name.
func moduleFolders(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, kinds := range append(guests, "*") {
		dirs, err := filepath.Glob(filepath.Join(root(t), "modules", kinds, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			folder, err := filepath.Rel(filepath.Join(root(t), "modules"), dir)
			if err != nil {
				t.Fatal(err)
			}
			folder = filepath.ToSlash(folder)
			if filepath.Base(dir) != "internal" && !strings.HasPrefix(folder, "standard/") &&
				!slices.Contains(guests, folder) && len(goFiles(t, dir)) > 0 {
				list = append(list, folder)
			}
		}
	}
	slices.Sort(list)
	return list
}

func goFiles(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func importsFile(folders []string) string {
	var b strings.Builder
	b.WriteString("package standard\n\nimport (\n")
	for _, f := range folders {
		fmt.Fprintf(&b, "\t_ %q\n", module+"modules/"+f)
	}
	b.WriteString(")\n")
	return b.String()
}

// overlayOf writes an overlay file for the go command. Keys are absolute or
// relative to the repository; an empty value deletes the file.
func overlayOf(t *testing.T, replace map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files := make(map[string]string)
	for name, text := range replace {
		if !filepath.IsAbs(name) {
			name = filepath.Join(root(t), name)
		}
		files[name] = ""
		if text != "" {
			files[name] = filepath.Join(dir, fmt.Sprintf("%d.go", len(files)))
			if err := os.WriteFile(files[name], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": files})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	return runIn(t, root(t), args...)
}

func runIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
