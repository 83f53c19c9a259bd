// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

// Conns implements [core.Conns].
func (n *FakeNode) Conns() []core.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]core.Conn, 0, len(n.conns))
	for _, c := range n.conns {
		list = append(list, c)
	}
	return list
}

// ConnsTo implements [core.Conns].
func (n *FakeNode) ConnsTo(p peer.ID) []core.Conn {
	return slices.DeleteFunc(n.Conns(), func(c core.Conn) bool { return c.RemotePeer() != p })
}

// Protect implements [core.Conns]. It shows as a tag of value -1.
func (n *FakeNode) Protect(p peer.ID, tag string) (unprotect func()) {
	n.Tag(p, tag, -1)
	return func() { n.Tag(p, tag, 0) }
}

// Tag implements [core.Conns].
func (n *FakeNode) Tag(p peer.ID, tag string, value int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tags[p] == nil {
		n.tags[p] = make(map[string]int)
	}
	n.tags[p][tag] = value
	if value == 0 {
		delete(n.tags[p], tag)
	}
}

// Tags returns the tags of a peer.
func (n *FakeNode) Tags(p peer.ID) map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.tags[p])
}

// ListenAddrs implements [core.Addrs].
func (n *FakeNode) ListenAddrs() []ma.Multiaddr { return []ma.Multiaddr{n.addr} }

// Addrs implements [core.Addrs].
func (n *FakeNode) Addrs() []ma.Multiaddr {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := []ma.Multiaddr{n.addr}
	for _, a := range n.announce {
		list = append(list, *a...)
	}
	return list
}

// Announce implements [core.Addrs].
func (n *FakeNode) Announce(addrs ...ma.Multiaddr) (withdraw func()) {
	n.mu.Lock()
	n.announce = append(n.announce, &addrs)
	n.mu.Unlock()
	n.Emit(core.LocalAddrsChanged{Addrs: n.Addrs()})
	return func() {
		n.mu.Lock()
		n.announce = slices.DeleteFunc(n.announce, func(a *[]ma.Multiaddr) bool { return a == &addrs })
		n.mu.Unlock()
		n.Emit(core.LocalAddrsChanged{Addrs: n.Addrs()})
	}
}

// Suggest implements [core.Addrs]. It shows in Candidates alone.
func (n *FakeNode) Suggest(addrs ...ma.Multiaddr) (withdraw func()) {
	n.mu.Lock()
	n.suggest = append(n.suggest, &addrs)
	n.mu.Unlock()
	n.Emit(core.CandidateAddrsChanged{})
	return func() {
		n.mu.Lock()
		n.suggest = slices.DeleteFunc(n.suggest, func(a *[]ma.Multiaddr) bool { return a == &addrs })
		n.mu.Unlock()
		n.Emit(core.CandidateAddrsChanged{})
	}
}

// Candidates implements [core.Addrs].
func (n *FakeNode) Candidates() []ma.Multiaddr {
	list := n.Addrs()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.suggest {
		list = append(list, *a...)
	}
	return list
}

// SetName says what an address stands for; nothing makes it unknown again.
func (n *FakeNode) SetName(name ma.Multiaddr, addrs ...ma.Multiaddr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names == nil {
		n.names = make(map[string][]ma.Multiaddr)
	}
	n.names[name.String()] = addrs
}

// Resolve implements [core.Names]. It knows the names of [FakeNode.SetName].
func (n *FakeNode) Resolve(ctx context.Context, a ma.Multiaddr) ([]ma.Multiaddr, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch a[0].Code() {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
	default:
		return []ma.Multiaddr{a}, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.names[a.String()]) == 0 {
		return nil, fmt.Errorf("resolve %s: nobody knows it", a)
	}
	return slices.Clone(n.names[a.String()]), nil
}

// Modules implements [core.Modules].
func (n *FakeNode) Modules() []any {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.modules)
}

// SetModules says what [core.Find] finds.
func (n *FakeNode) SetModules(modules ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.modules = modules
}

// PeerProtocols implements [core.Peers]: what a connected node serves now.
func (n *FakeNode) PeerProtocols(p peer.ID) []string {
	if c := n.connTo(p); c != nil {
		return c.remote.Protocols()
	}
	return nil
}

// PeerAgent implements [core.Peers]: "coretest" for a node of the group.
func (n *FakeNode) PeerAgent(p peer.ID) string {
	if n.group[p] == nil {
		return ""
	}
	return "coretest"
}

// fakePeers remembers addresses and records. It has no bounds.
type fakePeers struct {
	mu      sync.Mutex
	addrs   map[peer.ID]map[string]time.Time // when each expires, by its bytes
	records map[peer.ID]*record.Envelope
	seqs    map[peer.ID]uint64
}

func newFakePeers() *fakePeers {
	return &fakePeers{
		addrs:   make(map[peer.ID]map[string]time.Time),
		records: make(map[peer.ID]*record.Envelope),
		seqs:    make(map[peer.ID]uint64),
	}
}

// KnownPeers implements [core.Peers].
func (f *fakePeers) KnownPeers() []peer.ID {
	f.mu.Lock()
	known := slices.Collect(maps.Keys(f.addrs))
	f.mu.Unlock()
	return slices.DeleteFunc(known, func(p peer.ID) bool { return len(f.PeerAddrs(p)) == 0 })
}

// PeerAddrs implements [core.Peers].
func (f *fakePeers) PeerAddrs(p peer.ID) []ma.Multiaddr {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []ma.Multiaddr
	for _, b := range slices.Sorted(maps.Keys(f.addrs[p])) {
		if a, err := ma.NewMultiaddrBytes([]byte(b)); err == nil && time.Now().Before(f.addrs[p][b]) {
			list = append(list, a)
		}
	}
	return list
}

// AddPeerAddrs implements [core.Peers].
func (f *fakePeers) AddPeerAddrs(p peer.ID, ttl time.Duration, addrs ...ma.Multiaddr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.addrs[p] == nil {
		f.addrs[p] = make(map[string]time.Time)
	}
	for _, a := range addrs {
		b, until := string(a.Bytes()), time.Now().Add(ttl)
		if until.After(f.addrs[p][b]) {
			f.addrs[p][b] = until
		}
	}
}

// PeerRecord implements [core.Peers].
func (f *fakePeers) PeerRecord(p peer.ID) *record.Envelope {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.records[p]
}

// ConsumePeerRecord implements [core.Peers].
func (f *fakePeers) ConsumePeerRecord(envelope []byte, expect peer.ID, ttl time.Duration) error {
	r, err := record.ConsumePeerRecord(envelope, expect)
	if err != nil {
		return err
	}
	e, err := record.Unmarshal(envelope)
	if err != nil {
		return err
	}
	f.mu.Lock()
	newer := f.records[expect] == nil || r.Seq > f.seqs[expect]
	if newer {
		f.records[expect], f.seqs[expect] = e, r.Seq
	}
	f.mu.Unlock()
	if newer {
		f.AddPeerAddrs(expect, ttl, r.Addrs...)
	}
	return nil
}
