// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
)

// prose is what is written about packages and types, by their paths. Package
// reference reads it.
type prose struct {
	Packages map[string]string   `json:"packages"`
	Types    map[string]typeText `json:"types"`
}

// typeText is what is written about a type and its fields.
type typeText struct {
	Doc    string            `json:"doc,omitempty"`
	Fields map[string]string `json:"fields,omitempty"`
}

func newProse() *prose {
	return &prose{make(map[string]string), make(map[string]typeText)}
}

// read adds a package. Of its types it takes those that have JSON keys, and of
// its comment only what is written about one with such a type or a module.
func (p *prose) read(pkg goPackage) error {
	doc, wanted := "", false
	for _, name := range pkg.GoFiles {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(pkg.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if text := file.Doc.Text(); text != "" {
			doc = text
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.GenDecl:
				wanted = p.types(fset, pkg.ImportPath, d) || wanted
			case *ast.FuncDecl:
				wanted = wanted || d.Recv != nil && d.Name.Name == "CaddyModule"
			}
		}
	}
	if doc != "" && wanted {
		p.Packages[pkg.ImportPath] = doc
	}
	return nil
}

// types adds the structs of a declaration and says whether there were any.
func (p *prose) types(fset *token.FileSet, path string, d *ast.GenDecl) bool {
	found := false
	for _, spec := range d.Specs {
		t, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		s, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		text := typeText{Doc: t.Doc.Text(), Fields: make(map[string]string)}
		if text.Doc == "" && len(d.Specs) == 1 {
			text.Doc = d.Doc.Text()
		}
		keys, before, line := false, "", 0
		for _, f := range s.Fields.List {
			if f.Tag != nil {
				key := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json")
				keys = keys || key != "" && key != "-"
			}
			comment := f.Doc.Text()
			if comment == "" {
				comment = f.Comment.Text()
			}
			// One comment is for all that follow it, up to the next or an empty line.
			if comment == "" && fset.Position(f.Pos()).Line == line+1 {
				comment = before
			}
			before, line = comment, fset.Position(f.End()).Line
			for _, name := range f.Names {
				if name.IsExported() && comment != "" {
					text.Fields[name.Name] = comment
				}
			}
		}
		if keys {
			p.Types[path+"."+t.Name.Name] = text
			found = true
		}
	}
	return found
}
