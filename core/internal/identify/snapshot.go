// SPDX-License-Identifier: Apache-2.0 OR MIT

package identify

import (
	"bytes"
	"sync"
	"sync/atomic"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// ownMessage is what we put into one message at most, in bytes: there are
	// readers that take no more.
	ownMessage = 4 << 10

	// observedRoom is left for the observed address in the first message.
	observedRoom = 256
)

// snapshot is what we say at one time to peers in one place. It does not change.
type snapshot struct {
	generation uint64 // when it was found to be current
	serial     uint64 // equal serials say the same
	first      []byte // the first message, without its length and the observed address
	rest       []byte // further messages, with their lengths

	addrs  []byte // the addresses that record is made of
	record []byte
}

// encode returns what goes onto the stream. An address that is nil is left out.
func (s *snapshot) encode(observed ma.Multiaddr) []byte {
	var tail []byte
	if len(observed) > 0 {
		tail = appendField(nil, fieldObservedAddr, observed.Bytes())
	}
	b := make([]byte, 0, 4+len(s.first)+len(tail)+len(s.rest))
	b = wire.AppendUvarint(b, uint64(len(s.first)+len(tail)))
	b = append(b, s.first...)
	b = append(b, tail...)
	return append(b, s.rest...)
}

// self makes the snapshots and keeps the newest of each place.
type self struct {
	settings *Settings

	generation atomic.Uint64 // counts changes of what a snapshot is made of
	agent      atomic.Pointer[string]
	current    [places]atomic.Pointer[snapshot]

	mu     sync.Mutex // held while a snapshot is made
	seq    uint64     // of the last record
	serial uint64     // of the last snapshot
}

// changed says that snapshots made so far may be out of date. It takes no lock.
func (s *self) changed() { s.generation.Add(1) }

// snapshot returns what there is to say to a peer in the given place.
func (s *self) snapshot(at place) *snapshot {
	if snap := s.current[at].Load(); snap != nil && snap.generation == s.generation.Load() {
		return snap
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	generation := s.generation.Load()
	old := s.current[at].Load()
	if old != nil && old.generation == generation {
		return old
	}
	snap := s.make(at, old)
	snap.generation = generation
	if old != nil && bytes.Equal(old.first, snap.first) && bytes.Equal(old.rest, snap.rest) {
		snap.serial = old.serial
	} else {
		s.serial++
		snap.serial = s.serial
	}
	s.current[at].Store(snap)
	return snap
}

// make builds a snapshot. The record of the old one is used again if the
// addresses are the same.
func (s *self) make(at place, old *snapshot) *snapshot {
	snap := new(snapshot)
	fields := [][]byte{
		appendField(nil, fieldPublicKey, peer.MarshalPublicKey(s.settings.Node.PublicKey())),
		appendField(nil, fieldProtocolVersion, []byte(s.settings.ProtocolVersion)),
		appendField(nil, fieldAgentVersion, []byte(*s.agent.Load())),
	}
	for _, p := range s.settings.Protocols() {
		fields = append(fields, appendField(nil, fieldProtocols, []byte(p)))
	}
	var addrs []ma.Multiaddr
	for _, a := range s.settings.Node.Addrs() {
		if transport, _ := peer.SplitAddr(a); len(transport) > 0 && at.shares(transport) && len(addrs) < maxAddrs {
			addrs = append(addrs, transport)
			field := appendField(nil, fieldListenAddrs, transport.Bytes())
			fields = append(fields, field)
			snap.addrs = append(snap.addrs, field...)
		}
	}
	if old != nil && bytes.Equal(old.addrs, snap.addrs) {
		snap.record = old.record
	} else if len(addrs) > 0 {
		snap.record = s.seal(addrs)
	}
	if field := appendField(nil, fieldSignedRecord, snap.record); len(field) <= maxMessage {
		fields = append(fields, field)
	}
	messages := pack(fields)
	if len(messages) > maxMessages {
		s.settings.Log.Warn("too much to tell in identify; the rest is left out", "messages", len(messages), "limit", maxMessages)
		messages = messages[:maxMessages]
	}
	snap.first = messages[0]
	for _, m := range messages[1:] {
		snap.rest = wire.AppendUvarint(snap.rest, uint64(len(m)))
		snap.rest = append(snap.rest, m...)
	}
	return snap
}

// seal signs a record. Its number is the time in nanoseconds, or one more than
// the last one if that is greater.
func (s *self) seal(addrs []ma.Multiaddr) []byte {
	s.seq = max(s.seq+1, uint64(max(0, s.settings.Now().UnixNano())))
	env, err := record.SealPeerRecord(s.settings.Node, &record.PeerRecord{
		ID:    s.settings.Node.ID(),
		Seq:   s.seq,
		Addrs: addrs,
	})
	if err != nil {
		s.settings.Log.Warn("identify without a signed record", "error", err)
		return nil
	}
	return env
}

// pack distributes fields over messages, in order. There is one at least.
func pack(fields [][]byte) [][]byte {
	messages := [][]byte{nil}
	room := ownMessage - observedRoom
	for _, f := range fields {
		last := len(messages) - 1
		if len(messages[last]) > 0 && len(f) > room {
			messages = append(messages, nil)
			last++
			room = ownMessage
		}
		messages[last] = append(messages[last], f...)
		room -= len(f)
	}
	return messages
}

// place is where a peer is, as far as its address tells.
type place int

// The places. A peer gets to know addresses that work from its place.
const (
	nearby      place = iota // on this machine or in this process
	localNet                 // on a local network
	theInternet              // or nobody knows
	places
)

// placeOf returns the place of the peer on c. Through a relay it is that of the
// relay.
func placeOf(c core.Conn) place { return placeOfAddr(c.RemoteMultiaddr()) }

func placeOfAddr(a ma.Multiaddr) place {
	switch {
	case peer.IsLoopback(a), isMemory(a):
		return nearby
	case peer.IsPrivate(a):
		return localNet
	}
	return theInternet
}

// shares tells whether an address is one to tell a peer in this place, and one
// to believe it: a peer on the Internet has no business with the addresses of
// this local network. Addresses that say nothing about where they work are for
// everyone.
func (p place) shares(a ma.Multiaddr) bool {
	switch {
	case p == nearby:
		return true
	case peer.IsLoopback(a), isMemory(a):
		return false
	case peer.IsPrivate(a):
		return p == localNet
	}
	return true
}

func isMemory(a ma.Multiaddr) bool {
	return len(a) > 0 && a[0].Code() == ma.P_MEMORY
}
