// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package limits is the one budget of a node: how many connections and streams
// there may be and how much memory they may hold, in all and for each subnet,
// peer, connection, protocol and stream.
//
//	{"limits": {"memory": "1GiB", "connections": 2000}}
//
// Everything is counted before work is done for it: a connection when it is
// accepted, a stream when the remote opens it. Whatever is refused is refused
// with a [*core.LimitError] that names the key to raise. What exists is never
// taken away; whom to disconnect is decided elsewhere.
package limits

import "github.com/xnode-p2p/xnode/core"

// Config is the section "limits" of the configuration. No limit can be
// switched off: write a large number instead. Where a default would exceed a
// limit that contains it, such as streams_per_peer with a smaller streams, it
// is that limit instead.
type Config struct {
	// Memory is what the buffers of all connections may take together.
	// Default: 256MiB.
	Memory core.Size `json:"memory,omitempty"`
	// MemoryPerPeer is what the connections of one peer may take together.
	// Default: 32MiB.
	MemoryPerPeer core.Size `json:"memory_per_peer,omitempty"`
	// MemoryPerConnection is what one connection may take. Default: 32MiB.
	MemoryPerConnection core.Size `json:"memory_per_connection,omitempty"`
	// MemoryPerStream is what one stream may take, where streams have buffers
	// of their own; with QUIC and what is built on it, connections have them.
	// Default: 24MiB, which holds a window of 16MiB full of small messages.
	MemoryPerStream core.Size `json:"memory_per_stream,omitempty"`
	// MemoryPerProtocol is what the streams of one protocol may take
	// together. Default: half of memory.
	MemoryPerProtocol core.Size `json:"memory_per_protocol,omitempty"`

	// Connections is how many connections there may be. Default: 500.
	Connections int `json:"connections,omitempty"`
	// InboundConnections is how many of them others may have opened; the
	// rest are kept for the node's own. Default: four fifths of connections.
	InboundConnections int `json:"inbound_connections,omitempty"`
	// Target is how many connections are kept: when there are more, those of
	// least use are closed. It is best below inbound_connections, so that
	// there is always room for newcomers. Default: seven tenths of connections.
	Target int `json:"target,omitempty"`
	// Grace is how long a new connection is kept whatever the target.
	// Default: 20s.
	Grace core.Duration `json:"grace,omitempty"`
	// Handshakes is how many inbound connections may be in their handshake.
	// When half are taken, a subnet may have no more than two of the rest.
	// When all are, a newcomer takes the place of the oldest from the address
	// that has the most, unless that has begun within the last half second.
	// Default: 64.
	Handshakes int `json:"handshakes,omitempty"`
	// ConnectionsPerPeer is how many connections one peer may have.
	// Default: 8.
	ConnectionsPerPeer int `json:"connections_per_peer,omitempty"`

	// ConnectionsPerSubnet is how many inbound connections one IPv4 address
	// or one IPv6 /56 may have. An IPv6 /48 may have eight times as many, and
	// so may an address of a private network, which may be a gateway's.
	// Loopback addresses, transports without IP, connections through relays
	// and the trusted ranges are not counted. Default: 8.
	ConnectionsPerSubnet int `json:"connections_per_subnet,omitempty"`
	// ConnectRate is how many inbound connections one subnet may open a
	// second in the long run. One that ends well counts as a quarter once its
	// handshake is over, one that does not counts double. Subnets are as in
	// connections_per_subnet. Default: 0.2.
	ConnectRate float64 `json:"connect_rate,omitempty"`
	// ConnectBurst is how many inbound connections one subnet may open at
	// once after a quiet time. Default: 16.
	ConnectBurst int `json:"connect_burst,omitempty"`
	// Trusted are IP addresses and ranges, such as "203.0.113.0/24", that
	// connections_per_subnet, connect_rate and connect_burst do not bind.
	// Default: none.
	Trusted []string `json:"trusted,omitempty"`

	// Streams is how many streams there may be. Default: 16384.
	Streams int `json:"streams,omitempty"`
	// InboundStreams is how many of them others may have opened. Default:
	// four fifths of streams.
	InboundStreams int `json:"inbound_streams,omitempty"`
	// StreamsPerPeer is how many streams there may be with one peer, in each
	// direction. Default: 2048.
	StreamsPerPeer int `json:"streams_per_peer,omitempty"`
	// StreamsPerConnection is how many streams one connection may carry, in
	// each direction. Default: 1000.
	StreamsPerConnection int `json:"streams_per_connection,omitempty"`
	// StreamsPerProtocol is how many streams one protocol may have, in each
	// direction. Default: 8192.
	StreamsPerProtocol int `json:"streams_per_protocol,omitempty"`
	// StreamsPerProtocolPerPeer is how many streams one protocol may have
	// with one peer, in each direction. Default: 1000, or less where the
	// protocol asks for less.
	StreamsPerProtocolPerPeer int `json:"streams_per_protocol_per_peer,omitempty"`
	// Protocols sets limits for single protocols, by their IDs, such as
	// {"/ipfs/ping/1.0.0": {"streams_per_peer": 4}}. Default: none.
	Protocols map[string]ProtocolConfig `json:"protocols,omitempty"`
}

// ProtocolConfig are the limits of one protocol.
type ProtocolConfig struct {
	// Streams is how many streams the protocol may have, in each direction.
	// Default: streams_per_protocol.
	Streams int `json:"streams,omitempty"`
	// StreamsPerPeer is how many streams the protocol may have with one peer,
	// in each direction. Default: what the protocol asks for, or
	// streams_per_protocol_per_peer.
	StreamsPerPeer int `json:"streams_per_peer,omitempty"`
	// Memory is what the streams of the protocol may take together.
	// Default: memory_per_protocol.
	Memory core.Size `json:"memory,omitempty"`
}

// Defaults that do not follow from other limits.
const (
	defaultMemory        = 256 << 20
	defaultPeerMemory    = 32 << 20
	defaultStreamMemory  = 24 << 20
	defaultConnections   = 500
	defaultHandshakes    = 64
	defaultPeerConns     = 8
	defaultSubnetConns   = 8
	defaultConnectRate   = 0.2
	defaultConnectBurst  = 16
	defaultStreams       = 16384
	defaultPeerStreams   = 2048
	defaultConnStreams   = 1000
	defaultProtocol      = 8192
	defaultProtocolPeer  = 1000
	defaultGraceSeconds  = 20
	inboundNum, inboundD = 4, 5
	targetNum, targetD   = 7, 10
)
