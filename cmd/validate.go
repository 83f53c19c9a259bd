// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/core/host"
)

// validation is what validate prints as JSON.
type validation struct {
	File     string          `json:"file"`
	Valid    bool            `json:"valid"`
	Mistakes []*host.Mistake `json:"mistakes"`
}

func (c *cli) validateCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Checks a configuration and names every mistake; starts nothing",
		Long: `validate checks a configuration and prepares its modules as 'xnode run' does,
but starts nothing and opens no socket. It prints one mistake in each line:

  FILE:LINE:COLUMN: POINTER: PROBLEM; REMEDY

The exit code is 0 if there is none.

JSON: {"file", "valid", "mistakes": [{"pointer", "line", "column", "problem",
"remedy"}]}`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				if path != "" {
					return errors.New("name the file once, as an argument or with -c")
				}
				path = args[0]
			}
			return c.validate(path)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration file, or - for standard input (default: the built-in configuration)")
	return c.reads(cmd)
}

func (c *cli) validate(path string) error {
	from, err := c.read(path)
	if err != nil {
		return err
	}
	err = host.ValidateDocument(from.text)
	if c.json {
		v := validation{File: from.name, Valid: err == nil, Mistakes: host.Mistakes(err)}
		if v.Mistakes == nil {
			v.Mistakes = []*host.Mistake{}
		}
		if err := c.printJSON(v, false); err != nil {
			return err
		}
		if !v.Valid {
			return errShown
		}
		return nil
	}
	if err != nil {
		return mistaken(from.name, err)
	}
	fmt.Fprintf(c.out, "%s: valid\n", from.name)
	return nil
}
