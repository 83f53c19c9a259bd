// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"github.com/spf13/cobra"
)

func (c *cli) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [ID]",
		Short: "The JSON Schema of configurations for this binary, for editors",
		Long: `schema prints the JSON Schema (draft 2020-12) of configurations for exactly this
binary, or of one module's part of it. An editor completes and checks a
configuration with it that names it:

  xnode schema > xnode.schema.json

  { "$schema": "./xnode.schema.json", "apps": { "xnode": {} } }

What only the modules can judge, such as whether an address is one, is left to
'xnode validate'.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := c.reference()
			if err != nil {
				return err
			}
			id := ""
			if len(args) > 0 {
				if id, err = moduleID(args[0], r.Modules()); err != nil {
					return err
				}
			}
			s, err := r.Schema(id)
			if err != nil {
				return err
			}
			return c.printJSON(s, false)
		},
	}
}
