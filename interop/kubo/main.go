// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command kubo is the interop peer on Kubo: it runs the ipfs command that lies
// beside it as a daemon of its own, in a repository that it throws away, and
// takes the listen command of the command line that every interop peer takes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lanPrefix is that of the DHT which Kubo runs on addresses that are not public.
const lanPrefix = "/ipfs/lan"

var errUsage = errors.New("usage: kubo listen --dht server|client [--dht-prefix /ipfs/lan] [--key-type ed25519|rsa] " +
	"[--connect ADDR,…] [--delegated URL] [--timeout D] [--transport tcp] [--security noise] [--muxer yamux]")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, json.NewEncoder(os.Stdout))
	stop()
	switch {
	case err == nil:
		return
	case errors.Is(err, errUsage):
		defer os.Exit(2)
	default:
		defer os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, err)
	_ = json.NewEncoder(os.Stdout).Encode(failure{Error: err.Error()})
}

type failure struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

func run(ctx context.Context, args []string, stdin io.Reader, out *json.Encoder) error {
	if len(args) == 0 || args[0] != "listen" {
		return errUsage
	}
	flags := flag.NewFlagSet("listen", flag.ContinueOnError)
	var s settings
	flags.StringVar(&s.mode, "dht", "server", "server or client")
	flags.StringVar(&s.keyType, "key-type", "ed25519", "type of the identity")
	flags.StringVar(&s.delegated, "delegated", "", "URL of a delegated routing server to ask instead of the DHT")
	prefix := flags.String("dht-prefix", lanPrefix, "what stands before /kad/1.0.0")
	connect := flags.String("connect", "", "addresses to dial, comma separated")
	timeout := flags.Duration("timeout", time.Minute, "bound of one operation")
	for name, want := range map[string]string{"transport": "tcp", "security": "noise", "muxer": "yamux"} {
		flags.Func(name, "nothing but "+want, func(got string) error {
			if got != want {
				return fmt.Errorf("want %s", want)
			}
			return nil
		})
	}
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 || *prefix != lanPrefix {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	d, err := start(ctx, filepath.Join(filepath.Dir(own), "ipfs"), s)
	if err != nil {
		return err
	}
	err = d.serve(ctx, *connect, *timeout, stdin, out)
	return errors.Join(err, d.Close())
}

// serve connects, tells where the daemon is, and answers lines until stdin closes.
func (d *daemon) serve(ctx context.Context, connect string, timeout time.Duration, stdin io.Reader, out *json.Encoder) error {
	id, err := d.identity(ctx)
	if err != nil {
		return err
	}
	gateway, err := d.gateway()
	if err != nil {
		return err
	}
	if err := out.Encode(map[string]any{"peer_id": id.ID, "addrs": id.loopback(), "delegated": gateway}); err != nil {
		return err
	}
	for addr := range strings.SplitSeq(connect, ",") {
		if addr == "" {
			continue
		}
		if _, err := d.call(ctx, "swarm/connect", nil, addr); err != nil {
			return err
		}
	}
	for scan := bufio.NewScanner(stdin); scan.Scan(); {
		words := strings.Fields(scan.Text())
		if len(words) < 2 || words[0] != "dht" {
			continue
		}
		answer, err := d.bounded(ctx, timeout, words[1:])
		if err != nil {
			answer = failure{Error: err.Error()}
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

func (d *daemon) bounded(ctx context.Context, timeout time.Duration, words []string) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return d.dht(ctx, words)
}
