// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package kadwire is the messages of the Kademlia DHT as they are on the wire:
// decoded with a bound on everything a peer can fill, and encoded without waste.
//
// https://github.com/libp2p/specs/blob/master/kad-dht/README.md#rpc-messages
package kadwire

import (
	"errors"
	"fmt"
	"iter"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// MaxMessage bounds a message that is read, in bytes.
	MaxMessage = 4 << 20
	// MaxCloser is how many closer peers of a message are looked at. Honest
	// peers send as many as a bucket has places, 20.
	MaxCloser = 40
	// MaxProviders is how many providers of a message are looked at.
	MaxProviders = 1000
	// MaxAddrs is how many addresses of a peer are looked at, or sent.
	MaxAddrs = 64
)

// Type says what a message asks, or answers.
type Type uint8

// The types of message.
const (
	PutValue Type = iota
	GetValue
	AddProvider
	GetProviders
	FindNode
	Ping

	// Types is how many there are.
	Types = iota
)

// String returns the name that the specification has for it.
func (t Type) String() string {
	names := [Types]string{"PUT_VALUE", "GET_VALUE", "ADD_PROVIDER", "GET_PROVIDERS", "FIND_NODE", "PING"}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Connection is what the sender of a message says of its connection to a peer.
type Connection uint8

// What is said of a connection.
const (
	NotConnected Connection = iota
	Connected
)

// ErrType says that a message is of no known type.
var ErrType = errors.New("unknown type of message")

// Message is a decoded message. All of it shares memory with the bytes it was
// decoded from.
type Message struct {
	Type Type
	// Cluster is a field that is not used any more, but sent back.
	Cluster uint32
	Key     []byte
	// Record is an encoded record; nil if there is none.
	Record []byte
	// Closer and Providers are peers. Those whose ID is none are left out, and
	// so are those beyond MaxCloser and MaxProviders.
	Closer, Providers []Peer
}

// Peer is a peer in a message.
type Peer struct {
	ID  peer.ID
	raw []byte // the encoded Peer message
}

// Numbers of the fields of the Message and of its Peer.
const (
	fieldType      protowire.Number = 1
	fieldKey       protowire.Number = 2
	fieldRecord    protowire.Number = 3
	fieldCloser    protowire.Number = 8
	fieldProviders protowire.Number = 9
	fieldCluster   protowire.Number = 10

	peerID         protowire.Number = 1
	peerAddrs      protowire.Number = 2
	peerConnection protowire.Number = 3
)

// Decode decodes a message. It keeps b.
func (m *Message) Decode(b []byte) error {
	*m = Message{Closer: m.Closer[:0], Providers: m.Providers[:0]}
	for f, err := range wire.Fields(b) {
		if err != nil {
			return fmt.Errorf("kad message: %w", err)
		}
		if err := m.set(f); err != nil {
			return fmt.Errorf("kad message: %w", err)
		}
	}
	return nil
}

// set takes a field over. As in all of protobuf, the last of several counts.
func (m *Message) set(f wire.Field) (err error) {
	switch f.Num {
	case fieldType:
		n, err := f.Uint64()
		if err != nil {
			return err
		}
		if n >= Types {
			return fmt.Errorf("%w: %d", ErrType, n)
		}
		m.Type = Type(n)
	case fieldKey:
		m.Key, err = f.Bytes()
	case fieldRecord:
		if m.Record, err = f.Bytes(); m.Record == nil {
			m.Record = []byte{}
		}
	case fieldCluster:
		n, err := f.Uint64()
		m.Cluster = uint32(n)
		return err
	case fieldCloser:
		m.Closer, err = appendPeer(m.Closer, f, MaxCloser)
	case fieldProviders:
		m.Providers, err = appendPeer(m.Providers, f, MaxProviders)
	}
	return err
}

// appendPeer decodes a peer as far as its ID, unless there are enough of them.
func appendPeer(list []Peer, f wire.Field, most int) ([]Peer, error) {
	raw, err := f.Bytes()
	if err != nil || len(list) >= most {
		return list, err
	}
	p, err := DecodePeer(raw)
	if errors.Is(err, peer.ErrInvalidID) {
		return list, nil
	}
	if err != nil {
		return list, fmt.Errorf("peer: %w", err)
	}
	return append(list, p), nil
}

// DecodePeer decodes a peer as far as its ID. It keeps b.
func DecodePeer(b []byte) (Peer, error) {
	var id []byte
	for f, err := range wire.Fields(b) {
		if err == nil && f.Num == peerID {
			id, err = f.Bytes()
		}
		if err != nil {
			return Peer{}, err
		}
	}
	p, err := peer.FromBytes(id)
	return Peer{ID: p, raw: b}, err
}

// HasAddrs tells whether there is an address that is understood.
func (p Peer) HasAddrs() bool {
	for range p.Addrs() {
		return true
	}
	return false
}

// Addrs yields the addresses of the peer, without its own /p2p at their end. It
// leaves out those that are not understood, those of another peer, and those
// beyond [MaxAddrs].
func (p Peer) Addrs() iter.Seq[ma.Multiaddr] {
	return func(yield func(ma.Multiaddr) bool) {
		quota := wire.Quota(MaxAddrs)
		for f, err := range wire.Fields(p.raw) {
			if err != nil {
				return
			}
			if f.Num != peerAddrs {
				continue
			}
			b, err := f.Bytes()
			if err != nil || quota.Take() != nil {
				return
			}
			addr, err := peer.DecodeAddr(b)
			if err != nil {
				continue
			}
			addr, id := peer.SplitAddr(addr)
			if addr == nil || id != "" && id != p.ID {
				continue
			}
			if !yield(addr) {
				return
			}
		}
	}
}
