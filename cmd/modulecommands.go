// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
	"github.com/xnode-p2p/xnode/core"
)

// moduleCommands are those that the modules in this binary have. A name that is
// taken by a command of xnode's own stays that command's.
func (c *cli) moduleCommands(root *cobra.Command) {
	groups := make(map[string]*cobra.Command)
	for _, id := range caddy.Modules() {
		info, err := caddy.GetModule(id)
		if err != nil || info.New == nil || core.StabilityOf(id) == "" {
			continue
		}
		commander, ok := info.New().(core.Commander)
		if !ok {
			continue
		}
		for _, command := range commander.Commands() {
			first, second, ok := strings.Cut(command.Name, " ")
			if !ok || strings.Contains(second, " ") {
				fmt.Fprintf(c.err, "warning: the module %s has a command %q, which is not two words\n", id, command.Name)
				continue
			}
			if groups[first] == nil {
				if found, _, err := root.Find([]string{first}); err == nil && found != root {
					fmt.Fprintf(c.err, "warning: the command %q of the module %s is one of xnode's own; it cannot be called\n", first, id)
					continue
				}
				groups[first] = &cobra.Command{Use: first, GroupID: "ask", Short: "Commands of the module " + id}
				root.AddCommand(groups[first])
			}
			groups[first].AddCommand(c.moduleCommand(second, command))
		}
	}
}

// moduleCommand asks the running node to do what a command says.
func (c *cli) moduleCommand(name string, command core.Command) *cobra.Command {
	long := command.Long
	if long == "" {
		long = command.Short
	}
	return c.reads(c.asks(&cobra.Command{
		Use:   strings.TrimSpace(name + " " + command.Usage),
		Short: command.Short,
		Long:  long,
		RunE: func(cmd *cobra.Command, args []string) error {
			request := admin.CommandRequest{Command: command.Name, Args: args, Timeout: c.request("").Timeout}
			var answer admin.CommandResult
			if err := c.send(cmd.Context(), command.Name, "/xnode/command", request, &answer); err != nil {
				return err
			}
			if answer.Text != nil && !c.json {
				if text := strings.TrimSuffix(*answer.Text, "\n"); text != "" {
					fmt.Fprintln(c.out, escapeLines(text))
				}
				return nil
			}
			if answer.Result == nil {
				return nil
			}
			return c.printJSON(answer.Result, false)
		},
	}))
}
