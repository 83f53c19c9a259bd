// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// Direction says which side opened a connection or a stream.
type Direction uint8

// The two directions.
const (
	Inbound Direction = iota + 1
	Outbound
)

// String returns "inbound" or "outbound".
func (d Direction) String() string {
	switch d {
	case Inbound:
		return "inbound"
	case Outbound:
		return "outbound"
	}
	return "unknown"
}

// MuxedStream is one stream as a muxer makes it: a two-way flow of bytes
// whose directions close independently.
//
// Read returns [io.EOF] after the remote closed its side, an error satisfying
// errors.Is(err, [ErrReset]) after either side reset the stream, and a
// [net.Error] whose Timeout is true after a deadline.
type MuxedStream interface {
	io.Reader
	io.Writer

	// CloseWrite ends the sending side: the remote reads io.EOF.
	CloseWrite() error
	// CloseRead ends the receiving side: what still arrives is dropped.
	CloseRead() error
	// Close ends both sides. Data already written is still delivered.
	Close() error
	// Reset ends both sides at once and drops what is in flight. The code is
	// sent where the muxer can carry one.
	Reset(code StreamCode) error

	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Stream is a [MuxedStream] on which a protocol has been agreed.
type Stream interface {
	MuxedStream

	// Protocol is the ID of the protocol spoken on the stream.
	Protocol() string
	// Conn is the connection that carries the stream.
	Conn() Conn
	// Direction says who opened the stream.
	Direction() Direction
}

// StreamHandler serves one inbound stream. The node closes the stream when it
// returns nil and resets it when it returns an error; it need not close the
// stream itself. It must return soon after reads and writes on the stream
// fail, which they do when the connection closes or the handler is removed.
type StreamHandler func(Stream) error

// Conn is a secured and multiplexed connection to one peer.
type Conn interface {
	// RemotePeer is the authenticated ID of the other side.
	RemotePeer() peer.ID
	// RemotePublicKey is the key that proved it.
	RemotePublicKey() peer.PublicKey
	LocalMultiaddr() ma.Multiaddr
	RemoteMultiaddr() ma.Multiaddr
	Stat() ConnStat
	// Streams are the open streams that have a protocol.
	Streams() []Stream
	// NewStream opens a stream and negotiates the first of protocols that
	// the remote speaks. It fails with [ErrLimited] on a limited connection
	// unless ctx comes from [AllowLimited].
	NewStream(ctx context.Context, protocols ...string) (Stream, error)
	// Close closes the connection and resets its streams.
	Close() error
	// CloseWithCode is Close with a reason for the remote.
	CloseWithCode(ConnCode) error
	// Done is closed once the connection is.
	Done() <-chan struct{}
}

// ConnStat describes a connection. It does not change while it lives.
type ConnStat struct {
	Direction Direction
	Opened    time.Time
	// Limited is true for a connection through a relay that bounds its
	// duration or data; only protocols that asked for it run over one.
	Limited bool
	// Transport, Security and Muxer name how the connection was made: the
	// name of the transport module and the two protocol IDs. Security and
	// Muxer are empty where the transport brings its own.
	Transport, Security, Muxer string
}

// StreamCode is the reason for a stream's reset, as libp2p puts it on the wire.
type StreamCode uint32

// The codes for streams. They are those of the libp2p error code registry;
// protocols may use others below 0x1000.
const (
	StreamNoError           StreamCode = 0
	StreamNegotiationFailed StreamCode = 0x1001
	StreamLimitExceeded     StreamCode = 0x1002
	StreamRateLimited       StreamCode = 0x1003
	StreamProtocolViolation StreamCode = 0x1004
	StreamSupplanted        StreamCode = 0x1005
	StreamGarbageCollected  StreamCode = 0x1006
	StreamShutdown          StreamCode = 0x1007
	StreamGated             StreamCode = 0x1008
)

// ConnCode is the reason for closing a connection, as libp2p puts it on the wire.
type ConnCode uint32

// The codes for connections. They are those of the libp2p error code registry.
const (
	ConnNoError           ConnCode = 0
	ConnNegotiationFailed ConnCode = 0x1000
	ConnLimitExceeded     ConnCode = 0x1001
	ConnRateLimited       ConnCode = 0x1002
	ConnProtocolViolation ConnCode = 0x1003
	ConnSupplanted        ConnCode = 0x1004
	ConnGarbageCollected  ConnCode = 0x1005
	ConnShutdown          ConnCode = 0x1006
	ConnGated             ConnCode = 0x1007
)

// StreamError is what reads and writes return after a reset. It satisfies
// errors.Is for [ErrReset] and [net.ErrClosed].
type StreamError struct {
	Code StreamCode
	// Remote is true if the other side reset the stream.
	Remote bool
	// Cause is the error underneath, if there is one.
	Cause error
}

// Error implements error.
func (e *StreamError) Error() string {
	return closeText("stream reset", e.Remote, uint32(e.Code), e.Cause)
}

// Unwrap lists what the error is.
func (e *StreamError) Unwrap() []error { return unwrapClosed(ErrReset, e.Cause) }

// ConnError is what operations return on a connection that was closed. It
// satisfies errors.Is for [ErrConnClosed] and [net.ErrClosed].
type ConnError struct {
	Code ConnCode
	// Remote is true if the other side closed the connection.
	Remote bool
	// Cause is the error underneath, if there is one.
	Cause error
}

// Error implements error.
func (e *ConnError) Error() string {
	return closeText("connection closed", e.Remote, uint32(e.Code), e.Cause)
}

// Unwrap lists what the error is.
func (e *ConnError) Unwrap() []error { return unwrapClosed(ErrConnClosed, e.Cause) }

func closeText(what string, remote bool, code uint32, cause error) string {
	by := "locally"
	if remote {
		by = "by the remote"
	}
	text := what + " " + by
	if code != 0 {
		text += fmt.Sprintf(", code %#x", code)
	}
	if cause != nil {
		text += ": " + cause.Error()
	}
	return text
}

func unwrapClosed(sentinel, cause error) []error {
	if cause == nil {
		return []error{sentinel, net.ErrClosed}
	}
	return []error{sentinel, net.ErrClosed, cause}
}
