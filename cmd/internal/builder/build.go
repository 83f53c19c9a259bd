// SPDX-License-Identifier: Apache-2.0 OR MIT

package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Result is a binary that has been built.
type Result struct {
	Output string
	Size   int64
	// Packages are those that main imports for their modules.
	Packages []string
	// Main, Mod and Sum are the files it was built of.
	Main, Mod, Sum []byte
}

// Build builds the binary of a manifest from a source of xnode. What the files
// of modules have to be is in sums, as in a go.sum, besides what xnode's own
// says. With dry, nothing is compiled.
func Build(ctx context.Context, m *Manifest, src Source, sums []byte, dry bool) (r *Result, err error) {
	err = inWorkspace(ctx, m, src, sums, func(w *workspace, imports []string) (err error) {
		// What the modules have written about themselves goes into the binary, and of
		// no others.
		if _, err := w.goTool(ctx, "run", Xnode+"/cmd/internal/docgen", "-o", "docs.json", "."); err != nil {
			return err
		}
		if err := w.writeMain(imports, true); err != nil {
			return err
		}
		r, err = w.result(ctx, m, imports, dry)
		return err
	})
	return r, err
}

// Conform runs the contract suites of package coretest for the modules of a
// manifest, those with the given IDs or all, and passes on what the go command
// prints. In options is what the suites have to be told; see coretest.Conform.
func Conform(ctx context.Context, m *Manifest, src Source, options []byte, ids []string, out io.Writer) error {
	return inWorkspace(ctx, m, src, nil, func(w *workspace, imports []string) error {
		var b strings.Builder
		b.WriteString("package main\n\nimport (\n\t\"os\"\n\t\"testing\"\n\n")
		fmt.Fprintf(&b, "\t%q\n)\n\n", Xnode+"/core/coretest")
		fmt.Fprintf(&b, "func TestConform(t *testing.T) {\n\toptions, err := os.ReadFile(\"options.json\")\n\tif err != nil {\n\t\tt.Fatal(err)\n\t}\n")
		fmt.Fprintf(&b, "\tcoretest.Conform(t, options, %#v...)\n}\n", ids)
		if err := errors.Join(w.file("conform_test.go", []byte(b.String())), w.file("options.json", options)); err != nil {
			return err
		}
		cmd := w.command(ctx, "test", "-count=1", "-v", ".")
		cmd.Stdout, cmd.Stderr = out, out
		return cmd.Run()
	})
}

// inWorkspace calls f in a folder with the main package of a manifest.
func inWorkspace(ctx context.Context, m *Manifest, src Source, sums []byte, f func(w *workspace, imports []string) error) error {
	var withs []with
	for _, text := range m.With {
		w, err := parseWith(text)
		if err != nil {
			return err
		}
		withs = append(withs, w)
	}
	tags, err := m.tags()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "xnode-build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system clears its folder in the end
	w := &workspace{dir, tags}
	if err := w.write(ctx, src, withs, sums); err != nil {
		return err
	}
	imports, err := w.imports(ctx, m, withs)
	if err != nil {
		return err
	}
	if err := w.writeMain(imports, false); err != nil {
		return err
	}
	if err := w.resolve(ctx, src, withs); err != nil {
		return err
	}
	if err := w.checkWithout(ctx, m.Without); err != nil {
		return err
	}
	return f(w, imports)
}

