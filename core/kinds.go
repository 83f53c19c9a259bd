// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"
	"net"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

// The kinds of module. Each is an interface, and each has one namespace, the
// first part of its modules' IDs (registry.go). A value of any kind may also
// be a [Service]: the host then starts and closes it with the node.

// Transport carries connections over one sort of network address. Every
// transport is either a [RawTransport] or a [MuxedTransport].
type Transport interface {
	// Match reports whether the transport dials and listens on addresses of
	// this shape. It looks at the address alone. An address that ends in
	// /p2p/ID is passed without that end.
	Match(a ma.Multiaddr) bool
}

// RawTransport makes plain connections, which the swarm upgrades. It knows
// nothing of keys, muxers or peers.
type RawTransport interface {
	Transport

	// Dial connects to a. It ends with ctx. An address that ends in
	// /p2p-circuit is passed with the /p2p/ID of the peer behind it: only
	// that makes it one that leads somewhere.
	Dial(ctx context.Context, a ma.Multiaddr) (manet.Conn, error)
	// Listen binds a. The listener's Multiaddr is the bound address, with
	// the real port. An address that another instance of the module listens
	// on, on the same node, is one that this instance shares with it; see
	// [Shares]. Accept on a closed listener returns an error that
	// satisfies errors.Is(err, net.ErrClosed).
	Listen(a ma.Multiaddr) (manet.Listener, error)
}

// LimitedConn is what a connection of a [RawTransport] may be too: whether
// something on the way bounds how long it lasts or what it carries. See
// [ConnStat].Limited.
type LimitedConn interface{ Limited() bool }

// MuxedTransport makes connections that are already secured and multiplexed,
// such as QUIC's. It learns the node's identity when it is started as a
// [Service].
type MuxedTransport interface {
	Transport

	// Dial connects to a and proves that the other side is p; it fails with
	// a [PeerMismatchError] otherwise. What the connection buffers is taken
	// from m.
	Dial(ctx context.Context, a ma.Multiaddr, p peer.ID, m ConnMemory) (MuxedConn, error)
	// Listen binds a, as in [RawTransport]. It asks admit about every
	// connection before its handshake.
	Listen(a ma.Multiaddr, admit Admit) (MuxedListener, error)
}

// Admit counts an inbound connection from a remote address before any work is
// done for it. With an error the connection is refused, at the least cost that
// the transport has for that. Admit may be called from many goroutines; it
// does not block.
type Admit func(remote ma.Multiaddr) (Admission, error)

// Admission is the place that [Admit] has found for a connection, and its
// memory. It belongs to the transport until Accept hands the connection out:
// until then, who gives the connection up calls Done.
type Admission interface {
	ConnMemory

	// OnYield has f called, at most once, if others need the place before
	// the swarm has the connection: it is not let in any more, and f is to
	// give it up, without waiting. A transport that cannot end a handshake
	// lets it time out, and bounds how many there are.
	OnYield(f func())
	// Done gives the place back. It may be called more than once.
	Done()
}

// MuxedListener accepts connections of a [MuxedTransport].
type MuxedListener interface {
	// Accept returns the next connection whose handshake has ended well, and
	// its admission, which from then on belongs to the caller.
	Accept() (MuxedConn, Admission, error)
	Close() error
	Multiaddr() ma.Multiaddr
}

// MuxedConn is a connection that is secured and multiplexed: what an upgrade
// makes of a raw one and a [MuxedTransport] brings.
type MuxedConn interface {
	Session

	RemotePeer() peer.ID
	RemotePublicKey() peer.PublicKey
	LocalMultiaddr() ma.Multiaddr
	RemoteMultiaddr() ma.Multiaddr
}

// Security protects connections. Every security is a [SecureChannel] or a
// [PrivateNetwork].
type Security interface {
	// Protocol is the name of what it does: for a [SecureChannel] the ID
	// negotiated for it with multistream-select.
	Protocol() string
}

// SecureChannel authenticates the two ends of a connection and encrypts it.
type SecureChannel interface {
	Security

	// Secure performs the handshake on conn. It ends with ctx, fails with a
	// [PeerMismatchError] if the other side is not h.Expect, and leaves conn
	// open when it fails: whoever made it closes it.
	Secure(ctx context.Context, conn net.Conn, h Handshake) (SecureConn, error)
}

