// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

const (
	core     = "github.com/xnode-p2p/xnode/core"
	commands = "github.com/xnode-p2p/xnode/cmd" // which configure nothing
)

// goPackage is what the go command says of a package.
type goPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Module     *struct{ Path string }
}

// list asks the go command for packages and all they import. It does not mind
// that the file to generate is missing.
func list(patterns []string) ([]goPackage, error) {
	args := append([]string{"list", "-e", "-deps", "-json=ImportPath,Dir,GoFiles,Imports,Module"}, patterns...)
	cmd := exec.Command("go", args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, &complaints)
	}
	var packages []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// own picks the packages of Go modules that use xnode's core.
func own(packages []goPackage) []goPackage {
	uses := make(map[string]bool)
	for _, p := range packages {
		if p.Module != nil && (p.ImportPath == core || slices.Contains(p.Imports, core)) {
			uses[p.Module.Path] = true
		}
	}
	return slices.DeleteFunc(packages, func(p goPackage) bool {
		return p.Module == nil || !uses[p.Module.Path] || strings.HasPrefix(p.ImportPath+"/", commands+"/")
	})
}
