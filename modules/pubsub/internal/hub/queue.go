// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"context"
	"sync"

	"github.com/xnode-p2p/xnode/core/wire"
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
	// writeSize how much is written at once, in bytes.
	frameSize = 32 << 10
	writeSize = 64 << 10
)

// queue is what is to be sent to a peer: subscriptions and control messages
// first, then the node's own messages, then those of others.
type queue struct {
	ready chan struct{} // holds a token if there may be something

	mu       sync.Mutex
	first    []byte   // fields of an RPC, maxControl
	entries  [][]byte // of control messages, each encoded, maxControl together
	size     int      // bytes of entries
	own      [][]byte // encoded messages, shared with other queues
	forward  [][]byte
	messages int // bytes of own and forward
	dropped  uint64
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// fields adds fields of an RPC that come before everything else.
func (q *queue) fields(b []byte) {
	q.mu.Lock()
	if len(q.first)+len(b) <= maxControl {
		q.first = append(q.first, b...)
	} else {
		q.dropped++
	}
	q.mu.Unlock()
	q.wake()
}

// control adds control messages.
func (q *queue) control(c *rpc.Control) {
	q.mu.Lock()
	for entry := range c.Entries {
		if q.size+len(entry) > maxControl {
			q.dropped++
			continue
		}
		q.entries = append(q.entries, entry)
		q.size += len(entry)
	}
	q.mu.Unlock()
	q.wake()
}

// publish adds a message, if there is room for it.
func (q *queue) publish(raw []byte, own bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	factor, list := 1, &q.forward
	if own {
		factor, list = 2, &q.own
	}
	if count := len(q.own) + len(q.forward); count > 0 &&
		(count >= factor*maxQueued || q.messages+len(raw) > factor*maxQueuedBytes) {
		q.dropped++
		return false
	}
	*list = append(*list, raw)
	q.messages += len(raw)
	q.wake()
	return true
}

// take waits for something to send, and returns it as frames in the memory of
// buf.
func (q *queue) take(ctx context.Context, buf []byte) ([]byte, error) {
	for {
		if buf = q.drain(buf[:0]); len(buf) > 0 {
			return buf, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.ready:
		}
	}
}

// drain appends frames until there are writeSize bytes, or nothing is left.
func (q *queue) drain(b []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.first) > 0 {
		b = wire.AppendUvarint(b, uint64(len(q.first)))
		b = append(b, q.first...)
		q.first = nil
	}
	for len(q.entries) > 0 && len(b) < writeSize {
		b = q.controlFrame(b)
	}
	for len(b) < writeSize && len(q.own)+len(q.forward) > 0 {
		list := &q.own
		if len(q.own) == 0 {
			list = &q.forward
		}
		b = q.messageFrame(b, list)
	}
	if len(q.own)+len(q.forward)+len(q.entries) > 0 {
		q.wake()
	}
	return b
}

// controlFrame appends a frame of control messages.
func (q *queue) controlFrame(b []byte) []byte {
	n, size := 1, len(q.entries[0])
	for n < len(q.entries) && size+len(q.entries[n]) <= frameSize {
		size += len(q.entries[n])
		n++
	}
	joined := make([]byte, 0, size)
	for _, entry := range q.entries[:n] {
		joined = append(joined, entry...)
	}
	q.size -= size
	if q.entries = q.entries[n:]; len(q.entries) == 0 {
		q.entries = nil
	}
	frame := rpc.AppendControl(nil, joined)
	b = wire.AppendUvarint(b, uint64(len(frame)))
	return append(b, frame...)
}

// messageFrame appends a frame of messages.
func (q *queue) messageFrame(b []byte, list *[][]byte) []byte {
	n, size := 1, rpc.SizePublish((*list)[0])
	for n < len(*list) && size+rpc.SizePublish((*list)[n]) <= frameSize {
		size += rpc.SizePublish((*list)[n])
		n++
	}
	b = wire.AppendUvarint(b, uint64(size))
	for i, raw := range (*list)[:n] {
		b = rpc.AppendPublish(b, raw)
		q.messages -= len(raw)
		(*list)[i] = nil
	}
	if *list = (*list)[n:]; len(*list) == 0 {
		*list = nil
	}
	return b
}
