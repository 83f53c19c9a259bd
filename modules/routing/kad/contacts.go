// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/ipgroup"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/query"
	"github.com/xnode-p2p/xnode/modules/routing/internal/table"
)

// contacts is the routing table, with what is told to others of its members.
type contacts struct {
	node  core.Node
	scope scope

	mu      sync.RWMutex
	table   *table.Table
	members map[peer.ID]*contact // those of the table
	fresh   []peer.ID            // members of whom nothing is told yet
}

// contact is a member of the routing table.
type contact struct {
	// encoded is the member as a message has it, with the connection at its end.
	encoded   []byte
	plain     int // how long it is without the connection
	connected bool
	group     ipgroup.Group // of its addresses
	answered  time.Time     // when its last answer was noted; zero after a failure
}

func newContacts(k *Kad, node core.Node, s scope) *contacts {
	c := &contacts{node: node, scope: s, members: make(map[peer.ID]*contact)}
	config := table.Config{K: k.BucketSize, Refresh: time.Duration(k.Refresh), Stale: time.Duration(k.Refresh) * 3 / 2, Changed: c.changed}
	if s != scopeInternet {
		// A private network may well be in one data centre.
		config.PerGroup, config.PerGroupInBucket = -1, -1
	}
	c.table = table.New(node.ID(), config)
	return c
}

// changed follows the members; the lock is held.
func (c *contacts) changed(p peer.ID, member bool) {
	if !member {
		delete(c.members, p)
		return
	}
	c.members[p] = new(contact)
	c.fresh = append(c.fresh, p)
}

// unlock unlocks, and finds out what is told of those who have become members.
// The node is not asked under the lock.
func (c *contacts) unlock() {
	fresh := c.fresh
	c.fresh = nil
	c.mu.Unlock()
	for _, p := range fresh {
		connected := len(c.node.ConnsTo(p)) > 0
		addrs := c.scope.own(c.node.PeerAddrs(p))
		c.mu.Lock()
		if v := c.members[p]; v != nil {
			v.connected, v.group = connected, c.groupOf(addrs)
			v.set(p, addrs)
		}
		c.mu.Unlock()
	}
}

func (v *contact) set(p peer.ID, addrs []ma.Multiaddr) {
	b := kadwire.AppendPeer(nil, p, addrs)
	v.plain = len(b)
	v.encoded = kadwire.AppendConnection(b, kadwire.Connected)
}

func (v *contact) told() []byte {
	if v.connected {
		return v.encoded
	}
	return v.encoded[:v.plain]
}

// nearest calls each for the members closest to a key, without two, as a message
// has them, the closest first. They are not to be changed.
func (c *contacts) nearest(key keyspace.Key, n int, without, orThis peer.ID, each func(encoded []byte)) {
	var room [64]peer.ID
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, p := range c.table.Nearest(room[:0], key, n+2) {
		if v := c.members[p]; v != nil && v.plain > 0 && p != without && p != orThis && n > 0 {
			each(v.told())
			n--
		}
	}
}

// seeds returns the members closest to a key, but none of those without tells of.
func (c *contacts) seeds(key keyspace.Key, n int, without func(peer.ID) bool) []query.Peer {
	var room [64]peer.ID
	c.mu.RLock()
	defer c.mu.RUnlock()
	wanted := n
	if without != nil {
		wanted = len(c.members)
	}
	seeds := make([]query.Peer, 0, n)
	for _, p := range c.table.Nearest(room[:0], key, wanted) {
		if len(seeds) == n {
			break
		}
		if without != nil && without(p) {
			continue
		}
		seed := query.Peer{ID: p}
		if v := c.members[p]; v != nil {
			seed.Group = v.group
		}
		seeds = append(seeds, seed)
	}
	return seeds
}

// groupOf returns the group of the first address that has one.
func (c *contacts) groupOf(addrs []ma.Multiaddr) ipgroup.Group {
	for _, a := range addrs {
		if ip, ok := peer.IP(a); ok && !isRelayed(a) {
			return c.table.Group(ip) // depends on the settings alone
		}
	}
	return 0
}

