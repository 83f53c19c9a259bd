// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"cmp"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// Conn is one connection of a node.
type Conn struct {
	Peer string `json:"peer"`
	// Addr is the remote address, without /p2p, LocalAddr this end's.
	Addr      string    `json:"addr"`
	LocalAddr string    `json:"local_addr"`
	Direction string    `json:"direction"`
	Opened    time.Time `json:"opened"`
	// Limited is true for connections through a relay that bounds them.
	Limited bool `json:"limited"`
	// Transport, Security and Muxer are what the connection is made of.
	Transport string `json:"transport"`
	Security  string `json:"security,omitempty"`
	Muxer     string `json:"muxer,omitempty"`
	// Agent and Protocols are what the peer says of itself.
	Agent     string    `json:"agent,omitempty"`
	Protocols []string  `json:"protocols"`
	Streams   []*Stream `json:"streams"`
}

// Stream is one open stream of a connection.
type Stream struct {
	Protocol  string `json:"protocol"`
	Direction string `json:"direction"`
}

// Conns lists a host's connections by address and peer.
func Conns(h *host.Host) []*Conn {
	list := []*Conn{}
	for _, c := range h.Conns() {
		list = append(list, describe(h, c))
	}
	slices.SortFunc(list, func(a, b *Conn) int {
		return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Peer, b.Peer), a.Opened.Compare(b.Opened))
	})
	return list
}

// describe describes a connection.
func describe(n core.Node, c core.Conn) *Conn {
	id, stat := c.RemotePeer(), c.Stat()
	addr, _ := peer.SplitAddr(c.RemoteMultiaddr())
	out := &Conn{
		Peer:      id.String(),
		Addr:      text(addr),
		LocalAddr: text(c.LocalMultiaddr()),
		Direction: stat.Direction.String(),
		Opened:    stat.Opened,
		Limited:   stat.Limited,
		Transport: stat.Transport,
		Security:  stat.Security,
		Muxer:     stat.Muxer,
		Agent:     wire.Text(n.PeerAgent(id), maxName),
		Protocols: names(n.PeerProtocols(id)),
		Streams:   []*Stream{},
	}
	for _, s := range c.Streams() {
		out.Streams = append(out.Streams, &Stream{wire.Text(s.Protocol(), maxName), s.Direction().String()})
	}
	slices.SortFunc(out.Streams, func(a, b *Stream) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Direction, b.Direction))
	})
	return out
}

// Addrs is where a node can be reached and whom it knows.
type Addrs struct {
	Peer string `json:"peer"`
	// Local are the addresses told to peers, each ending in /p2p/ID; Listen
	// those that are bound.
	Local  []string `json:"local"`
	Listen []string `json:"listen"`
	// Known are the peers whose addresses are known.
	Known []*KnownPeer `json:"known"`
}

// KnownPeer is a peer and its known addresses, without /p2p.
type KnownPeer struct {
	Peer  string   `json:"peer"`
	Addrs []string `json:"addrs"`
}

// AddrsOf lists the addresses that a host has and knows.
func AddrsOf(h *host.Host) Addrs {
	a := Addrs{
		Peer:   h.ID().String(),
		Local:  texts(h.Addrs(), h.ID()),
		Listen: texts(h.ListenAddrs(), ""),
		Known:  []*KnownPeer{},
	}
	for _, id := range h.KnownPeers() {
		a.Known = append(a.Known, &KnownPeer{id.String(), texts(h.PeerAddrs(id), "")})
	}
	slices.SortFunc(a.Known, func(x, y *KnownPeer) int { return cmp.Compare(x.Peer, y.Peer) })
	return a
}
