// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/builder"
	"github.com/xnode-p2p/xnode/core"
)

func (c *cli) conformCommand() *cobra.Command {
	var withs []string
	var options, xnode string
	cmd := &cobra.Command{
		Use:   "conform [ID…]",
		Short: "Tests that modules do what every module of their kind must do",
		Long: `conform runs the contract suites of package core/coretest for the modules of this
binary, or those with the given IDs: that a transport carries, a security
authenticates, a service leaves nothing behind, and a hundred things more. With
--with it tests a module that is not in it. It needs Go.

A module that needs more than {} to run says so in a file:

  {"xnode.transport.mine": {"config": {"key": "x"}, "listen": "/ip4/127.0.0.1/tcp/0"}}

The comments of coretest.ConformOptions tell what else there is.`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			text := []byte("{}")
			if options != "" {
				var err error
				if text, err = os.ReadFile(options); err != nil {
					return err
				}
			}
			src, err := buildSource(xnode)
			if err != nil {
				return err
			}
			own, others := conformPackages()
			m := &builder.Manifest{Preset: "none", With: slices.Concat(own, others)}
			if len(withs) > 0 {
				// They may want modules of the standard distribution.
				m = &builder.Manifest{Preset: "standard", With: withs}
				if len(ids) == 0 {
					return errors.New("name the IDs of the modules to test of those packages")
				}
			}
			err = builder.Conform(cmd.Context(), m, src, text, ids, c.out)
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return errors.New("not all modules do; see above")
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&withs, "with", nil, "a package to test a module of, beside the standard distribution: PACKAGE[@VERSION][=PATH]")
	cmd.Flags().StringVarP(&options, "file", "f", "", "a file that says what the suites have to be told")
	cmd.Flags().StringVar(&xnode, "xnode", "", "the folder of a checkout of xnode (default: this version, or the checkout this binary is from)")
	return cmd
}

// conformPackages are the packages of this binary that have modules: xnode's own,
// and others as the builder wants them.
func conformPackages() (own, others []string) {
	build, _ := debug.ReadBuildInfo()
	for _, m := range listModules() {
		if core.StabilityOf(m.ID) == "" || slices.Contains(own, m.Package) {
			continue
		}
		path, version := owner(build, m.Package)
		if path == ownModule || path == "" {
			own = append(own, m.Package)
			continue
		}
		with := m.Package
		for _, d := range build.Deps {
			if d.Path == path && d.Replace != nil && d.Replace.Version == "" {
				with, version = fmt.Sprintf("%s=%s", m.Package, d.Replace.Path), ""
			}
		}
		if version != "" && !strings.HasPrefix(version, "(") {
			with += "@" + version
		}
		others = append(others, with)
	}
	return own, others
}
