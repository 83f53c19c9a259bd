// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
)

// duplex is a connection whose write half can be closed alone.
type duplex interface {
	io.ReadWriter
	CloseWrite() error
}

// arrival is a connection that a listener has taken.
type arrival interface {
	io.Closer
	// open does the server's part of what a mode begins with.
	open(context.Context) (duplex, error)
}

// listener takes the connections of a mode. Once it is closed, accept fails
// with [net.ErrClosed].
type listener interface {
	io.Closer
	Addr() net.Addr
	accept() (arrival, error)
}

// mode is one sort of wire.
type mode struct {
	socket string // tcp or udp
	listen func(at string) (listener, error)
	// dial connects; what it returns first ends the connection.
	dial func(ctx context.Context, at string) (io.Closer, duplex, error)
}

func modes() map[string]mode {
	return map[string]mode{
		"tcp": overTCP(
			func(c *net.TCPConn) (duplex, error) { return c, nil },
			func(c *net.TCPConn) (duplex, error) { return c, nil }),
		"aead": overTCP(
			func(c *net.TCPConn) (duplex, error) { return sealServer(c) },
			func(c *net.TCPConn) (duplex, error) { return sealClient(c) }),
		"tls":  overTCP(tlsServer, tlsClient),
		"quic": {socket: "udp", listen: listenQUIC, dial: dialQUIC},
	}
}

// overTCP is a mode that begins a TCP connection with the given functions.
func overTCP(server, client func(*net.TCPConn) (duplex, error)) mode {
	return mode{
		socket: "tcp",
		listen: func(at string) (listener, error) {
			l, err := net.Listen("tcp", at)
			return tcpListener{l, server}, err
		},
		dial: func(ctx context.Context, at string) (io.Closer, duplex, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", at)
			if err != nil {
				return nil, nil, err
			}
			if deadline, ok := ctx.Deadline(); ok {
				err = conn.SetDeadline(deadline)
			}
			var open duplex
			if err == nil {
				open, err = client(conn.(*net.TCPConn))
			}
			if err != nil {
				conn.Close()
				return nil, nil, err
			}
			return conn, open, nil
		},
	}
}

type tcpListener struct {
	net.Listener
	server func(*net.TCPConn) (duplex, error)
}

func (l tcpListener) accept() (arrival, error) {
	conn, err := l.Accept()
	if err != nil {
		return nil, err
	}
	return tcpArrival{conn.(*net.TCPConn), l.server}, nil
}

type tcpArrival struct {
	*net.TCPConn
	server func(*net.TCPConn) (duplex, error)
}

func (a tcpArrival) open(context.Context) (duplex, error) { return a.server(a.TCPConn) }

func tlsServer(conn *net.TCPConn) (duplex, error) {
	config, err := selfSigned()
	return tls.Server(conn, config), err
}

func tlsClient(conn *net.TCPConn) (duplex, error) {
	c := tls.Client(conn, unchecked())
	return c, c.Handshake()
}
