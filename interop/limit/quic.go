// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/quic-go/quic-go"
)

// What the windows of a stream and of a connection grow to, in bytes: as large
// as libp2p peers have them.
const (
	streamWindow     = 10 << 20
	connectionWindow = 15 << 20
)

func quicConfig() *quic.Config {
	return &quic.Config{MaxStreamReceiveWindow: streamWindow, MaxConnectionReceiveWindow: connectionWindow}
}

func listenQUIC(at string) (listener, error) {
	config, err := selfSigned()
	if err != nil {
		return nil, err
	}
	l, err := quic.ListenAddr(at, config, quicConfig())
	return quicListener{l}, err
}

type quicListener struct{ *quic.Listener }

func (l quicListener) accept() (arrival, error) {
	conn, err := l.Accept(context.Background()) // ends with the listener
	if errors.Is(err, quic.ErrServerClosed) {
		err = net.ErrClosed
	}
	return quicConn{conn}, err
}

type quicConn struct{ *quic.Conn }

// Close ends the connection, and what of it is still on its way.
func (c quicConn) Close() error { return c.CloseWithError(0, "") }

func (c quicConn) open(ctx context.Context) (duplex, error) {
	s, err := c.AcceptStream(ctx)
	return answer{quicStream{s}, c.Conn}, err
}

func dialQUIC(ctx context.Context, at string) (io.Closer, duplex, error) {
	conn, err := quic.DialAddr(ctx, at, unchecked(), quicConfig())
	if err != nil {
		return nil, nil, err
	}
	s, err := conn.OpenStreamSync(ctx)
	if deadline, ok := ctx.Deadline(); ok && err == nil {
		err = s.SetDeadline(deadline)
	}
	if err != nil {
		return nil, nil, errors.Join(err, quicConn{conn}.Close())
	}
	return quicConn{conn}, quicStream{s}, nil
}

// quicStream is the one stream of a connection.
type quicStream struct{ *quic.Stream }

// CloseWrite ends the stream's own direction.
func (s quicStream) CloseWrite() error { return s.Close() }

// answer is a quicStream at the server.
type answer struct {
	quicStream
	conn *quic.Conn
}

// CloseWrite ends the answer, and waits until the client has ended the
// connection: the server's end would cut off what is still on its way.
func (a answer) CloseWrite() error {
	if err := a.Close(); err != nil {
		return err
	}
	<-a.conn.Context().Done()
	return nil
}
