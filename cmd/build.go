// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/builder"
)

func (c *cli) buildCommand() *cobra.Command {
	var m builder.Manifest
	var file string
	var dry bool
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Builds an xnode with modules of your choice",
		Long: `build makes a binary of this version of xnode with other modules in it. It needs
Go, and no network for what is in Go's module cache.

  xnode build --preset minimal --with example.org/mine@v1.2.0 -o mynode
  xnode build --with example.org/mine=../mine --without xnode.muxer.mplex

The presets are ` + strings.Join(builder.Presets(), ", ") + `. The
minimal one is built for size: without HTTP/2, with the tag nethttpomithttp2, and
without inlining in what is not called for every message.
A manifest has the same keys, to be committed:

  {"preset": "minimal", "with": ["example.org/mine@v1.2.0"], "output": "mynode"}

Beside it, in NAME.sum, stays what the files of all Go modules have to be: commit
that too, and the build is the same everywhere, without a network too.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.build(cmd.Context(), m, file, dry)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&m.With, "with", nil, "a package with modules: PACKAGE[@VERSION][=PATH]; may be repeated")
	f.StringArrayVar(&m.Without, "without", nil, "the ID of a module to leave out; may be repeated")
	f.StringArrayVar(&m.Tags, "tag", nil, "a build tag for the go command; may be repeated")
	f.StringVar(&m.Preset, "preset", "", "the modules to begin with (default standard)")
	f.StringVarP(&m.Output, "output", "o", "", "the binary (default xnode)")
	f.StringVar(&m.Xnode, "xnode", "", "the folder of a checkout of xnode to build from (default: this version, or the checkout this binary is from)")
	f.StringVarP(&file, "file", "f", "", "a manifest; flags add to it")
	f.BoolVar(&dry, "print", false, "print main.go and go.mod, and build nothing")
	return cmd
}

func (c *cli) build(ctx context.Context, flags builder.Manifest, file string, dry bool) error {
	m, sums := &flags, []byte(nil)
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if m, err = builder.ReadManifest(text, filepath.Dir(file)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		m.With, m.Without = append(m.With, flags.With...), append(m.Without, flags.Without...)
		m.Tags = append(m.Tags, flags.Tags...)
		for _, o := range []struct{ flag, to *string }{{&flags.Preset, &m.Preset}, {&flags.Output, &m.Output}, {&flags.Xnode, &m.Xnode}} {
			if *o.flag != "" {
				*o.to = *o.flag
			}
		}
		if sums, err = os.ReadFile(sumFile(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	src, err := buildSource(m.Xnode)
	if err != nil {
		return err
	}
	done := c.progress("building")
	r, err := builder.Build(ctx, m, src, sums, dry)
	done()
	if err != nil {
		return err
	}
	if dry {
		fmt.Fprintf(c.out, "-- main.go --\n%s-- go.mod --\n%s", r.Main, r.Mod)
		return nil
	}
	if file != "" && !bytes.Equal(sums, r.Sum) {
		if err := os.WriteFile(sumFile(file), r.Sum, 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.out, "%s: %.1f MB\n", r.Output, float64(r.Size)/1e6)
	// A binary for this system says itself what is in it.
	if list, err := exec.CommandContext(ctx, r.Output, "list-modules").Output(); err == nil {
		_, err = c.out.Write(list)
		return err
	}
	for _, pkg := range r.Packages {
		fmt.Fprintln(c.out, pkg)
	}
	return nil
}

// sumFile is the file that goes with a manifest.
func sumFile(manifest string) string {
	return strings.TrimSuffix(manifest, ".json") + ".sum"
}

// buildSource says where xnode itself is: in a folder that was named, in the
// version of this binary, or in the working tree that this binary is from.
func buildSource(dir string) (builder.Source, error) {
	if dir != "" {
		dir, err := filepath.Abs(dir)
		return builder.Source{Dir: dir}, err
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
			if m.Path != ownModule {
				continue
			}
			if m.Replace != nil && m.Replace.Version == "" && isCheckout(m.Replace.Path) {
				return builder.Source{Dir: m.Replace.Path}, nil
			}
			if v := m.Version; m.Replace == nil && v != "" && v != "(devel)" && v != "v0.0.0" && !strings.Contains(v, "+dirty") && !inWorkingTree() {
				return builder.Source{Version: v}, nil
			}
		}
	}
	if dir := workingTree(); dir != "" {
		return builder.Source{Dir: dir}, nil
	}
	return builder.Source{}, errors.New("this xnode is from a working tree that is not known; name the folder with --xnode DIR")
}

// workingTree is the checkout that this binary was built in, or the one around
// the current folder; empty if there is none.
func workingTree() string {
	if _, file, _, ok := runtime.Caller(0); ok && isCheckout(filepath.Dir(filepath.Dir(file))) {
		return filepath.Dir(filepath.Dir(file))
	}
	dir, err := os.Getwd()
	for err == nil {
		if isCheckout(dir) {
			return dir
		}
		if filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

func inWorkingTree() bool {
	_, file, _, ok := runtime.Caller(0)
	return ok && isCheckout(filepath.Dir(filepath.Dir(file)))
}

func isCheckout(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return filepath.IsAbs(dir) && err == nil && bytes.HasPrefix(text, []byte("module "+ownModule+"\n"))
}

func (c *cli) devCommand() *cobra.Command {
	var xnode string
	cmd := &cobra.Command{
		Use:   "dev -- COMMAND…",
		Short: "Runs a command of an xnode with the module of the current folder in it",
		Long: `dev builds the standard distribution with the package of the current folder, and
runs a command of it:

  xnode dev -- validate -c example.json
  xnode dev -- run -c example.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			binary, err := c.buildDev(cmd.Context(), xnode)
			if err != nil {
				return err
			}
			run := exec.CommandContext(cmd.Context(), binary, args...)
			run.Stdin, run.Stdout, run.Stderr = c.in, c.out, c.err
			err = run.Run()
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return errShown // what it printed says why
			}
			return err
		},
	}
	cmd.Flags().StringVar(&xnode, "xnode", "", "the folder of a checkout of xnode (default: what the module's go.mod says, or as for build)")
	return cmd
}

// buildDev builds the binary and returns its path, which is the same each time.
func (c *cli) buildDev(ctx context.Context, xnode string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.ImportPath}}={{.Module.Dir}}", ".").Output()
	if err != nil {
		return "", fmt.Errorf("this folder has no Go package; go to that of a module, or make one with 'xnode new module': %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	pkg, dir, _ := strings.Cut(strings.TrimSpace(string(out)), "=")
	binary := filepath.Join(cache, "xnode", "dev", strings.ReplaceAll(pkg, "/", "_"))
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", err
	}
	if xnode == "" {
		xnode = replacedXnode(dir)
	}
	src, err := buildSource(xnode)
	if err != nil {
		return "", err
	}
	done := c.progress("building")
	defer done()
	_, err = builder.Build(ctx, &builder.Manifest{With: []string{pkg + "=" + dir}, Output: binary}, src, nil, false)
	return binary, err
}

// replacedXnode is the checkout of xnode that a Go module is developed with, if
// its go.mod names one.
func replacedXnode(dir string) string {
	cmd := exec.Command("go", "list", "-m", "-f", "{{with .Replace}}{{.Dir}}{{end}}", ownModule)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
