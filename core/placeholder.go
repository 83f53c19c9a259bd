// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
)

// Expand replaces the placeholders of a configuration string: {env.NAME},
// {file.PATH}, {system.…}, as Caddy has them, and {xnode.data}, the data
// folder. It fails on a placeholder that is unknown or empty. Call it once, in
// Provision, on fields whose comment says so, and never on what a peer sent.
func Expand(s string) (string, error) {
	r := caddy.NewReplacer()
	r.Map(func(key string) (any, bool) {
		if key == "xnode.data" {
			return DataDir(), true
		}
		return nil, false
	})
	out, err := r.ReplaceOrErr(s, true, true)
	if err != nil {
		return "", fmt.Errorf("%q: %w", s, err)
	}
	return out, nil
}

// DataDir is the folder for what a node keeps: $XNODE_DATA, or xnode in
// $XDG_DATA_HOME or ~/.local/share.
func DataDir() string {
	if dir := os.Getenv("XNODE_DATA"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "xnode")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "xnode-data"
	}
	return filepath.Join(home, ".local", "share", "xnode")
}
