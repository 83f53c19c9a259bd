// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/scaffold"
)

func (c *cli) newCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "new", Short: "Begins a module of your own", Args: cobra.NoArgs}
	cmd.AddCommand(c.newModuleCommand())
	return cmd
}

func (c *cli) newModuleCommand() *cobra.Command {
	var path, dir, xnode string
	cmd := &cobra.Command{
		Use:   "module KIND NAME",
		Short: "Writes the repository of a module that works, to be edited",
		Long: `module writes the repository of a module that builds and passes its tests: its
source, tests with the contract of its kind, an example, README and CI.

The kinds are ` + strings.Join(scaffold.Kinds(), ", ") + `.

  xnode new module transport demo
  cd demo
  go test ./...
  xnode dev -- validate -c example.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				dir = args[1]
			}
			src, err := buildSource(xnode)
			if err != nil {
				return err
			}
			if err := scaffold.Write(dir, args[0], args[1], path, scaffold.Xnode{Version: src.Version, Dir: src.Dir}); err != nil {
				return err
			}
			if err := requirements(cmd.Context(), dir, src.Dir); err != nil {
				return fmt.Errorf("%s is written, but not what it needs of other Go modules; run go mod tidy there: %w", dir, err)
			}
			fmt.Fprintf(c.out, "%s: a module xnode.*.%s; its README.md says how to go on\n", dir, args[1])
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "module", "", "the path of its Go module (default example.org/NAME)")
	cmd.Flags().StringVarP(&dir, "output", "o", "", "the folder (default NAME)")
	cmd.Flags().StringVar(&xnode, "xnode", "", "the folder of a checkout of xnode to develop with (default: this version, or the checkout this binary is from)")
	return cmd
}

// requirements completes the go.mod in a folder, with the versions that xnode has.
func requirements(ctx context.Context, dir, xnode string) error {
	if xnode != "" {
		sums, err := os.ReadFile(filepath.Join(xnode, "go.sum"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-mod=mod", "-deps", "-test", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, strings.TrimSpace(complaints.String()))
	}
	return nil
}
