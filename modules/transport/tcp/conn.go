// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcp

import (
	"fmt"
	"net"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// conn is a TCP connection that knows the multiaddrs of its ends. Nagle's
// algorithm is off, as package net has it.
type conn struct {
	*net.TCPConn

	local, remote ma.Multiaddr
}

// wrap makes a conn of a socket, which it closes if it fails. An address that is
// nil is taken from the socket.
func (t *Transport) wrap(c *net.TCPConn, local, remote ma.Multiaddr) (manet.Conn, error) {
	err := t.setKeepalive(c)
	if err == nil && local == nil {
		local, err = multiaddr(addrPort(c.LocalAddr()))
	}
	if err == nil && remote == nil {
		remote, err = multiaddr(addrPort(c.RemoteAddr()))
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("tcp socket: %w", cause(err))
	}
	return &conn{TCPConn: c, local: local, remote: remote}, nil
}

func (t *Transport) setKeepalive(c *net.TCPConn) error {
	if t.Keepalive == defaultKeepalive {
		return nil // so it is already
	}
	return c.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable:   true,
		Idle:     time.Duration(t.Keepalive),
		Interval: time.Duration(t.Keepalive),
	})
}

// LocalMultiaddr implements [manet.Conn].
func (c *conn) LocalMultiaddr() ma.Multiaddr { return c.local }

// RemoteMultiaddr implements [manet.Conn].
func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.remote }

var _ manet.Conn = (*conn)(nil)
