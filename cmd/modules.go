// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
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
}

func (c *cli) modulesCommand() *cobra.Command {
	var packages, versions bool
	cmd := &cobra.Command{
		Use:   "list-modules",
		Short: "Lists the modules in this binary",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			list := listModules()
			if c.json {
				return c.printJSON(list, false)
			}
			return c.table(func(row func(string, ...any)) {
				others := 0
				for _, m := range list {
					line := m.ID
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
		list = append(list, moduleInfo{id, t.PkgPath(), v, path == ownModule || path == caddyModule})
	}
	slices.SortFunc(list, func(a, b moduleInfo) int { return cmp.Compare(a.ID, b.ID) })
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

func (c *cli) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Prints the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				return c.printJSON(map[string]string{"version": version(), "revision": setting("vcs.revision"), "go": goVersion()}, false)
			}
			fmt.Fprintln(c.out, version())
			return nil
		},
	}
	return c.reads(cmd)
}

// version is the version of xnode in this binary; for a build from a working
// tree it is its revision.
func version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	_, v := owner(build, ownModule)
	if v != "" && v != "(devel)" {
		return v
	}
	revision := setting("vcs.revision")
	if revision == "" {
		return "dev"
	}
	revision = revision[:min(len(revision), 12)]
	if setting("vcs.modified") == "true" {
		revision += "+modified"
	}
	return "dev-" + revision
}

// setting is one of the settings of the build.
func setting(key string) string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, s := range build.Settings {
			if s.Key == key {
				return s.Value
			}
		}
	}
	return ""
}

func goVersion() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		return build.GoVersion
	}
	return ""
}

func (c *cli) buildInfoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build-info",
		Short: "Prints the Go modules in this binary and how it was built",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			build, ok := debug.ReadBuildInfo()
			if !ok {
				return fmt.Errorf("this binary has no build information")
			}
			if !c.json {
				fmt.Fprint(c.out, build)
				return nil
			}
			type module struct {
				Path    string `json:"path"`
				Version string `json:"version"`
				Sum     string `json:"sum,omitempty"`
				Replace string `json:"replace,omitempty"`
			}
			deps := []module{}
			for _, d := range build.Deps {
				m := module{Path: d.Path, Version: d.Version, Sum: d.Sum}
				if d.Replace != nil {
					m.Replace = strings.TrimSpace(d.Replace.Path + " " + d.Replace.Version)
				}
				deps = append(deps, m)
			}
			settings := map[string]string{}
			for _, s := range build.Settings {
				settings[s.Key] = s.Value
			}
			return c.printJSON(map[string]any{
				"go": build.GoVersion, "path": build.Path, "main": module{Path: build.Main.Path, Version: build.Main.Version},
				"dependencies": deps, "settings": settings,
			}, false)
		},
	}
	return c.reads(cmd)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
