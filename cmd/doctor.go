// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/node"
)

func (c *cli) doctorCommand() *cobra.Command {
	return c.reads(c.asks(&cobra.Command{
		Use:   "doctor",
		Short: "Checks the network of the machine and of the running node, and says what to do",
		Long: `doctor checks what keeps peers from reaching the running node and the node from
working well: the sort of NAT, routers behind routers, whether the router gives
ports away, UDP, IPv6, relays, the clock, and the limits of the system. Each check
has its evidence and, if something is wrong, a remedy. Nobody outside is asked but
the peers that the node is connected to; what cannot be known is "unchecked".
Without a running node, only the machine is looked at.

It exits with 1 if something is wrong that has to be changed (an error).

JSON: {"checks": [{"id", "status", "evidence", "remedy"}]}; status is ok, warning,
error or unchecked.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.doctor(cmd.Context()) },
	}))
}

func (c *cli) doctor(ctx context.Context) error {
	var d node.Diagnosis
	if err := c.fetch(ctx, "asking the node", "/xnode/doctor", &d); err != nil {
		d = node.Diagnose(node.MachineFacts())
	}
	if c.json {
		if err := c.printJSON(d, false); err != nil {
			return err
		}
	}
	failed := false
	for _, check := range d.Checks {
		failed = failed || check.Status == "error"
		if c.json {
			continue
		}
		fmt.Fprintf(c.out, "%-9s  %-11s  %s\n", check.Status, check.ID, check.Evidence)
		if check.Remedy != "" {
			fmt.Fprintf(c.out, "%24s%s\n", "", check.Remedy)
		}
	}
	if failed {
		return errors.New("something has to be changed; see the errors above")
	}
	return nil
}
