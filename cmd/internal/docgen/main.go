// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command docgen reads what is written in the source of modules about them and
// their fields, and writes it as JSON, to be embedded in the binary that they
// are in:
//
//	go run github.com/xnode-p2p/xnode/cmd/internal/docgen -o docs.json PACKAGE…
//
// It looks at those packages and all they import whose Go module uses xnode's
// core. What a field is, the binary knows itself; here is only prose.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "docs.json", "the file to write")
	flag.Parse()
	if err := generate(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

func generate(out string, patterns []string) error {
	packages, err := list(patterns)
	if err != nil {
		return err
	}
	p := newProse()
	for _, pkg := range own(packages) {
		if err := p.read(pkg); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(p); err != nil {
		return err
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}