// PrivateNetwork lets only those talk who share a secret. It wraps every
// connection of a [RawTransport] before anything is negotiated on it. A node
// has one at most, and with it no [MuxedTransport], whose connections it
// could not wrap.
type PrivateNetwork interface {
	Security

	// Protect returns conn in its protection. Nothing is sent before the
	// first Read or Write.
	Protect(conn net.Conn) (net.Conn, error)
	// Fingerprint names the network by a hash of its secret, in lower-case
	// hexadecimal. It says nothing about the secret.
	Fingerprint() string
}

// Handshake is what a [SecureChannel] needs to know to secure a connection.
type Handshake struct {
	// Identity signs for the local peer.
	Identity Identity
	// Initiator is true on the side that plays the initiator or client. It
	// follows from the protocol, not from who dialled.
	Initiator bool
	// Expect is the peer that must be on the other side; empty means any.
	Expect peer.ID
	// Muxers are the local muxers' protocol IDs, in order of preference, to
	// be agreed on within the handshake where the protocol can do that.
	// Empty means: do not offer.
	Muxers []string
}

// SecureConn is a connection whose other end is known.
type SecureConn interface {
	net.Conn

	RemotePeer() peer.ID
	RemotePublicKey() peer.PublicKey
	// Muxer is the muxer agreed on within the handshake; empty if none was.
	Muxer() string
}

// Muxer lets many streams share one connection.
type Muxer interface {
	// Protocol is the ID negotiated for it with multistream-select.
	Protocol() string
	// Mux starts multiplexing conn, which it owns from then on. What streams
	// may buffer is taken from accounts that m opens for them; see [Accounted].
	Mux(conn net.Conn, initiator bool, m ConnMemory) (Session, error)
}

// Session is a multiplexed connection.
type Session interface {
	// OpenStream opens a stream. It ends with ctx.
	OpenStream(ctx context.Context) (MuxedStream, error)
	// AcceptStream waits for the remote to open one. After the session has
	// ended it returns an error satisfying errors.Is(err, net.ErrClosed).
	AcceptStream() (MuxedStream, error)
	// Close ends the session and the connection under it and resets all
	// streams. It waits until nothing of the session runs.
	Close() error
	// CloseWithCode is Close with a reason for the remote, where the muxer
	// can carry one.
	CloseWithCode(ConnCode) error
	// Done is closed once the session has ended, whoever ended it.
	Done() <-chan struct{}
}

// Memory is an account from which a connection or a stream takes what it
// buffers.
type Memory interface {
	// Reserve takes n bytes, or fails with a [LimitError]. Priority, 0 to
	// 255, says how full the budget may be for it: 255 may use all of it.
	Reserve(n int, priority uint8) error
	// Release gives n bytes back.
	Release(n int)
}

// ConnMemory is the account of a connection.
type ConnMemory interface {
	Memory

	// Stream opens an account for one stream. What it takes counts for the
	// stream, its protocol once that is known, the connection and the peer.
	Stream() StreamMemory
}

// StreamMemory is the account of a stream.
type StreamMemory interface {
	Memory

	// Done closes the account and gives back all that was taken. It may be
	// called more than once; Reserve fails from then on.
	Done()
}

// Accounted is a [MuxedStream] with an account of its own, which the node
// charges to the stream's protocol. Where the transport below buffers for all
// streams together, as QUIC does, streams have none.
type Accounted interface {
	Memory() StreamMemory
}

// Service is a module that runs: it registers handlers and starts goroutines
// in Start and ends them in Close.
type Service interface {
	// Start registers and spawns. ctx bounds Start alone. When a reload
	// replaces a module, the new instance starts before the old one closes.
	Start(ctx context.Context, n Node) error
	// Close returns when nothing of the service runs any more. It may be
	// called without Start and more than once.
	Close() error
}

// The kinds of service. They differ only in where the configuration names
// them and in the order in which they start: NAT, Routing, PubSub,
// Discoverer, Protocol.
type (
	// NAT helps the node to be reached: relays, port mappings, hole punching.
	NAT interface{ Service }
	// Routing finds peers and content.
	Routing interface{ Service }
	// PubSub carries messages on topics.
	PubSub interface{ Service }
	// Discoverer finds peers to connect to.
	Discoverer interface{ Service }
	// Protocol is an application protocol.
	Protocol interface{ Service }
)

// KeySource is where the node's private key comes from.
type KeySource interface {
	// PrivateKey returns the key, making and keeping a new one if the source
	// is able to and has none. Every call returns the same key.
	PrivateKey() (peer.PrivateKey, error)
}

// RecordValidator is the kind of module that checks the records of one namespace
// of a [ValueStore]: the namespace is the module's name. The values come from
// peers.
type RecordValidator interface {
	record.Validator
}
