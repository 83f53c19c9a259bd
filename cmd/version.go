// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func (c *cli) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Prints the version",
		Long:  "version prints the version.\n\nJSON: {\"version\", \"revision\", \"go\"}",
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
		Long: `build-info prints the Go modules in this binary and how it was built.

JSON: {"go", "path", "main": {"path", "version"}, "dependencies": [{"path",
"version", "sum", "replace"}], "settings": {NAME: VALUE}}`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			build, ok := debug.ReadBuildInfo()
			if !ok {
				return errors.New("this binary has no build information")
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
