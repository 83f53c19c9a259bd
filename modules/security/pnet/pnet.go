// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package pnet makes a node a member of a private network, whose members share
// a key, https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md.
//
//	{"security": [{"module": "pnet", "key_file": "{xnode.data}/swarm.key"}, {"module": "noise"}]}
//
// Every connection of a transport that carries plain connections, such as tcp
// and websocket, is encrypted with the key before anything else happens on it.
// That keeps strangers out, and no more: it does not authenticate what it
// carries nor say who sent it, which is what the other securities are for. The
// key cannot be changed without a new start of all members.
package pnet

import (
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Network), core.Beta) }

// protocol is what the key's file calls this kind of private network.
const protocol = "/key/swarm/psk/1.0.0/"

// Network is the module. It must not be changed after Provision.
type Network struct {
	// KeyFile is the path of the file with the key, in the format of kubo and
	// js-libp2p: the line /key/swarm/psk/1.0.0/, a line with the encoding,
	// /base16/, /base64/ or /bin/, and the 32 bytes of the key in that
	// encoding. Placeholders are replaced. The file is read when the node
	// starts. Default: {xnode.data}/swarm.key.
	KeyFile string `json:"key_file,omitempty"`
	// AllowReadable accepts a file that others can read, that is a symbolic
	// link, or that belongs to another user, as the files of mounted secrets
	// do. Default: false.
	AllowReadable bool `json:"allow_readable,omitempty"`

	key     secret
	buffers *buffers
}

// defaultKeyFile is where the key is if the configuration does not say.
const defaultKeyFile = "{xnode.data}/swarm.key"

// CaddyModule implements [caddy.Module].
func (*Network) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "xnode.security.pnet",
		New: func() caddy.Module { return new(Network) },
	}
}

// Provision implements [caddy.Provisioner]. It reads the key, and logs its
// fingerprint.
func (n *Network) Provision(ctx caddy.Context) error {
	path := n.KeyFile
	if path == "" {
		path = defaultKeyFile
	}
	path, err := core.Expand(path)
	if err != nil {
		return fmt.Errorf("key_file: %w", err)
	}
	if n.key, err = readKey(path, n.AllowReadable); err != nil {
		return fmt.Errorf("key_file: %w", err)
	}
	n.buffers = new(buffers)
	core.Logger(ctx).Info("private network", "fingerprint", n.Fingerprint())
	return nil
}

// Protocol implements [core.Security].
func (*Network) Protocol() string { return protocol }

// Fingerprint is a hash of the key, in hexadecimal, by which operators can tell
// that they have the same one. It is the one that kubo and rust-libp2p show.
// It says nothing about the key.
func (n *Network) Fingerprint() string {
	if n.key == nil {
		return ""
	}
	return fingerprint(n.key())
}

// Protect implements [core.PrivateNetwork].
func (n *Network) Protect(c net.Conn) (net.Conn, error) {
	if n.key == nil {
		return nil, errors.New("the module is not provisioned")
	}
	return newConn(c, n.key, n.buffers), nil
}

// LogValue implements [slog.LogValuer].
func (n *Network) LogValue() slog.Value {
	return slog.GroupValue(slog.String("key_file", n.KeyFile), slog.String("fingerprint", n.Fingerprint()))
}

var (
	_ core.PrivateNetwork = (*Network)(nil)
	_ caddy.Provisioner   = (*Network)(nil)
	_ slog.LogValuer      = (*Network)(nil)
)
