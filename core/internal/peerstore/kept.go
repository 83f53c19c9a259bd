// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerstore

import (
	"bytes"
	"fmt"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// keptAtMost bounds how long an address outlives a run of the node.
	keptAtMost = 24 * time.Hour
	// keptStep is how exact the end of an address is kept that lasts as long
	// as a connection: it does not change all the time.
	keptStep = 5 * time.Minute
)

// Fields of what is kept of a peer, and of an address in it.
const (
	keptAddr, keptRecord, keptProtocol, keptAgent, keptVersion = 1, 2, 3, 4, 5

	keptBytes, keptEnd, keptSource = 1, 2, 3
)

// Met lists the peers that are or were connected, and have said who they are.
func (b *Book) Met() []peer.ID {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var list []peer.ID // bounded by Config.Records and the connections
	for id, e := range b.entries {
		if e.facts != nil && len(e.facts.protocols) > 0 {
			list = append(list, id)
		}
	}
	return list
}

// Kept encodes what is known of a peer, for [Book.Restore], and says until when
// that is of use. It is nil if there is nothing.
func (b *Book) Kept(p peer.ID) (text []byte, until time.Time) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	e := b.entries[p]
	if e == nil || e.facts == nil {
		return nil, time.Time{}
	}
	now := b.moment()
	for _, a := range e.addrs {
		end := b.start.Add(time.Duration(a.end))
		switch {
		case a.end == permanent:
			continue // the configuration has it
		case a.end == connected:
			end = b.start.Add(time.Duration(now)).Add(core.RecentTTL).Truncate(keptStep)
		case a.end <= now:
			continue
		}
		if end.After(until) {
			until = end
		}
		var m []byte
		m = protowire.AppendBytes(protowire.AppendTag(m, keptBytes, protowire.BytesType), []byte(a.bytes))
		m = protowire.AppendVarint(protowire.AppendTag(m, keptEnd, protowire.VarintType), uint64(end.Unix()))
		m = protowire.AppendVarint(protowire.AppendTag(m, keptSource, protowire.VarintType), uint64(a.source))
		text = protowire.AppendBytes(protowire.AppendTag(text, keptAddr, protowire.BytesType), m)
	}
	if text == nil {
		return nil, time.Time{}
	}
	add := func(field protowire.Number, value []byte) {
		if len(value) > 0 {
			text = protowire.AppendBytes(protowire.AppendTag(text, field, protowire.BytesType), value)
		}
	}
	add(keptRecord, e.facts.record)
	for _, id := range e.facts.protocols {
		add(keptProtocol, []byte(id.Value()))
	}
	add(keptAgent, []byte(e.facts.agent))
	add(keptVersion, []byte(e.facts.version))
	return text, until
}

// kept is what was kept of a peer.
type kept struct {
	addrs          []address // their ends in seconds of Unix time
	protocols      []string
	agent, version string
	envelope       []byte
	record         *record.PeerRecord // nil if the envelope is not good
}

// Restore takes in what was kept of a peer in a run before. Nothing of it counts
// for more than it did then: signatures are verified anew, and what is known
// already is known better.
func (b *Book) Restore(p peer.ID, text []byte) error {
	if err := p.Validate(); err != nil {
		return err
	}
	k, err := b.decodeKept(p, text)
	if err != nil {
		return fmt.Errorf("what was kept of %s: %w", p.Short(), err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.moment()
	e := b.entry(p)
	b.change(e, now, func() {
		fresh := e.facts == nil && !e.connected
		for _, a := range k.addrs {
			ttl := min(time.Unix(int64(a.end), 0).Sub(b.now()), keptAtMost)
			if ttl <= 0 {
				continue
			}
			if !fresh {
				a.source = told
			}
			e.put(a.bytes, e.end(now, ttl), a.source, b.limit(e), now)
		}
		if !fresh || len(e.addrs) == 0 {
			return
		}
		f := e.learn()
		f.protocols, f.agent, f.version = newProtocols(k.protocols, b.config.Protocols), k.agent, k.version
		if k.record != nil {
			f.record, f.seq = bytes.Clone(k.envelope), k.record.Seq
		}
	})
	return nil
}

func (b *Book) decodeKept(p peer.ID, text []byte) (*kept, error) {
	k := new(kept)
	for f, err := range wire.Fields(text) {
		if err != nil {
			return nil, err
		}
		value, err := f.Bytes()
		if err != nil {
			return nil, err
		}
		switch {
		case f.Num == keptAddr && len(k.addrs) < b.config.AddrsPerConnected:
			a, err := decodeKeptAddr(p, value)
			if err != nil {
				return nil, err
			}
			k.addrs = append(k.addrs, a)
		case f.Num == keptRecord:
			k.envelope = value
		case f.Num == keptProtocol && len(k.protocols) < b.config.Protocols:
			k.protocols = append(k.protocols, string(value))
		case f.Num == keptAgent:
			k.agent = wire.Text(string(value), maxText)
		case f.Num == keptVersion:
			k.version = wire.Text(string(value), maxText)
		}
	}
	signed := map[string]bool{}
	if r, err := record.ConsumePeerRecord(k.envelope, p); err == nil {
		k.record = r
		for _, a := range compactAll(p, r.Addrs) {
			signed[a] = true
		}
	}
	for i := range k.addrs {
		if a := &k.addrs[i]; a.source >= certified && !signed[a.bytes] {
			a.source = told
		}
	}
	return k, nil
}

func decodeKeptAddr(p peer.ID, text []byte) (a address, err error) {
	for f, err := range wire.Fields(text) {
		if err != nil {
			return address{}, err
		}
		switch f.Num {
		case keptBytes:
			value, err := f.Bytes()
			if err != nil {
				return address{}, err
			}
			addr, err := ma.NewMultiaddrBytes(value)
			if err != nil {
				return address{}, err
			}
			compacted, ok := compact(p, addr)
			if !ok {
				return address{}, fmt.Errorf("%s is no address of the peer", addr)
			}
			a.bytes = compacted
		case keptEnd:
			end, err := f.Uint64()
			if err != nil {
				return address{}, err
			}
			a.end = moment(min(end, 1<<40))
		case keptSource:
			from, err := f.Uint64()
			if err != nil {
				return address{}, err
			}
			a.source = source(min(from, uint64(certified)))
		}
	}
	if a.bytes == "" {
		return address{}, fmt.Errorf("an address is missing")
	}
	return a, nil
}
