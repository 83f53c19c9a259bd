// SPDX-License-Identifier: Apache-2.0 OR MIT

package upgrade

import (
	"net"

	"github.com/xnode-p2p/xnode/core/internal/multistream"
)

// negotiated is a connection that begins with a negotiation. Its first write
// carries what the negotiation has left to say, its first read what it has
// left to hear.
type negotiated struct {
	net.Conn
	stream      multistream.Stream
	negotiating bool
}

// Read implements [net.Conn].
func (n *negotiated) Read(p []byte) (int, error) {
	if !n.negotiating {
		return n.Conn.Read(p)
	}
	return n.stream.Read(p)
}

// Write implements [net.Conn].
func (n *negotiated) Write(p []byte) (int, error) {
	if !n.negotiating {
		return n.Conn.Write(p)
	}
	return n.stream.Write(p)
}

// settled returns the connection to go on with: plain itself if nothing was
// negotiated on it.
func (n *negotiated) settled(plain net.Conn) net.Conn {
	if !n.negotiating {
		return plain
	}
	return n
}
