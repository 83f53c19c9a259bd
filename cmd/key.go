// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func (c *cli) keyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Makes and shows identity keys", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.keyGenCommand(), c.keyShowCommand())
	return cmd
}

// keyFields are what the commands print as JSON.
const keyFields = `JSON: {"file", "peer", "cid", "key_type", "public_key"}`

func (c *cli) keyGenCommand() *cobra.Command {
	var kind, path string
	cmd := &cobra.Command{
		Use:   "gen",
		Short: "Makes a private key in a new file and prints its peer ID",
		Long: `gen makes a private key and prints the peer ID. The file, identity.key in the
data folder if -o names none, is readable by its user alone. One that exists is
never overwritten. With "-o -" the key itself is printed, in base64, as the
identity module env takes it.

` + keyFields,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return c.keyGen(kind, path) },
	}
	cmd.Flags().StringVarP(&kind, "type", "t", "ed25519", "ed25519, secp256k1, ecdsa or rsa")
	cmd.Flags().StringVarP(&path, "output", "o", "", "the file, or - for standard output")
	return c.reads(cmd)
}

func (c *cli) keyGen(kind, path string) error {
	t, err := peer.ParseKeyType(kind)
	if err != nil {
		return err
	}
	if path == "-" {
		key, err := peer.GenerateKey(t, nil)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.out, base64.StdEncoding.EncodeToString(peer.MarshalPrivateKey(key)))
		return nil
	}
	if path, err = keyPath(path); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: exists; a key is never overwritten: 'xnode key show' tells whose it is, and -o names another file", path)
	}
	key, err := keyFromFile(map[string]string{"path": path, "type": kind})
	if err != nil {
		return err
	}
	return c.printKey(path, key.Public())
}

func (c *cli) keyShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Prints the peer ID and the type of the key in a file, never the key",
		Long: `show prints the peer ID and the type of the key in a file, identity.key in the
data folder if none is named. It never prints the key.

` + keyFields,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := keyPath(append(args, "")[0])
			if err != nil {
				return err
			}
			if _, err := os.Lstat(path); err != nil {
				return fmt.Errorf("%w; 'xnode key gen' makes a key", err)
			}
			key, err := keyFromFile(map[string]string{"path": path})
			if err != nil {
				return err
			}
			return c.printKey(path, key.Public())
		},
	}
	return c.reads(cmd)
}

// keyPath is a path made absolute; an empty one stands for the default.
func keyPath(path string) (string, error) {
	if path == "" {
		path = filepath.Join(core.DataDir(), "identity.key")
	}
	return filepath.Abs(path)
}

// keyFromFile has the identity module for files read a key, or make one if there
// is none.
func keyFromFile(config map[string]string) (peer.PrivateKey, error) {
	config[core.InlineKey] = "file"
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	loaded, err := core.One[core.KeySource](raw).Load(ctx)
	if err != nil {
		return nil, plain(err)
	}
	return loaded.Module.PrivateKey()
}

// plain takes off an error what only those who write configurations understand.
func plain(err error) error {
	text := err.Error()
	for _, words := range []string{"provision xnode.identity.file: ", "invalid configuration: "} {
		if _, rest, ok := strings.Cut(text, words); ok {
			text = rest
		}
	}
	return errors.New(text)
}

func (c *cli) printKey(path string, key peer.PublicKey) error {
	info := node.KeyInfo(key)
	if c.json {
		return c.printJSON(map[string]string{"file": path, "peer": info.Peer, "cid": info.CID,
			"key_type": info.KeyType, "public_key": info.PublicKey}, false)
	}
	return c.table(func(row func(string, ...any)) {
		row("peer\t%s", info.Peer)
		row("cid\t%s", info.CID)
		row("type\t%s", info.KeyType)
		row("file\t%s", path)
	})
}
