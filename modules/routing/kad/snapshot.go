// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"encoding/binary"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/ipgroup"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/table"
)

const (
	// maxSaved is how many members of the routing table are saved.
	maxSaved = 10_000
	// savedTime is how long they are of use.
	savedTime = 7 * 24 * time.Hour
)

// An entry of the table of saved members has the ID as its key, and a value of
// the time of the last answer in seconds, the group of addresses, eight bytes
// each, and the member as a message has it.
const savedHeader = 16

// saveContacts saves the members of the routing table, for the next start.
func (d *dht) saveContacts() {
	var changes []core.Change
	members := make(map[peer.ID]bool)
	d.contacts.all(func(m table.Member, encoded []byte) {
		if len(changes) == maxSaved {
			return
		}
		value := binary.BigEndian.AppendUint64(make([]byte, 0, savedHeader+len(encoded)), uint64(m.Answered.Unix()))
		value = binary.BigEndian.AppendUint64(value, uint64(m.Group))
		members[m.ID] = true
		changes = append(changes, core.Change{Key: []byte(m.ID), Value: append(value, encoded...), Expires: m.Answered.Add(savedTime)})
	})
	if len(changes) == 0 {
		return // what was saved is better than nothing
	}
	for e, err := range d.saved.Scan(nil) {
		if err != nil {
			break
		}
		if !members[peer.ID(e.Key)] {
			changes = append(changes, core.Change{Key: e.Key})
		}
	}
	if err := d.saved.Apply(changes...); err != nil {
		d.log.Warn("save the routing table", "error", err)
	}
}

// restoreContacts makes those members that were members in an earlier run.
func (d *dht) restoreContacts() {
	for e, err := range d.saved.Scan(nil) {
		if err != nil {
			d.log.Warn("restore the routing table", "error", err)
			return
		}
		if len(e.Value) < savedHeader {
			continue
		}
		p, err := kadwire.DecodePeer(e.Value[savedHeader:])
		if err != nil || p.ID != peer.ID(e.Key) {
			continue
		}
		addrs := d.scope.filter(p, nil)
		if len(addrs) == 0 {
			continue
		}
		d.node.AddPeerAddrs(p.ID, core.RecentTTL, addrs...)
		d.contacts.restore(table.Member{
			ID:       p.ID,
			Answered: time.Unix(int64(binary.BigEndian.Uint64(e.Value)), 0),
			Group:    ipgroup.Group(binary.BigEndian.Uint64(e.Value[8:])),
		})
	}
}
