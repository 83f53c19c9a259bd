// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"context"
	"encoding/base64"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// Info is who a node is.
type Info struct {
	// Peer is the peer ID in base58, CID the same as a CIDv1 in base 36.
	Peer string `json:"peer"`
	CID  string `json:"cid"`
	// KeyType is the type of the key, PublicKey its protobuf form in base64.
	KeyType   string `json:"key_type,omitempty"`
	PublicKey string `json:"public_key,omitempty"`
	// Agent is the program the node says it runs.
	Agent string `json:"agent,omitempty"`
	// Addrs are the addresses it says it has, each ending in /p2p/ID.
	Addrs []string `json:"addrs"`
	// Protocols are what it says it speaks.
	Protocols []string `json:"protocols"`
}

// keyInfo is what a key says of its holder.
func keyInfo(id peer.ID, key peer.PublicKey) Info {
	return Info{
		Peer:      id.String(),
		CID:       id.CID(),
		KeyType:   key.Type().String(),
		PublicKey: base64.StdEncoding.EncodeToString(peer.MarshalPublicKey(key)),
		Addrs:     []string{},
		Protocols: []string{},
	}
}

// KeyInfo is what a public key says of its holder.
func KeyInfo(key peer.PublicKey) Info { return keyInfo(peer.FromPublicKey(key), key) }

// Self describes a host.
func Self(h *host.Host) Info {
	i := keyInfo(h.ID(), h.PublicKey())
	i.Agent = wire.Text(h.Agent(), maxName)
	i.Addrs = texts(h.Addrs(), h.ID())
	i.Protocols = names(h.Protocols())
	return i
}

// Identify connects to a peer and tells what it says of itself.
func Identify(ctx context.Context, h *host.Host, p peer.AddrInfo) (Info, error) {
	if p.ID == h.ID() {
		return Self(h), nil
	}
	conn, err := h.Connect(core.AllowLimited(ctx), p)
	if err != nil {
		return Info{}, err
	}
	if err := h.WaitIdentified(ctx, conn); err != nil {
		return Info{}, err
	}
	return remote(h, conn), nil
}

// remote is what the peer at the other end of a connection said of itself.
func remote(n core.Node, c core.Conn) Info {
	id := c.RemotePeer()
	i := keyInfo(id, c.RemotePublicKey())
	i.Agent = wire.Text(n.PeerAgent(id), maxName)
	i.Addrs = texts(n.PeerAddrs(id), id)
	i.Protocols = names(n.PeerProtocols(id))
	return i
}
