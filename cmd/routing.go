// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/record"
)

// maxProviders is how many providers are looked for, as kubo does.
const maxProviders = 20

func (c *cli) routingCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "routing", Aliases: []string{"dht"}, Args: cobra.NoArgs,
		Short: "Finds peers, content and records through the running node",
		Long: `routing finds peers, content and records through the running node, or with --via
ADDRESS through any other server of the DHT: then no running node is needed.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.findPeerCommand(), c.queryCommand(), c.findProvidersCommand(), c.provideCommand(), c.getCommand(), c.putCommand())
	return cmd
}

// lookup is a request of one of the commands of routing.
type lookup struct {
	*cli
	name    string
	request admin.RoutingRequest
	through through
}

// routes makes a command of one argument that looks something up.
func (c *cli) routes(name string, cmd *cobra.Command, run func(context.Context, *lookup, []string) error) *cobra.Command {
	var trace bool
	var t through
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l := &lookup{cli: c, name: name, request: admin.RoutingRequest{Key: args[0], Trace: trace}, through: t}
		return run(cmd.Context(), l, args)
	}
	cmd.Flags().BoolVarP(&trace, "verbose", "v", false, "tell every step of the look-up, on standard error")
	c.asks(cmd)
	if name != "provide" { // nobody would be there for those who are told
		t.flags(cmd)
	}
	return cmd
}

// run sends the request and calls each with what is found.
func (l *lookup) run(ctx context.Context, what string, each func(node.Found) error) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	done := l.progress(what)
	defer done()
	tell := func(f node.Found) error {
		done()
		switch {
		case l.json:
			return l.printJSON(f, true)
		case f.Step != nil:
			_, err := fmt.Fprintln(l.err, stepText(*f.Step))
			return err
		}
		return each(f)
	}
	if len(l.through.peers) > 0 {
		return l.runAlone(ctx, tell)
	}
	client, err := l.client()
	if err != nil {
		return err
	}
	l.request.Timeout = core.Duration(l.timeout * 9 / 10)
	return client.lines(ctx, "/xnode/routing/"+l.name, l.request, func(text []byte) error {
		var f node.Found
		if err := json.Unmarshal(text, &f); err != nil {
			return err
		}
		return tell(f)
	})
}

// stepText is a line about a step of a look-up.
func stepText(s node.LookupStep) string {
	head := fmt.Sprintf("%8s  %-13s %s  near %d", short(s.At), s.Request, s.Peer, s.Near)
	switch {
	case !s.Done:
		return head + "  asked"
	case s.Error != "":
		return fmt.Sprintf("%s  failed after %s: %s", head, short(s.Took), s.Error)
	}
	text := fmt.Sprintf("%s  answered after %s: %d peers, %d new", head, short(s.Took), s.Heard, s.New)
	if s.Results > 0 {
		text += fmt.Sprintf(", %d found", s.Results)
	}
	return text
}

const stepFields = `with -v also {"step": {"protocol", "peer", "request", "near", "at_ns", "done",
"took_ns", "heard", "new", "results", "error"}}`

func (c *cli) findPeerCommand() *cobra.Command {
	return c.reads(c.routes("findpeer", &cobra.Command{
		Use:   "findpeer PEER",
		Short: "Finds the addresses of a peer",
		Long: `findpeer finds where a peer is, and prints its addresses, sorted and ready to be
dialled.

PEER is a peer ID, in base58 or as a CID.

JSON: {"peer", "addrs"} in a line; ` + stepFields,
		Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, l *lookup, args []string) error {
		return l.run(ctx, "looking for "+args[0], func(f node.Found) error {
			for _, a := range f.Addrs {
				fmt.Fprintln(l.out, a+"/p2p/"+f.Peer)
			}
			return nil
		})
	}))
}

func (c *cli) queryCommand() *cobra.Command {
	return c.reads(c.routes("query", &cobra.Command{
		Use:   "query PEER|CID",
		Short: "Finds the peers closest to a key",
		Long: `query finds the peers that are closest to a peer ID or a CID, and prints their
IDs, the closest first.

JSON: {"peer", "addrs"} in each line; ` + stepFields,
		Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, l *lookup, args []string) error {
		return l.run(ctx, "looking for the closest to "+args[0], l.printPeer)
	}))
}

// printPeer prints a peer, and with a trace where it is.
func (l *lookup) printPeer(f node.Found) error {
	fmt.Fprintln(l.out, f.Peer)
	if l.request.Trace {
		for _, a := range f.Addrs {
			fmt.Fprintf(l.out, "  %s\n", a)
		}
	}
	return nil
}

func (c *cli) findProvidersCommand() *cobra.Command {
	var count int
	cmd := c.routes("findprovs", &cobra.Command{
		Use:   "findprovs CID",
		Short: "Finds who has content",
		Long: `findprovs finds the peers that have the content of a CID, and prints their IDs as
they are found; with -v also where they are.

CID is one of any version, in any base, with or without /ipfs/ before it.

