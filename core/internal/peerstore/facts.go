// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerstore

import (
	"slices"
	"strings"
	"unique"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxProtocol bounds the ID of a protocol, in bytes.
	maxProtocol = 256
	// maxText bounds agent and protocol version, in bytes.
	maxText = 256
	// factsBytes is what facts take that hold nothing, in bytes.
	factsBytes = 160
)

// facts is what is known of a peer beyond its addresses.
type facts struct {
	owner     peer.ID
	protocols protocols
	agent     string
	version   string // the version of the protocol family
	record    []byte // the newest signed record as its envelope
	seq       uint64 // of the record; nothing if there is none

	// The place in the list of unconnected peers' facts.
	older, newer *facts
	size         int // as it was counted when it came into the list
}

// bytes estimates the memory of f.
func (f *facts) bytes() int {
	n := factsBytes + len(f.agent) + len(f.version) + len(f.record)
	for _, p := range f.protocols {
		n += 8 + len(p.Value())
	}
	return n
}

// protocols is a sorted list of protocol IDs. Most peers speak the same ones,
// so each ID is in memory once.
type protocols []unique.Handle[string]

// newProtocols keeps at most limit of the IDs: those that are neither empty nor
// too long nor unprintable, each once.
func newProtocols(ids []string, limit int) protocols {
	kept := make([]string, 0, min(len(ids), limit))
	for _, id := range ids {
		if len(kept) == limit {
			break
		}
		if id != "" && len(id) <= maxProtocol && wire.Text(id, maxProtocol) == id {
			kept = append(kept, id)
		}
	}
	slices.Sort(kept)
	kept = slices.Compact(kept)
	list := make(protocols, len(kept))
	for i, id := range kept {
		list[i] = unique.Make(id)
	}
	return list
}

func (l protocols) has(id string) bool {
	_, found := slices.BinarySearchFunc(l, id, compareProtocol)
	return found
}

func compareProtocol(h unique.Handle[string], id string) int { return strings.Compare(h.Value(), id) }

// without lists what is in l and not in other.
func (l protocols) without(other protocols) []string {
	var list []string
	for _, h := range l {
		if !other.has(h.Value()) {
			list = append(list, h.Value())
		}
	}
	return list
}

func (l protocols) strings() []string {
	list := make([]string, len(l))
	for i, h := range l {
		list[i] = h.Value()
	}
	return list
}

// factList is a ring of facts, the least recently used first.
type factList struct {
	root  facts
	count int
	bytes int
}

func (l *factList) init() { l.root.older, l.root.newer = &l.root, &l.root }

// oldest returns the facts used longest ago; there must be some.
func (l *factList) oldest() *facts { return l.root.newer }

// append puts f at the end of the list.
func (l *factList) append(f *facts) {
	f.older, f.newer = l.root.older, &l.root
	f.older.newer, f.newer.older = f, f
	f.size = f.bytes()
	l.count++
	l.bytes += f.size
}

// remove takes f off the list, if it is there.
func (l *factList) remove(f *facts) {
	if f.older == nil {
		return
	}
	f.older.newer, f.newer.older = f.newer, f.older
	f.older, f.newer = nil, nil
	l.count--
	l.bytes -= f.size
}
