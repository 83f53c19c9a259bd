// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"reflect"
	"runtime/debug"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/core"
)

const (
	ownModule   = "github.com/xnode-p2p/xnode"
	caddyModule = "github.com/caddyserver/caddy/v2"
)

// moduleInfo is a module in this binary.
type moduleInfo struct {
	ID string `json:"id"`
	// Package is the Go package it is in, Version that of its Go module.
	Package string `json:"package"`
	Version string `json:"version"`
	// Standard is true for modules of xnode and Caddy themselves.
	Standard bool `json:"standard"`
	// Stability is how far it is; empty for modules that are not xnode's kind.
	Stability core.Stability `json:"stability,omitempty"`
}

func (c *cli) modulesCommand() *cobra.Command {
	var packages, versions, stability bool
	cmd := &cobra.Command{
		Use:   "list-modules",
		Short: "Lists the modules in this binary",
		Long: `list-modules lists the modules in this binary by their IDs. The one with the ID
xnode.KIND.NAME is what a configuration calls NAME in the section of its kind.

Behind an ID stands how far the module is: development, alpha, beta, stable,
deprecated or unmaintained.

JSON: [{"id", "package", "version", "standard", "stability"}]`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			list := listModules()
			if c.json {
				return c.printJSON(list, false)
			}
			return c.table(func(row func(string, ...any)) {
				others := 0
				for _, m := range list {
					line := m.ID
					if stability {
						line += "\t" + string(m.Stability)
					}
					if packages {
						line += "\t" + m.Package
					}
					if versions {
						line += "\t" + m.Version
					}
					row("%s", line)
					if !m.Standard {
						others++
					}
				}
				row("\n  Standard modules: %d", len(list)-others)
				row("  Other modules: %d", others)
			})
		},
	}
	cmd.Flags().BoolVar(&packages, "packages", false, "print the Go packages too")
	cmd.Flags().BoolVar(&stability, "stability", true, "print how far they are")
	cmd.Flags().BoolVar(&versions, "versions", false, "print the versions too")
	return c.reads(cmd)
}

// listModules lists the modules by their IDs.
func listModules() []moduleInfo {
	build, _ := debug.ReadBuildInfo()
	var list []moduleInfo
	for _, id := range caddy.Modules() {
		info, err := caddy.GetModule(id)
		if err != nil {
			continue
		}
		t := reflect.TypeOf(info.New())
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		path, v := owner(build, t.PkgPath())
		list = append(list, moduleInfo{id, t.PkgPath(), v, path == ownModule || path == caddyModule, core.StabilityOf(id)})
	}
	return list
}

// owner finds the Go module that a package is part of, and its version.
func owner(build *debug.BuildInfo, pkg string) (path, version string) {
	if build == nil {
		return "", ""
	}
	for _, m := range append([]*debug.Module{&build.Main}, build.Deps...) {
		if (pkg == m.Path || strings.HasPrefix(pkg, m.Path+"/")) && len(m.Path) > len(path) {
			path, version = m.Path, m.Version
			if m.Replace != nil {
				version = m.Replace.Version
			}
		}
	}
	return path, version
}
