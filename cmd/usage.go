// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// typo is how many letters may differ in a name that is suggested for another.
const typo = 2

// explain has a command and those below it say what to write instead of
// arguments that are wrong.
func explain(cmd *cobra.Command) {
	check := cmd.Args
	switch {
	case cmd.Name() == "help":
		cmd.RunE, cmd.Run = help, nil
	case cmd.HasSubCommands():
		if !cmd.Runnable() {
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
		cmd.Args = noCommand
		cmd.SuggestionsMinimumDistance = typo
	case check != nil:
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fmt.Errorf("%d arguments for %q; usage: %s", len(args), cmd.CommandPath(), cmd.UseLine())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		explain(sub)
	}
}

// noCommand refuses the name of a command that there is not.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	advice := fmt.Sprintf("'%s --help' lists the commands", cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		advice = fmt.Sprintf("did you mean %s?", strings.Join(near, " or "))
	}
	return fmt.Errorf("unknown command %q for %q; %s", args[0], cmd.CommandPath(), advice)
}

// help prints the help of the command that args name.
func help(cmd *cobra.Command, args []string) error {
	about, rest, err := cmd.Root().Find(args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return noCommand(about, rest)
	}
	return about.Help()
}
