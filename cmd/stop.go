// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
)

func (c *cli) stopCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stops the running node and waits until it has ended",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.stop(cmd.Context()) },
	}
	return c.asks(cmd)
}

// stopPoll is how often a stopping node is asked whether it is there still.
const stopPoll = 20 * time.Millisecond

func (c *cli) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	client, err := c.client()
	if err != nil {
		return err
	}
	defer c.progress("waiting for the node to end")()
	answer, err := client.try(ctx, http.MethodPost, "/stop", nil, nil)
	switch {
	case err == nil:
		if err := answer.Body.Close(); err != nil {
			return err
		}
	case !errors.Is(err, io.EOF): // that would be its end
		return err
	}
	client.http.CloseIdleConnections()
	ticks := time.NewTicker(stopPoll)
	defer ticks.Stop()
	for client.answers(ctx) {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return fmt.Errorf("the node at %s was told to stop, but runs still after %v", place(client.address), c.timeout)
		}
	}
	return nil
}

func (c *cli) reloadCommand() *cobra.Command {
	var path string
	var force bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Gives the running node another configuration",
		Long: `reload gives the running node another configuration. Connections and modules
whose configuration does not change stay as they are. If anything is wrong with
it, the node goes on as before, and every mistake is named with its place.
Without -c the node reads the file it was started with again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.reload(cmd.Context(), path, force) },
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration file, or - for standard input")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "load it even if nothing has changed")
	return c.asks(cmd)
}

func (c *cli) reload(ctx context.Context, path string, force bool) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var from source
	var header []string
	if path != "" {
		var err error
		if from, err = c.read(path); err != nil {
			return err
		}
		if len(from.text) == 0 {
			return fmt.Errorf("%s: the document is empty", from.name)
		}
		header = append(header, admin.SourceHeader, from.file)
		if listen := adminOf(from.text).Admin.Listen; c.admin == "" && listen != "" {
			c.admin = listen
		}
	}
	if force {
		header = append(header, "Cache-Control", "must-revalidate")
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	defer c.progress("waiting for the node to load the configuration")()
	answer, err := client.do(ctx, http.MethodPost, "/xnode/load", from.text, header...)
	var several mistakes
	if errors.As(err, &several) && several.file == "" {
		several.file = from.name
		return several
	}
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
