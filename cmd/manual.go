// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/xnode-p2p/xnode/cmd/internal/reference"
)

func (c *cli) manpageCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "manpage -o FOLDER",
		Short: "Writes a manual page for every command",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return errors.New("say where to with -o FOLDER")
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			cmd.Root().InitDefaultCompletionCmd()
			return writePages(cmd.Root(), dir)
		},
	}
	cmd.Flags().StringVarP(&dir, "output", "o", "", "the folder, made if there is none")
	return cmd
}

// writePages writes the page of a command and those of the commands below it.
func writePages(cmd *cobra.Command, dir string) error {
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".8"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(page(cmd)), 0o644); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			if err := writePages(sub, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// page is a command's manual page in roff, with the macros of man(7).
func page(cmd *cobra.Command) string {
	var b strings.Builder
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH %s 8 \"\" %s\n", reference.Roff(strings.ToUpper(name)), reference.Roff("xnode "+version()))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", reference.Roff(name), reference.Roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.nf\n%s\n.fi\n", reference.Roff(cmd.UseLine()))
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n.nf\n%s\n.fi\n", reference.Roff(text))
	if cmd.HasAvailableLocalFlags() {
		b.WriteString(".SH OPTIONS\n")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden {
				return
			}
			flag := "--" + f.Name
			if f.Shorthand != "" {
				flag = "-" + f.Shorthand + ", " + flag
			}
			usage := f.Usage
			if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
				usage += " (default " + f.DefValue + ")"
			}
			fmt.Fprintf(&b, ".TP\n%s\n%s\n", reference.Roff(flag), reference.Roff(usage))
		})
	}
	var also []string
	if cmd.HasParent() {
		also = append(also, cmd.Parent().CommandPath())
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			also = append(also, sub.CommandPath())
		}
	}
	if len(also) > 0 {
		b.WriteString(".SH SEE ALSO\n")
		for i, path := range also {
			also[i] = reference.Roff(strings.ReplaceAll(path, " ", "-")) + "(8)"
		}
		b.WriteString(strings.Join(also, ",\n") + "\n")
	}
	return b.String()
}