// noteAgain is how long an answer of a member makes it needless to note another.
const noteAgain = 10 * time.Second

// answered notes that a peer has answered, and tells whether it has become a
// member by that.
func (c *contacts) answered(p peer.ID) bool {
	now := time.Now()
	c.mu.RLock()
	v := c.members[p]
	noted := v != nil && now.Sub(v.answered) < noteAgain
	c.mu.RUnlock()
	if noted {
		return false
	}
	conns := c.node.ConnsTo(p)
	if len(conns) == 0 {
		return false
	}
	var ip netip.Addr
	addrs := c.node.PeerAddrs(p)
	for _, conn := range conns {
		if remote := conn.RemoteMultiaddr(); remote != nil && !isRelayed(remote) {
			if !ip.IsValid() {
				ip, _ = peer.IP(remote)
			}
			addrs = append(addrs, remote)
		}
	}
	admitted := c.scope.admits(addrs)
	c.mu.Lock()
	defer c.unlock()
	if !admitted {
		c.table.Remove(p, now)
		return false
	}
	was := c.members[p] != nil
	is := c.table.Answered(p, ip, now)
	if v := c.members[p]; v != nil {
		v.answered = now
	}
	return is && !was
}

// candidate tells whether there could be a place for a peer.
func (c *contacts) candidate(p peer.ID) bool {
	var ip netip.Addr
	for _, conn := range c.node.ConnsTo(p) {
		if remote := conn.RemoteMultiaddr(); remote != nil && !isRelayed(remote) {
			ip, _ = peer.IP(remote)
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.table.Candidate(p, ip, time.Now())
}

// failed notes that a peer has not answered.
func (c *contacts) failed(p peer.ID) {
	c.mu.Lock()
	defer c.unlock()
	if v := c.members[p]; v != nil {
		v.answered = time.Time{}
	}
	c.table.Failed(p, time.Now())
}

// remove forgets a peer, which is no server.
func (c *contacts) remove(p peer.ID) {
	c.mu.Lock()
	defer c.unlock()
	c.table.Remove(p, time.Now())
}

// has tells whether a peer is a member.
func (c *contacts) has(p peer.ID) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.members[p] != nil
}

// size tells how many members there are.
func (c *contacts) size() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.table.Len()
}

// addrs returns what others are told of where a member is.
func (c *contacts) addrs(p peer.ID) []ma.Multiaddr {
	c.mu.RLock()
	v := c.members[p]
	var encoded []byte
	if v != nil {
		encoded = v.encoded[:v.plain]
	}
	c.mu.RUnlock()
	told, err := kadwire.DecodePeer(encoded)
	if err != nil {
		return nil
	}
	return slices.Collect(told.Addrs())
}

// refresh looks up anew what others are told of a member.
func (c *contacts) refresh(p peer.ID) {
	addrs := c.scope.own(c.node.PeerAddrs(p))
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.members[p]; v != nil && len(addrs) > 0 {
		v.set(p, addrs)
	}
}

// setConnected notes whether there is a connection to a peer.
func (c *contacts) setConnected(p peer.ID, connected bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.members[p]; v != nil {
		v.connected = connected
	}
}

// due returns the members to be asked whether they are still there, and the
// buckets to be refreshed.
func (c *contacts) due(probes int) (peers []peer.ID, buckets []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return c.table.Probe(probes, now), c.table.Due(now)
}

// all calls each for every member, those far from this node first.
func (c *contacts) all(each func(m table.Member, encoded []byte)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for m := range c.table.Members() {
		if v := c.members[m.ID]; v != nil {
			each(m, v.encoded[:v.plain])
		}
	}
}

// restore makes a peer a member that was one in an earlier run.
func (c *contacts) restore(m table.Member) {
	c.mu.Lock()
	defer c.unlock()
	c.table.Restore(m)
}

// refreshed notes that there was a look-up of a key.
func (c *contacts) refreshed(key keyspace.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.table.Refreshed(key, time.Now())
}
