// SPDX-License-Identifier: Apache-2.0 OR MIT

package seqno

import (
	"container/list"
	"encoding/binary"
	"slices"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// author is who writes on a topic.
type author struct {
	id    peer.ID
	topic string
}

// numbers are the highest numbers of authors, of at most as many as there is
// room for.
type numbers struct {
	room    int
	authors map[author]*list.Element // room
	order   *list.List               // of *entry, who was heard of last first
	dirty   map[author]uint64        // what has not been written, room
}

type entry struct {
	author
	number uint64
}

func newNumbers(room int) *numbers {
	return &numbers{
		room: room, authors: make(map[author]*list.Element), order: list.New(), dirty: make(map[author]uint64),
	}
}

// raise makes a number the highest of its author. It returns false if there has
// been one as high; as in go-libp2p-pubsub zero is below all that count.
func (n *numbers) raise(a author, number uint64) bool {
	e := n.authors[a]
	if e == nil {
		if number == 0 {
			return false
		}
		if n.order.Len() >= n.room {
			oldest := n.order.Remove(n.order.Back()).(*entry).author
			delete(n.authors, oldest)
			delete(n.dirty, oldest)
		}
		n.authors[a] = n.order.PushFront(&entry{a, number})
		return true
	}
	n.order.MoveToFront(e)
	known := e.Value.(*entry)
	if number <= known.number {
		return false
	}
	known.number = number
	return true
}

// changes are what has been raised and not been written, for a table.
func (n *numbers) changes() []core.Change {
	list := make([]core.Change, 0, len(n.dirty))
	for a, number := range n.dirty {
		key := append([]byte{byte(len(a.id))}, a.id...)
		list = append(list, core.Change{Key: append(key, a.topic...), Value: binary.BigEndian.AppendUint64(nil, number)})
	}
	slices.SortFunc(list, func(a, b core.Change) int { return slices.Compare(a.Key, b.Key) })
	clear(n.dirty)
	return list
}

// take is what changes made, read back. What is no such thing is left out.
func (n *numbers) take(key, value []byte) {
	if len(key) < 1 || len(key) < 1+int(key[0]) || len(value) != 8 {
		return
	}
	id := 1 + int(key[0])
	n.raise(author{peer.ID(key[1:id]), string(key[id:])}, binary.BigEndian.Uint64(value))
}
