// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/configs"
	"github.com/xnode-p2p/xnode/core/host"
)

// profiles are what init can write, by their names: a file of package configs
// and what a node with it is.
var profiles = map[string]struct{ file, is string }{
	"server":     {"server.json", "a member of the public DHT with a public address"},
	"relay":      {"relay.json", "lets peers behind routers be reached through it"},
	"bootstrap":  {"bootstrap-node.json", "where new members of a network begin"},
	"rendezvous": {"rendezvous-point.json", "tells peers of the same namespace of each other"},
	"dht":        {"dht.json", "a member of the public DHT that provides content"},
	"lan":        {"lan.json", "finds peers on the local network"},
	"lowpower":   {"lowpower.json", "few connections, little memory, nobody served"},
	"browser":    {"browser.json", "can be reached from web pages"},
	"private":    {"private-network.json", "in a network of those who have the same swarm.key"},
	"test":       {"test.json", "a new identity each time, on loopback addresses, keeps nothing"},
}

func (c *cli) initCommand() *cobra.Command {
	var profile, out string
	var list strings.Builder
	for _, name := range sortedKeys(profiles) {
		fmt.Fprintf(&list, "\n  %-12s %s", name, profiles[name].is)
	}
	cmd := &cobra.Command{
		Use:   "init --profile NAME",
		Short: "Writes a configuration to begin with",
		Long: `init writes a configuration for a purpose, to be run as it is or edited:
` + list.String() + `

A file that exists is not written over.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, ok := profiles[profile]
			if !ok {
				return fmt.Errorf("there is no profile %q; name one of %s with --profile", profile, strings.Join(sortedKeys(profiles), ", "))
			}
			text, err := configs.Files.ReadFile(p.file)
			if err != nil {
				return err
			}
			if err := host.CheckDocument(text); err != nil {
				return fmt.Errorf("the profile %s wants modules that are not in this binary: %w", profile, err)
			}
			if out == "" {
				_, err := c.out.Write(text)
				return err
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s exists; remove it, or choose another name", out)
			}
			if err != nil {
				return err
			}
			_, err = f.Write(text)
			return errors.Join(err, f.Close())
		},
	}
	cmd.Flags().StringVar(&profile, "profile", "", "what the node is for")
	cmd.Flags().StringVarP(&out, "output", "o", "", "the file (default: standard output)")
	return cmd
}
