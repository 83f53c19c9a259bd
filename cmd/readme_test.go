// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// blocks are the fenced blocks of a language in README.md.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, part := range strings.Split(string(text), "\n```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		list = append(list, block+"\n")
	}
	return list
}

func TestReadmeConfiguration(t *testing.T) {
	documents := blocks(t, "json")
	if len(documents) == 0 {
		t.Fatal("no configuration")
	}
	for _, document := range documents {
		if out := newNode(t).xnode(document, "validate", "-c", "-"); out.code != 0 {
			t.Errorf("%s: %+v", document, out)
		}
	}
}

// Every command that README.md names is one.
func TestReadmeCommands(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t)
	named := regexp.MustCompile("(?:\\./|cmd/|`)xnode ((?:trace |key )?[a-z0-9-]+)").FindAllStringSubmatch(string(text), -1)
	if len(named) < 10 {
		t.Fatalf("found only %v", named)
	}
	for _, m := range named {
		if out := n.xnode("", append([]string{"help"}, strings.Fields(m[1])...)...); out.code != 0 {
			t.Errorf("%s: %+v", m[0], out)
		}
	}
}

// The module of README.md and its test, in a Go module of their own.
func TestReadmeModule(t *testing.T) {
	code := blocks(t, "go")
	if len(code) != 2 {
		t.Fatalf("%d blocks of Go, want a module and its test", len(code))
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	const own = "github.com/xnode-p2p/xnode"
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for file, content := range map[string]string{
		"go.mod": strings.Replace(string(mod), "module "+own, "module example.org/hello", 1) +
			fmt.Sprintf("\nrequire %s v0.0.0\nreplace %s => %s\n", own, own, root),
		"go.sum":   string(sums),
		"hello.go": code[0],
		"hello_test.go": "package hello\n\nimport (\n\t\"testing\"\n\n\t\"" + own + "/core\"\n\t\"" + own + "/core/coretest\"\n)\n\n" +
			code[1],
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range []string{"gofmt -l .", "go vet -mod=mod .", "go test -mod=mod ."} {
		words := strings.Fields(args)
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || words[0] == "gofmt" && len(out) > 0 {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
	}
}
