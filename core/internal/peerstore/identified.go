// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerstore

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

// ErrOldRecord says that a signed record is not newer than the one known.
var ErrOldRecord = errors.New("not newer than the known record")

// Identified is what a peer said of itself.
type Identified struct {
	// Protocols are the IDs of what it serves, in any order.
	Protocols []string
	// Agent and ProtocolVersion are free text; both are made printable.
	Agent, ProtocolVersion string
	// Addrs are the addresses it claims without a signature. They replace
	// the ones it claimed before.
	Addrs []ma.Multiaddr
	// SignedRecord is an envelope with the peer's record; empty if there is
	// none. If it is good and not old its addresses are stored, not Addrs.
	SignedRecord []byte
	// Accept, if set, says which of the addresses to store, signed ones
	// included.
	Accept func(ma.Multiaddr) bool
	// Partial is true if what is empty here was not said, rather than said
	// to be empty.
	Partial bool
}

// accepted returns those of the addresses that are to be stored.
func (s Identified) accepted(addrs []ma.Multiaddr) []ma.Multiaddr {
	if s.Accept == nil {
		return addrs
	}
	var list []ma.Multiaddr
	for _, a := range addrs {
		if s.Accept(a) {
			list = append(list, a)
		}
	}
	return list
}

// SetIdentified stores what p said of itself. It returns the protocols that it
// did not speak before, and those that it no longer speaks, both sorted; err
// says why the signed record was not taken. The addresses last as long as the
// connection. What a peer without a connection says is not stored: it comes
// too late.
func (b *Book) SetIdentified(p peer.ID, said Identified) (added, removed []string, err error) {
	list := newProtocols(said.Protocols, b.config.Protocols)
	addrs := compactAll(p, said.accepted(said.Addrs))
	agent := wire.Text(said.Agent, maxText)
	version := wire.Text(said.ProtocolVersion, maxText)
	var r *record.PeerRecord
	if len(said.SignedRecord) > 0 {
		if r, err = record.ConsumePeerRecord(said.SignedRecord, p); err == nil {
			r.Addrs = said.accepted(r.Addrs)
		}
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[p]
	if e == nil || !e.connected {
		return nil, nil, err
	}
	now := b.moment()
	b.change(e, now, func() {
		f := e.learn()
		if !said.Partial || agent != "" {
			f.agent = agent
		}
		if !said.Partial || version != "" {
			f.version = version
		}
		if !said.Partial || len(list) > 0 {
			added, removed = list.without(f.protocols), f.protocols.without(list)
			f.protocols = list
		}
		if r != nil {
			if err = b.certify(e, r, said.SignedRecord, connected, now); err == nil {
				addrs = nil
			}
		}
		if !said.Partial || len(addrs) > 0 {
			e.remove(func(a address) bool { return a.source == identified && a.end != permanent })
		}
		for _, a := range addrs {
			e.put(a, connected, identified, b.limit(e), now)
		}
	})
	return added, removed, err
}

// ConsumePeerRecord implements [core.Peers]. The addresses of the record
// replace all others of the peer, except permanent ones and those over which it
// was reached while connected. The same record again prolongs its addresses; an
// older one, or another with the same number, is [ErrOldRecord].
func (b *Book) ConsumePeerRecord(envelope []byte, expect peer.ID, ttl time.Duration) error {
	r, err := record.ConsumePeerRecord(envelope, expect)
	if err != nil {
		return err
	}
	if ttl <= 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.moment()
	e := b.entry(expect)
	b.change(e, now, func() { err = b.certify(e, r, envelope, e.end(now, ttl), now) })
	return err
}

// certify stores a verified record of e's peer, if it is newer.
func (b *Book) certify(e *entry, r *record.PeerRecord, envelope []byte, end, now moment) error {
	f := e.learn()
	if f.record != nil && (r.Seq < f.seq || r.Seq == f.seq && !samePayload(envelope, f.record)) {
		return fmt.Errorf("peer record of %s, number %d, known is %d: %w", e.id.Short(), r.Seq, f.seq, ErrOldRecord)
	}
	if f.record == nil || r.Seq > f.seq {
		f.record, f.seq = bytes.Clone(envelope), r.Seq
		e.remove(func(a address) bool {
			return a.end != permanent && (a.end != connected || a.source != told)
		})
	}
	for _, a := range compactAll(e.id, r.Addrs) {
		e.put(a, end, certified, b.limit(e), now)
	}
	return nil
}

// samePayload tells whether two envelopes say the same. Their signatures may
// differ: not every scheme is deterministic.
func samePayload(a, b []byte) bool {
	x, errX := record.Unmarshal(a)
	y, errY := record.Unmarshal(b)
	return errX == nil && errY == nil && bytes.Equal(x.Payload, y.Payload)
}

// learn returns the facts of e, making them if there are none.
func (e *entry) learn() *facts {
	if e.facts == nil {
		e.facts = &facts{owner: e.id}
	}
	return e.facts
}

// SupportsProtocol returns the first of protos that p is known to speak. It
// does not allocate.
func (b *Book) SupportsProtocol(p peer.ID, protos ...string) (string, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	e := b.entries[p]
	if e == nil || e.facts == nil || !e.connected && !e.reachable(b.moment()) {
		return "", false
	}
	for _, id := range protos {
		if e.facts.protocols.has(id) {
			return id, true
		}
	}
	return "", false
}

// PeerProtocols implements [core.Peers].
func (b *Book) PeerProtocols(p peer.ID) []string {
	var list protocols
	b.look(p, func(f *facts) { list = f.protocols })
	return list.strings()
}

// PeerAgent implements [core.Peers].
func (b *Book) PeerAgent(p peer.ID) (agent string) {
	b.look(p, func(f *facts) { agent = f.agent })
	return agent
}

// PeerProtocolVersion is the version of the protocol family that p names;
// empty if unknown.
func (b *Book) PeerProtocolVersion(p peer.ID) (version string) {
	b.look(p, func(f *facts) { version = f.version })
	return version
}

// PeerRecord implements [core.Peers].
func (b *Book) PeerRecord(p peer.ID) *record.Envelope {
	var envelope []byte
	b.look(p, func(f *facts) { envelope = f.record })
	if envelope == nil {
		return nil
	}
	e, err := record.Unmarshal(slices.Clone(envelope))
	if err != nil {
		return nil
	}
	return e
}

// look calls f with the facts of p, if there are any.
func (b *Book) look(p peer.ID, f func(*facts)) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if e := b.entries[p]; e != nil && e.facts != nil && (e.connected || e.reachable(b.moment())) {
		f(e.facts)
	}
}
