// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"slices"
	"sync"

	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

const (
	// maxQueued bounds the messages that wait for a peer, and maxQueuedBytes
	// their bytes. Own messages may take twice as much. One message always may
	// wait, however large it is.
	maxQueued      = 1024
	maxQueuedBytes = 1 << 20
	// maxControl bounds the control messages and subscriptions that wait, in
	// bytes.
	maxControl = 1 << 20
	// frameSize is how large a frame gets that holds more than one thing, and
	// writeSize how much is written at once, in bytes. maxEntries is how many
	// subscriptions or control messages a frame holds: all that a peer takes.
	frameSize  = 32 << 10
	writeSize  = 64 << 10
	maxEntries = 1000
	// keptQueue is for how many messages an empty queue keeps its memory.
	keptQueue = 16
)

// queue is what is to be sent to a peer: subscriptions and control messages
// first, then the node's own messages, then those of others.
type queue struct {
	// begin is called with the mutex when there is something to send and nobody
	// who does. Whoever sends then drains the queue until nothing is left.
	begin func()

	mu       sync.Mutex
	sending  bool            // somebody drains
	first    [][]byte        // fields of an RPC: extensions, subscriptions; maxControl together
	greeting int             // bytes of first
	entries  [][]byte        // of control messages, each encoded, maxControl together
	size     int             // bytes of entries
	own      []*mesh.Message // shared with other queues
	forward  []*mesh.Message
	partials []queuedPartial
	messages int // bytes of own, forward and partials
	dropped  uint64
}

// queuedPartial is a partial message that waits.
type queuedPartial struct {
	topic, group string
	metadata     bool // nothing but metadata
	frame        []byte
}

// wake sees to it that somebody drains the queue.
func (q *queue) wake() {
	if !q.sending {
		q.sending = true
		q.begin()
	}
}

// greet sends even if there is nothing yet.
func (q *queue) greet() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wake()
}

// field adds a field of an RPC, which comes before everything else.
func (q *queue) field(b []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.greeting+len(b) <= maxControl {
		q.first = append(q.first, b)
		q.greeting += len(b)
	} else {
		q.dropped++
	}
	q.wake()
}

// greetWith puts fields in front of all that wait. There may be any number of
// them: they are the node's own.
func (q *queue) greetWith(list [][]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.first = append(list, q.first...)
	for _, b := range list {
		q.greeting += len(b)
	}
}

// control adds control messages.
func (q *queue) control(c *rpc.Control) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for entry := range c.Entries {
		if q.size+len(entry) > maxControl {
			q.dropped++
			continue
		}
		q.entries = append(q.entries, entry)
		q.size += len(entry)
	}
	q.wake()
}

// publish adds a message, if there is room for it.
func (q *queue) publish(m *mesh.Message, own bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	factor, list := 1, &q.forward
	if own {
		factor, list = 2, &q.own
	}
	if !q.room(len(m.Raw), factor) {
		return false
	}
	*list = append(*list, m)
	q.messages += len(m.Raw)
	q.wake()
	return true
}

// room reports whether there is room for a message of n bytes.
func (q *queue) room(n, factor int) bool {
	if count := q.count(); count > 0 && (count >= factor*maxQueued || q.messages+n > factor*maxQueuedBytes) {
		q.dropped++
		return false
	}
	return true
}

// count is how many messages wait.
func (q *queue) count() int { return len(q.own) + len(q.forward) + len(q.partials) }

// partial adds a partial message, if there is room for it. Its metadata takes the
// place of what waits to be said about the same group.
func (q *queue) partial(p *rpc.Partial) bool {
	added := queuedPartial{p.Topic, string(p.Group), len(p.Message) == 0, rpc.AppendPartial(nil, p)}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(p.Metadata) > 0 {
		q.partials = slices.DeleteFunc(q.partials, func(o queuedPartial) bool {
			stale := o.metadata && o.topic == added.topic && o.group == added.group
			if stale {
				q.messages -= len(o.frame)
			}
			return stale
		})
	}
	if !q.room(len(added.frame), 2) {
		return false
	}
	q.partials = append(q.partials, added)
	q.messages += len(added.frame)
	q.wake()
	return true
}

// spare takes a message back that the peer has got from elsewhere.
func (q *queue) spare(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, m := range q.forward {
		if m.ID == id {
			q.messages -= len(m.Raw)
			q.forward = slices.Delete(q.forward, i, i+1)
			return true
		}
	}
	return false
}

// drain appends frames until there are writeSize bytes, or nothing is left. If
// there was nothing, whoever drains is done.
func (q *queue) drain(b []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.first) > 0 && len(b) < writeSize {
		n, size := fit(q.first)
		b = wire.AppendUvarint(b, uint64(size))
		for _, field := range q.first[:n] {
			b = append(b, field...)
		}
		q.greeting -= size
		q.first = rest(q.first, n)
	}
	for len(q.entries) > 0 && len(b) < writeSize {
		b = q.controlFrame(b)
	}
	for len(b) < writeSize && len(q.partials) > 0 {
		frame := q.partials[0].frame
		b = append(wire.AppendUvarint(b, uint64(len(frame))), frame...)
		q.messages -= len(frame)
		q.partials[0] = queuedPartial{}
		if q.partials = q.partials[1:]; len(q.partials) == 0 {
			q.partials = nil
		}
	}
	for len(b) < writeSize && len(q.own)+len(q.forward) > 0 {
		list := &q.own
		if len(q.own) == 0 {
			list = &q.forward
		}
		b = q.messageFrame(b, list)
	}
	q.sending = len(b) > 0
	return b
}

// fit is how many of a list go into one frame, and their bytes: one at least.
func fit(list [][]byte) (n, size int) {
	for n < len(list) && n < maxEntries && (n == 0 || size+len(list[n]) <= frameSize) {
		size += len(list[n])
		n++
	}
	return n, size
}

// rest is a list without its first n, and without its memory if nothing is left.
func rest(list [][]byte, n int) [][]byte {
	if n == len(list) {
		return nil
	}
	return list[n:]
}

// controlFrame appends a frame of control messages.
func (q *queue) controlFrame(b []byte) []byte {
	n, size := fit(q.entries)
	b = wire.AppendUvarint(b, uint64(rpc.SizeControl(size)))
	b = rpc.AppendControl(b, q.entries[:n]...)
	q.size -= size
	q.entries = rest(q.entries, n)
	return b
}

// messageFrame appends a frame of messages.
func (q *queue) messageFrame(b []byte, list *[]*mesh.Message) []byte {
	n, size := 1, rpc.SizePublish((*list)[0].Raw)
	for n < len(*list) && size+rpc.SizePublish((*list)[n].Raw) <= frameSize {
		size += rpc.SizePublish((*list)[n].Raw)
		n++
	}
	b = wire.AppendUvarint(b, uint64(size))
	for _, m := range (*list)[:n] {
		b = rpc.AppendPublish(b, m.Raw)
		q.messages -= len(m.Raw)
	}
	if *list = slices.Delete(*list, 0, n); len(*list) == 0 && cap(*list) > keptQueue {
		*list = nil
	}
	return b
}
