// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core/wire"
)

// maxShown is how much of a message is shown, in bytes.
const maxShown = 64 << 10

// pubsubCommand has the commands for messages on topics.
func (c *cli) pubsubCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "pubsub", Short: "Publishes and reads messages on topics"}
	cmd.AddCommand(c.topicsCommand(), c.topicPeersCommand(), c.publishCommand(), c.subscribeCommand(), c.scoresCommand(), c.topicTraceCommand())
	return cmd
}

func (c *cli) topicsCommand() *cobra.Command {
	return c.reads(c.asks(&cobra.Command{
		Use:   "ls",
		Short: "Lists the topics that the running node is subscribed to",
		Long:  "ls lists the topics that the running node is subscribed to.\n\nJSON: [TOPIC, …]",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []string
			if err := c.fetch(cmd.Context(), "asking the node", "/xnode/pubsub/topics", &list); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(list, false)
			}
			for _, topic := range list {
				fmt.Fprintln(c.out, wire.Text(topic, 256))
			}
			return nil
		},
	}))
}

// topicPeers asks for the peers of a topic, or of all.
func (c *cli) topicPeers(ctx context.Context, args []string) (list []node.TopicPeer, err error) {
	path := "/xnode/pubsub/peers"
	if len(args) > 0 {
		path += "?topic=" + url.QueryEscape(args[0])
	}
	return list, c.fetch(ctx, "asking the node", path, &list)
}

func (c *cli) topicPeersCommand() *cobra.Command {
	var mesh bool
	cmd := &cobra.Command{
		Use:   "peers [TOPIC]",
		Short: "Lists the peers that pub/sub runs with",
		Long: `peers lists the peers that pub/sub runs with, or those of them that want the
messages of TOPIC.

JSON: [{"peer", "protocol", "topics", "mesh", "score"}]`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := c.topicPeers(cmd.Context(), args)
			if err != nil {
				return err
			}
			if mesh {
				list = slices.DeleteFunc(list, func(p node.TopicPeer) bool {
					return len(p.Mesh) == 0 || len(args) > 0 && !slices.Contains(p.Mesh, args[0])
				})
			}
			if c.json {
				return c.printJSON(list, false)
			}
			for _, p := range list {
				fmt.Fprintln(c.out, p.Peer)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&mesh, "mesh", false, "only those in the mesh of TOPIC, or of any topic")
	return c.reads(c.asks(cmd))
}

func (c *cli) scoresCommand() *cobra.Command {
	return c.reads(c.asks(&cobra.Command{
		Use:   "scores",
		Short: "Shows what the peers of pub/sub are judged at",
		Long:  "scores shows what the peers of pub/sub are judged at.\n\nJSON: as that of peers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.topicPeers(cmd.Context(), nil)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(list, false)
			}
			return c.table(func(row func(string, ...any)) {
				for _, p := range list {
					row("%s\t%.2f\t%s", p.Peer, p.Score, strings.Join(p.Mesh, " "))
				}
			})
		},
	}))
}

func (c *cli) publishCommand() *cobra.Command {
	return c.reads(c.asks(&cobra.Command{
		Use:   "pub TOPIC [DATA]",
		Short: "Has the running node publish a message",
		Long: `pub has the running node publish a message, and says to how many peers it went.
Without DATA the message is read from standard input.

JSON: {"peers"}`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := admin.Publication{Topic: args[0]}
			if len(args) == 2 {
				p.Data = []byte(args[1])
			} else {
				var err error
				if p.Data, err = io.ReadAll(io.LimitReader(c.in, maxAnswer)); err != nil {
					return err
				}
			}
			var answer admin.Published
			if err := c.send(cmd.Context(), "publishing", "/xnode/pubsub/publish", p, &answer); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(answer, true)
			}
			fmt.Fprintf(c.out, "published to %d peers\n", answer.Peers)
			return nil
		},
	}))
}

func (c *cli) subscribeCommand() *cobra.Command {
	var count int
	cmd := &cobra.Command{
		Use:   "sub TOPIC…",
		Short: "Prints the messages of topics as the running node gets them",
		Long: `sub prints the messages of topics as the running node gets them, one in each
line, until it is interrupted. What is not text is escaped; --json has it as it
is.

JSON: {"topic", "data" (base64), "id" (hex), "seqno" (hex), "from",
"received_from"} in each line`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.follow(cmd.Context(), "/xnode/pubsub/subscribe", admin.Listening{Topics: args, Count: count}, func(text []byte) error {
				var m node.TopicMessage
				if err := json.Unmarshal(text, &m); err != nil {
					return err
				}
				if c.json {
					return c.printJSON(m, true)
				}
				_, err := fmt.Fprintln(c.out, wire.Text(string(m.Data), maxShown))
				return err
			})
		},
	}
	cmd.Flags().IntVarP(&count, "count", "n", 0, "end after as many messages; 0 means never")
	return c.reads(c.follows(cmd))
}

func (c *cli) topicTraceCommand() *cobra.Command {
	var protobuf bool
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Prints what happens in pub/sub",
		Long: `trace prints what happens in pub/sub, until it is interrupted.

With --protobuf it writes go-libp2p-pubsub's traces: protobuf messages TraceEvent,
each behind its length, as "trace_file" in the configuration does.

JSON: {"time", "kind", "peer", "topic", "ids" (hex), "reason", "missed"} in each
line`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if protobuf {
				return c.within(cmd.Context(), func(ctx context.Context, client *client) error {
					return client.copy(ctx, "/xnode/pubsub/record", c.out)
				})
			}
			return c.follow(cmd.Context(), "/xnode/pubsub/trace", struct{}{}, func(text []byte) error {
				var e node.TopicEvent
				if err := json.Unmarshal(text, &e); err != nil {
					return err
				}
				if c.json {
					return c.printJSON(e, true)
				}
				_, err := fmt.Fprintln(c.out, strings.TrimRight(fmt.Sprintf("%s %-14s %s %s %s %s",
					e.Time.Format("15:04:05.000"), e.Kind, e.Peer, e.Topic, strings.Join(e.IDs, " "), e.Reason), " "))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&protobuf, "protobuf", false, "in the format of go-libp2p-pubsub's traces")
	return c.reads(c.follows(cmd))
}

// follows gives a command the flags of those that go on until they are
// interrupted.
func (c *cli) follows(cmd *cobra.Command) *cobra.Command {
	c.asks(cmd)
	cmd.Flags().Lookup("timeout").Usage = "the most that the command may take (default no bound)"
	cmd.Flags().Lookup("timeout").DefValue = ""
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("timeout") {
			c.timeout = 0
		}
		return run(cmd, args)
	}
	return cmd
}

// follow calls each with the lines that the running node answers, for as long as
// the command may take.
func (c *cli) follow(ctx context.Context, path string, value any, each func([]byte) error) error {
	return c.within(ctx, func(ctx context.Context, client *client) error { return client.lines(ctx, path, value, each) })
}

// within calls do with the client for the running node, for as long as the command
// may take.
func (c *cli) within(ctx context.Context, do func(context.Context, *client) error) error {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	return do(ctx, client)
}
