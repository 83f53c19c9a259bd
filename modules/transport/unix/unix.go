// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package unix connects nodes of one machine over unix domain sockets:
// /unix/run/xnode/xnode.sock.
//
// Spec: https://github.com/multiformats/multiaddr/blob/master/protocols.csv (unix, 400)
//
//	"transports": {"unix": {"mode": "0660"}}, "listen": ["/unix/run/xnode/xnode.sock"]
//
// The path is all that follows /unix, and absolute. As text, an address with a
// peer ID cannot be told from a longer path; a path that ends in /p2p/ID is
// taken for the path before that. Who may connect, the permissions of the
// socket's file and folder say. The folder must exist. There are no sockets
// without a file, and the remote of an inbound connection has no name.
package unix

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Transport), core.Beta) }

// defaultMode lets the user connect who runs the node.
const defaultMode = "0600"

// Transport is the xnode.transport.unix module.
type Transport struct {
	// Mode is the permissions of the socket files, in octal: who may write
	// may connect. Default: "0600".
	Mode string `json:"mode,omitempty"`

	mode   fs.FileMode
	log    *slog.Logger
	shares core.Shares     // the node's; nil before Start
	own    core.ShareTable // until then
}

// CaddyModule implements [caddy.Module].
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.transport.unix", New: func() caddy.Module { return new(Transport) }}
}

// Provision implements [caddy.Provisioner].
func (t *Transport) Provision(ctx caddy.Context) error {
	if t.Mode == "" {
		t.Mode = defaultMode
	}
	mode, err := strconv.ParseUint(t.Mode, 8, 32)
	if err != nil || mode > uint64(fs.ModePerm) {
		return fmt.Errorf("mode %q: want permissions in octal, such as \"0660\"", t.Mode)
	}
	t.mode = fs.FileMode(mode)
	t.log = core.Logger(ctx)
	return nil
}

// Validate implements [caddy.Validator].
func (t *Transport) Validate() error {
	if t.mode&0o200 == 0 {
		return fmt.Errorf("mode %q: its own user could not connect", t.Mode)
	}
	return nil
}

// Start implements [core.Service]. It makes the sockets those of the node.
func (t *Transport) Start(_ context.Context, n core.Node) error {
	t.shares = n
	return nil
}

// Close implements [core.Service]. Listeners are closed by who opened them.
func (*Transport) Close() error { return nil }

// Match implements [core.Transport].
func (*Transport) Match(a ma.Multiaddr) bool {
	_, err := parse(a)
	return err == nil
}

// Dial implements [core.RawTransport].
func (t *Transport) Dial(ctx context.Context, a ma.Multiaddr) (manet.Conn, error) {
	to, err := parse(a)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", to.path)
	if err != nil {
		return nil, cause(err)
	}
	return &conn{UnixConn: c.(*net.UnixConn), addr: to.addr}, nil
}

// Listen implements [core.RawTransport]. The socket may be that of an instance
// that this one replaces. A file that a socket has left which nobody listens on
// any more is replaced.
func (t *Transport) Listen(a ma.Multiaddr) (manet.Listener, error) {
	at, err := parse(a)
	if err == nil && at.id != "" {
		err = fmt.Errorf("%s: leave out /p2p/%s", a, at.id)
	}
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l, err := t.listen(at)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", a, cause(err))
	}
	return l, nil
}

var (
	_ core.RawTransport = (*Transport)(nil)
	_ core.Service      = (*Transport)(nil)
	_ caddy.Provisioner = (*Transport)(nil)
	_ caddy.Validator   = (*Transport)(nil)
)
