// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package xnodecmd is the command line of an xnode binary: what runs a node,
// and what talks to one. A binary's main calls [Main].
package xnodecmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/core/wire"
)

// defaultTimeout bounds commands that talk to a node or a peer.
const defaultTimeout = time.Minute

// Main runs the command that the arguments name and exits: with 0 if it went
// well, 1 if it or a node's start failed, 2 if a node was forced to quit, 3 if
// it failed to quit cleanly. In docs is what 'xnode docs' has to say about modules
// and their keys, such as [Docs]; without it, it shows what keys there are.
func Main(docs ...[]byte) {
	c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr, docs: docs}
	if err := c.root().Execute(); err != nil {
		c.complain(err)
		os.Exit(caddy.ExitCodeFailedStartup)
	}
	os.Exit(caddy.ExitCodeSuccess)
}

// errShown is the error of a command whose output has said already that it
// failed.
var errShown = errors.New("failed")

// cli is one call of the program.
type cli struct {
	in       io.Reader
	out, err io.Writer
	docs     [][]byte

	json    bool
	admin   string
	timeout time.Duration
}

// root returns the command of which all others are part.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "xnode",
		Short:         "Runs libp2p nodes from JSON configurations",
		Long:          "xnode runs libp2p nodes from JSON configurations.\n\n'xnode run' starts one with default settings, 'xnode run -c FILE' one of your own.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.AddGroup(
		&cobra.Group{ID: "node", Title: "Run a node:"},
		&cobra.Group{ID: "ask", Title: "Ask a node:"},
		&cobra.Group{ID: "make", Title: "Make one of your own:"},
		&cobra.Group{ID: "about", Title: "About this program:"},
	)
	group := func(id string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = id
			root.AddCommand(cmd)
		}
	}
	group("node", c.runCommand(), c.startCommand(), c.stopCommand(), c.reloadCommand(), c.validateCommand(),
		c.initCommand(), c.configCommand(), c.fmtCommand(), c.adaptCommand(), c.keyCommand())
	group("ask", c.idCommand(), c.peersCommand(), c.connectCommand(), c.disconnectCommand(), c.addrsCommand(),
		c.pingCommand(), c.traceCommand(), c.doctorCommand(), c.limitsCommand(), c.relayCommand(), c.routingCommand(), c.pubsubCommand(), c.statsCommand(), c.crawlCommand(), c.swarmCommand())
	group("make", c.newCommand(), c.buildCommand(), c.devCommand(), c.conformCommand())
	group("about", c.modulesCommand(), c.docsCommand(), c.schemaCommand(), c.versionCommand(), c.buildInfoCommand(), c.environCommand(), c.manpageCommand())
	root.SetCompletionCommandGroupID("about")
	root.SetHelpCommandGroupID("about")
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	c.moduleCommands(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; '%s --help' lists the flags", err, cmd.CommandPath())
	})
	explain(root)
	return root
}

// swarmCommand gives the names that kubo has for some commands.
func (c *cli) swarmCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "swarm", Short: "The names kubo has for peers, connect, disconnect and addrs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.peersCommand(), c.connectCommand(), c.disconnectCommand(), c.addrsCommand())
	return cmd
}

// asks gives a command the flags of those that talk to a node or a peer.
func (c *cli) asks(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&c.admin, "admin", "", "admin endpoint of the running node, such as unix//run/xnode.sock or 127.0.0.1:2019 (default $XNODE_ADMIN, or admin.sock in the data folder)")
	cmd.Flags().DurationVar(&c.timeout, "timeout", defaultTimeout, "the most that the command may take")
	return cmd
}

// reads gives a command the flag of those that show something.
func (c *cli) reads(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON, with the same field names in every version")
	return cmd
}

// complain prints an error; mistakes have a line each.
func (c *cli) complain(err error) {
	if errors.Is(err, errShown) {
		return
	}
	if several, ok := err.(mistakes); ok {
		for _, line := range several.lines() {
			fmt.Fprintln(c.err, line)
		}
		return
	}
	fmt.Fprintln(c.err, "error:", escapeLines(err.Error()))
}

// escapeLines makes text fit for a terminal, and keeps its lines.
func escapeLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = wire.Text(line, 4096)
	}
	return strings.Join(lines, "\n")
}
