// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func TestReadsCommentsOfKeys(t *testing.T) {
	p := newProse()
	if err := p.read(goPackage{ImportPath: "example.org/sample", Dir: "testdata/sample", GoFiles: []string{"sample.go"}}); err != nil {
		t.Fatal(err)
	}
	both := "Low and High bound it, in bytes. Default: 1 and 2.\n"
	want := &prose{
		Packages: map[string]string{"example.org/sample": "Package sample is one for a test.\n"},
		Types: map[string]typeText{"example.org/sample.Config": {
			Doc: "Config has keys.\n", Fields: map[string]string{"Low": both, "High": both, "Text": "the greeting\n"},
		}},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
}

func TestTakesPackagesOfModulesThatUseCore(t *testing.T) {
	mod := func(path string) *struct{ Path string } { return &struct{ Path string }{path} }
	x := mod("github.com/xnode-p2p/xnode")
	packages := []goPackage{
		{ImportPath: "fmt"},
		{ImportPath: core, Module: x},
		{ImportPath: commands + "/internal/docgen", Module: x},
		{ImportPath: "example.org/theirs", Module: mod("example.org/theirs")},
		{ImportPath: "example.org/mine/inner", Module: mod("example.org/mine")},
		{ImportPath: "example.org/mine", Imports: []string{core}, Module: mod("example.org/mine")},
	}
	var got []string
	for _, p := range own(packages) {
		got = append(got, p.ImportPath)
	}
	if want := []string{core, "example.org/mine/inner", "example.org/mine"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What is embedded is what the source says: make generate is not forgotten.
func TestEmbeddedDocsAreCurrent(t *testing.T) {
	out := filepath.Join(t.TempDir(), "docs.json")
	if err := generate(out, []string{commands + "/xnode"}); err != nil {
		t.Fatal(err)
	}
	var got, want prose
	for path, to := range map[string]*prose{out: &got, "../../docs.json": &want} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, to); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("cmd/docs.json is not what the comments in the source say; run make generate")
	}
}