JSON: {"peer", "addrs"} in each line; ` + stepFields,
		Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, l *lookup, args []string) error {
		if count < 0 {
			return errors.New("-n must be at least 0")
		}
		l.request.Count = count
		return l.run(ctx, "looking for providers of "+args[0], l.printPeer)
	})
	cmd.Flags().IntVarP(&count, "num-providers", "n", maxProviders, "how many to find; 0 for all")
	return c.reads(cmd)
}

func (c *cli) provideCommand() *cobra.Command {
	var keep, stop bool
	cmd := c.routes("provide", &cobra.Command{
		Use:   "provide CID…",
		Short: "Tells others that the running node has content",
		Long: `provide tells others that the running node has the content of a CID. They forget
it after a day or two; with --keep they are told again until --stop.`,
		Args: cobra.MinimumNArgs(1),
	}, func(ctx context.Context, l *lookup, args []string) error {
		l.request.Keep, l.request.Stop = keep, stop
		var errs []error
		for _, text := range args {
			l.request.Key = text
			if err := l.run(ctx, "providing "+text, func(node.Found) error { return nil }); err != nil {
				errs = append(errs, fmt.Errorf("provide %s failure: %w", text, err))
				if gone := (*noNodeError)(nil); errors.As(err, &gone) {
					return err
				}
				continue
			}
			fmt.Fprintf(c.out, "provide %s success\n", escapeLines(text))
		}
		return errors.Join(errs...)
	})
	cmd.Flags().BoolVar(&keep, "keep", false, "go on telling, also when the node has been started again")
	cmd.Flags().BoolVar(&stop, "stop", false, "no longer go on telling")
	cmd.MarkFlagsMutuallyExclusive("keep", "stop")
	return cmd
}

func (c *cli) getCommand() *cobra.Command {
	var file string
	cmd := c.routes("get", &cobra.Command{
		Use:   "get KEY",
		Short: "Finds the best record of a key",
		Long: `get finds the best record that there is under a key, and prints it: as it is if it
is text, else in base64. With -o it writes what it is, byte by byte.

KEY is /ipns/NAME or /pk/PEER, the name in base58 or as a CID, or a key of a
namespace of a private network.

JSON: {"value"} in a line, in base64; ` + stepFields,
		Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, l *lookup, args []string) error {
		return l.run(ctx, "looking for "+args[0], func(f node.Found) error {
			if file == "" {
				_, err := fmt.Fprintln(c.out, valueText(f.Value))
				return err
			}
			return c.writeFile(file, f.Value)
		})
	})
	cmd.Flags().StringVarP(&file, "output", "o", "", "the file to write; - is standard output")
	cmd = c.reads(cmd)
	cmd.MarkFlagsMutuallyExclusive("json", "output")
	return cmd
}

// valueText is a value that is shown: what a peer has sent may not do anything to
// a terminal.
func valueText(value []byte) string {
	text := string(value)
	for _, r := range text {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return base64.StdEncoding.EncodeToString(value)
		}
	}
	return text
}

// writeFile writes a file, or to standard output.
func (c *cli) writeFile(name string, b []byte) error {
	if name == "-" {
		_, err := c.out.Write(b)
		return err
	}
	return os.WriteFile(name, b, 0o644)
}

func (c *cli) putCommand() *cobra.Command {
	var keep, stop bool
	cmd := c.routes("put", &cobra.Command{
		Use:   "put KEY FILE",
		Short: "Stores a record with others",
		Long: `put stores a record under a key with the peers that are closest to it. Its bytes
are those of a file, or with - those of standard input. Peers refuse it if it
does not prove itself, or if it is worse than what they have. They forget it after
a day or two; with --keep they are sent it again until it has ended, there is a
better one, or 'xnode routing put --stop KEY'.

KEY is /ipns/NAME or /pk/PEER, the name in base58 or as a CID, or a key of a
namespace of a private network.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case stop && len(args) != 1:
				return errors.New("want the KEY alone with --stop")
			case !stop && len(args) != 2:
				return errors.New("want a KEY and a FILE")
			}
			return nil
		},
	}, func(ctx context.Context, l *lookup, args []string) (err error) {
		l.request.Keep, l.request.Stop = keep, stop
		if stop {
			return l.run(ctx, "forgetting "+args[0], func(node.Found) error { return nil })
		}
		if l.request.Value, err = c.readFile(args[1]); err != nil {
			return err
		}
		if err := l.run(ctx, "storing "+args[0], func(node.Found) error { return nil }); err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "put %s success\n", escapeLines(args[0]))
		return err
	})
	cmd.Flags().BoolVar(&keep, "keep", false, "go on storing it, also when the node has been started again")
	cmd.Flags().BoolVar(&stop, "stop", false, "no longer go on storing it")
	cmd.MarkFlagsMutuallyExclusive("keep", "stop")
	return cmd
}

// readFile reads a file, or standard input. A value that is too large for a
// record is refused here.
func (c *cli) readFile(name string) ([]byte, error) {
	in := c.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, record.MaxValue+1))
	if err == nil && len(b) > record.MaxValue {
		err = fmt.Errorf("%s: more than %d bytes, which is the most that a record has", name, record.MaxValue)
	}
	return b, err
}
