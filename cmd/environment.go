// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
	"github.com/xnode-p2p/xnode/core/wire"
)

// loadEnvFile sets the variables of a file that are not set yet. A line is
// NAME=VALUE, where the value may stand in quotes; # begins a comment.
func loadEnvFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t\"'") {
			return fmt.Errorf("%s:%d: want NAME=VALUE", path, n)
		}
		if _, set := os.LookupEnv(name); set {
			continue
		}
		if err := os.Setenv(name, unquote(strings.TrimSpace(value))); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	return s.Err()
}

func unquote(value string) string {
	for _, quote := range []string{`"`, `'`} {
		if len(value) >= 2 && strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) {
			return value[1 : len(value)-1]
		}
	}
	return value
}

// environment is what environ prints.
type environment struct {
	Version   string            `json:"version"`
	OS        string            `json:"os"`
	Arch      string            `json:"arch"`
	CPUs      int               `json:"cpus"`
	Data      string            `json:"data"`
	Saved     string            `json:"saved_configuration"`
	Admin     string            `json:"admin"`
	Variables map[string]string `json:"variables"`
}

func (c *cli) environCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "environ",
		Short: "Prints the folders in use and the environment variables",
		Long: `environ prints where xnode keeps its files, and the environment variables.
Values of variables that seem to be secret are not shown.

These variables change what xnode does:

  XNODE_DATA   the data folder; without it, xnode in $XDG_DATA_HOME or ~/.local/share
  XNODE_ADMIN  the admin endpoint; without it, admin.sock in the data folder

JSON: {"version", "os", "arch", "cpus", "data", "saved_configuration", "admin",
"variables": {NAME: VALUE}}`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := dataDir()
			if err != nil {
				return err
			}
			address, err := c.adminAddress()
			if err != nil {
				address = err.Error()
			}
			e := environment{
				Version: version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
				Data: dir, Saved: admin.SavedPath(dir), Admin: address, Variables: variables(),
			}
			if c.json {
				return c.printJSON(e, false)
			}
			fmt.Fprintf(c.out, "version=%s\nos=%s\narch=%s\ncpus=%d\ndata=%s\nsaved_configuration=%s\nadmin=%s\n\n",
				e.Version, e.OS, e.Arch, e.CPUs, e.Data, e.Saved, e.Admin)
			for _, name := range sortedKeys(e.Variables) {
				fmt.Fprintf(c.out, "%s=%s\n", name, e.Variables[name])
			}
			return nil
		},
	}
	return c.reads(cmd)
}

// secret are parts of the names of variables whose values are not shown.
var secret = []string{"KEY", "SECRET", "TOKEN", "PASS", "CREDENTIAL", "AUTH"}

// variables are those of the environment.
func variables() map[string]string {
	vars := make(map[string]string)
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if slices.ContainsFunc(secret, func(s string) bool { return strings.Contains(strings.ToUpper(name), s) }) {
			value = "(not shown)"
		}
		vars[name] = wire.Text(value, 4096)
	}
	return vars
}
