// SPDX-License-Identifier: Apache-2.0 OR MIT

package unix

import (
	"net"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// conn is a connection. Both its ends have the address of the listener: who
// dials has none.
type conn struct {
	*net.UnixConn

	addr ma.Multiaddr
}

// LocalMultiaddr implements [manet.Conn].
func (c *conn) LocalMultiaddr() ma.Multiaddr { return c.addr }

// RemoteMultiaddr implements [manet.Conn].
func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.addr }

var _ manet.Conn = (*conn)(nil)