// result builds the binary, unless dry, and collects what it is made of.
func (w *workspace) result(ctx context.Context, m *Manifest, imports []string, dry bool) (*Result, error) {
	r := &Result{Output: m.Output, Packages: imports}
	if r.Output == "" {
		r.Output = "xnode"
	}
	var err error
	if r.Output, err = filepath.Abs(r.Output); err != nil {
		return nil, err
	}
	if !dry {
		if err := w.compile(ctx, m, r); err != nil {
			return nil, err
		}
	}
	for name, to := range map[string]*[]byte{"main.go": &r.Main, "go.mod": &r.Mod, "go.sum": &r.Sum} {
		if *to, err = os.ReadFile(filepath.Join(w.dir, name)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// compile builds the binary: the same bytes wherever it is built.
func (w *workspace) compile(ctx context.Context, m *Manifest, r *Result) error {
	_, preset, err := m.preset()
	if err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid= -funcalign=16", "-o", r.Output}
	for _, cold := range preset.cold {
		args = append(args, "-gcflags="+cold+"=-l") // without inlining
	}
	if _, err := w.goTool(ctx, append(args, ".")...); err != nil {
		if strings.Contains(err.Error(), "undefined: core.") || strings.Contains(err.Error(), "does not implement") {
			return fmt.Errorf("%w\na module may have been written for another version of xnode than this one; see its README", err)
		}
		return err
	}
	info, err := os.Stat(r.Output)
	if err != nil {
		return err
	}
	r.Size = info.Size()
	return nil
}

// imports lists the packages with modules.
func (w *workspace) imports(ctx context.Context, m *Manifest, withs []with) ([]string, error) {
	name, preset, err := m.preset()
	if err != nil {
		return nil, err
	}
	folders := preset.folders
	if name == "standard" {
		out, err := w.goTool(ctx, "list", "-f", `{{join .Imports "\n"}}`, Xnode+"/modules/standard")
		if err != nil {
			return nil, err
		}
		for line := range strings.FieldsSeq(string(out)) {
			folders = append(folders, strings.TrimPrefix(line, Xnode+"/modules/"))
		}
	}
	for _, id := range m.Without {
		i := slices.IndexFunc(folders, func(f string) bool { return IDOf(f) == id })
		if i < 0 {
			var ids []string
			for _, f := range folders {
				ids = append(ids, IDOf(f))
			}
			return nil, fmt.Errorf("without %q: the preset %s has no such module; it has %s", id, name, strings.Join(ids, ", "))
		}
		folders = slices.Delete(slices.Clone(folders), i, i+1)
	}
	var list []string
	for _, f := range folders {
		list = append(list, Xnode+"/modules/"+f)
	}
	for _, x := range withs {
		if slices.Contains(list, x.pkg) {
			return nil, fmt.Errorf("%s is listed twice; remove one", x.pkg)
		}
		list = append(list, x.pkg)
	}
	slices.Sort(list)
	return list, nil
}

// resolve finds the versions of all Go modules, and sees that xnode's stays what
// it is.
func (w *workspace) resolve(ctx context.Context, src Source, withs []with) error {
	for _, x := range withs {
		if x.path != "" || strings.HasPrefix(x.pkg, Xnode+"/") {
			continue
		}
		query := x.pkg
		if x.version != "" {
			query += "@" + x.version
		}
		if _, err := w.goTool(ctx, "get", query); err != nil {
			return err
		}
	}
	// Whatever is needed is written into go.mod and go.sum here.
	if _, err := w.goTool(ctx, "list", "-deps", "."); err != nil {
		return err
	}
	if src.Dir != "" {
		// The go command takes a checkout for every version: whether it is new
		// enough, only the compiler can say.
		return nil
	}
	out, err := w.goTool(ctx, "list", "-m", "-f", "{{.Version}}", Xnode)
	if err != nil {
		return err
	}
	if v := strings.TrimSpace(string(out)); v != src.Version {
		return fmt.Errorf("a module needs xnode %s, and this is %s; build with that version of xnode, or with an older version of the module", v, src.Version)
	}
	return nil
}

// checkWithout sees that what was left out is not part of something that was not.
func (w *workspace) checkWithout(ctx context.Context, without []string) error {
	if len(without) == 0 {
		return nil
	}
	out, err := w.goTool(ctx, "list", "-deps", "-json=ImportPath,Imports", ".")
	if err != nil {
		return err
	}
	type pkg struct {
		ImportPath string
		Imports    []string
	}
	var errs []error
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			return err
		}
		for _, imported := range p.Imports {
			folder, ok := strings.CutPrefix(imported, Xnode+"/modules/")
			if ok && slices.Contains(without, IDOf(folder)) {
				errs = append(errs, fmt.Errorf("without %q: %s is built on it; leave that out too", IDOf(folder), p.ImportPath))
			}
		}
	}
	return errors.Join(errs...)
}
