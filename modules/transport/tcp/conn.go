// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcp

import (
	"fmt"
	"net"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/modules/transport/internal/tcpport"
)

// conn is a TCP connection that knows the multiaddrs of its ends. Nagle's
// algorithm is off, as package net has it.
type conn struct {
	tcpport.Conn

	local, remote ma.Multiaddr
}

// wrap makes a conn of a socket, which it closes if it fails. An address that is
// nil is taken from the socket.
func (t *Transport) wrap(c tcpport.Conn, local, remote ma.Multiaddr) (manet.Conn, error) {
	err := t.setKeepalive(c.TCPConn)
	if err == nil && local == nil {
		local, err = tcpport.Multiaddr(tcpport.AddrPort(c.LocalAddr()))
	}
	if err == nil && remote == nil {
		remote, err = tcpport.Multiaddr(tcpport.AddrPort(c.RemoteAddr()))
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("tcp socket: %w", tcpport.Cause(err))
	}
	return &conn{Conn: c, local: local, remote: remote}, nil
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
