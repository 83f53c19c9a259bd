// SPDX-License-Identifier: Apache-2.0 OR MIT

package builder

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// publish puts a version of a Go module into a folder that the go command takes for
// a proxy.
func publish(t *testing.T, proxy, module, version string, files map[string]string) {
	t.Helper()
	dir := filepath.Join(proxy, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	archive, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	w := zip.NewWriter(archive)
	for name, text := range files {
		f, err := w.Create(fmt.Sprintf("%s@%s/%s", module, version, name))
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{".info": fmt.Sprintf(`{"Version": %q}`, version), ".mod": files["go.mod"]} {
		if err := os.WriteFile(filepath.Join(dir, version+name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// modules has the go command know only what is published into the folder that it
// returns, and forget it after the test.
func modules(t *testing.T) (proxy string) {
	t.Helper()
	proxy = t.TempDir()
	cache, err := os.MkdirTemp("", "xnode-modules-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The go command keeps its modules from being written to.
		_ = filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, 0o700)
			}
			return err
		})
		if err := os.RemoveAll(cache); err != nil {
			t.Error(err)
		}
	})
	for key, value := range map[string]string{"GOPROXY": "file://" + filepath.ToSlash(proxy), "GOMODCACHE": cache, "GOSUMDB": "off", "GONOSUMDB": "", "GOPRIVATE": "", "GOTOOLCHAIN": "local"} {
		t.Setenv(key, value)
	}
	return proxy
}

// A binary is of the version of the xnode that builds it. A module that wants a
// newer one is refused, with both versions named; one that does not is taken.
func TestModuleThatNeedsANewerXnode(t *testing.T) {
	proxy := modules(t)
	xnode := map[string]string{
		"go.mod":                      "module " + Xnode + "\n\ngo 1.26.0\n",
		"go.sum":                      "",
		"cmd/cmd.go":                  "package xnodecmd\n\nfunc Main(...[]byte) {}\n",
		"core/core.go":                "package core\n",
		"cmd/internal/docgen/main.go": "package main\n\nimport \"os\"\n\nfunc main() { _ = os.WriteFile(os.Args[2], []byte(\"{}\"), 0o600) }\n",
	}
	for _, version := range []string{"v1.0.0", "v1.1.0"} {
		publish(t, proxy, Xnode, version, xnode)
	}
	for version, needs := range map[string]string{"v0.1.0": "v1.0.0", "v0.2.0": "v1.1.0"} {
		publish(t, proxy, "example.org/mine", version, map[string]string{
			"go.mod":  "module example.org/mine\n\ngo 1.26.0\n\nrequire " + Xnode + " " + needs + "\n",
			"mine.go": "package mine\n\nimport _ \"" + Xnode + "/core\"\n",
		})
	}
	build := func(version string) error {
		_, err := Build(t.Context(), &Manifest{Preset: "none", With: []string{"example.org/mine@" + version}}, Source{Version: "v1.0.0"}, nil, true)
		return err
	}
	if err := build("v0.1.0"); err != nil {
		t.Errorf("a module for this version: %v", err)
	}
	want := "a module needs xnode v1.1.0, and this is v1.0.0; build with that version of xnode, or with an older version of the module"
	if err := build("v0.2.0"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
