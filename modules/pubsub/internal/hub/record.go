// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/pbtrace"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

const (
	// maxRecorded bounds the events that wait for whom they are written to, and
	// maxRecordedBytes their bytes.
	maxRecorded      = 16 << 10
	maxRecordedBytes = 16 << 20
)

// recorder has events written down in protobuf.
type recorder struct {
	queue  chan []byte // maxRecorded
	bytes  atomic.Int64
	missed atomic.Uint64
}

// RecordTopics implements [core.TopicRecorder].
func (h *Hub) RecordTopics(ctx context.Context, w io.Writer) (missed uint64, err error) {
	return h.drain(ctx, h.newRecorder(), w)
}

func (h *Hub) newRecorder() *recorder {
	r := &recorder{queue: make(chan []byte, maxRecorded)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recorders = append(h.recorders, r)
	h.recording.Store(true)
	return r
}

// drain writes what a recorder is told, until ctx ends or the hub closes.
func (h *Hub) drain(ctx context.Context, r *recorder, w io.Writer) (missed uint64, err error) {
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.recorders = slices.DeleteFunc(h.recorders, func(o *recorder) bool { return o == r })
		h.recording.Store(len(h.recorders) > 0)
	}()
	for {
		select {
		case <-ctx.Done():
			return r.missed.Load(), errors.Join(r.flush(w), ctx.Err())
		case <-h.ctx.Done():
			return r.missed.Load(), r.flush(w)
		case b := <-r.queue:
			if err := r.write(w, b); err != nil {
				return r.missed.Load(), err
			}
		}
	}
}

func (r *recorder) write(w io.Writer, b []byte) error {
	r.bytes.Add(-int64(len(b)))
	_, err := w.Write(b)
	return err
}

// flush writes what waits.
func (r *recorder) flush(w io.Writer) error {
	for {
		select {
		case b := <-r.queue:
			if err := r.write(w, b); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// errFull ends a trace that is as long as may be.
var errFull = errors.New("the file is as large as trace_file_size allows")

// bounded is a file that grows up to a size.
type bounded struct {
	*os.File
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errFull
	}
	return b.File.Write(p)
}

// recordToFile begins to write what happens to the end of the file of the
// configuration, if there is one, until the hub closes.
func (h *Hub) recordToFile() error {
	if h.TraceFile == "" {
		return nil
	}
	f, err := os.OpenFile(h.TraceFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("trace_file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("trace_file: %w", err), f.Close())
	}
	r := h.newRecorder()
	h.wg.Go(func() {
		missed, err := h.drain(context.Background(), r, &bounded{f, h.TraceFileSize - info.Size()})
		if err = errors.Join(err, f.Close()); err != nil {
			h.Log.Error("trace of pub/sub has ended", "error", err)
		}
		if missed > 0 {
			h.Log.Warn("trace of pub/sub is not complete", "file", h.TraceFile, "missed", missed)
		}
	})
	return nil
}

// recordLocked writes an event down. Without anybody who records it costs nothing.
func (h *Hub) recordLocked(e pbtrace.Event) {
	if len(h.recorders) == 0 {
		return
	}
	e.Time, e.Self = time.Now(), h.self
	b := e.Append(nil)
	for _, r := range h.recorders {
		if r.bytes.Load()+int64(len(b)) > maxRecordedBytes {
			r.missed.Add(1)
			continue
		}
		select {
		case r.queue <- b:
			r.bytes.Add(int64(len(b)))
		default:
			r.missed.Add(1)
		}
	}
}

// recordEvent writes down what the router is told.
func (h *Hub) recordEvent(e mesh.Event) {
	if len(h.recorders) == 0 {
		return
	}
	switch e := e.(type) {
	case mesh.Joined:
		h.recordLocked(pbtrace.Event{Type: pbtrace.OnNewOutboundStream, Peer: e.Peer, Protocol: h.protocolOf(e.Peer)})
	case mesh.Left:
		h.recordLocked(pbtrace.Event{Type: pbtrace.OnClosedOutboundStream, Peer: e.Peer})
	case mesh.TopicJoined:
		h.recordLocked(pbtrace.Event{Type: pbtrace.Join, Topic: e.Topic})
	case mesh.TopicLeft:
		h.recordLocked(pbtrace.Event{Type: pbtrace.Leave, Topic: e.Topic})
	case mesh.Published:
		h.recordLocked(pbtrace.Event{Type: pbtrace.PublishMessage, ID: e.Message.ID, Topic: e.Message.Topic})
	case mesh.Accepted:
		h.recordLocked(pbtrace.Event{Type: pbtrace.DeliverMessage, Peer: e.Peer, ID: e.Message.ID, Topic: e.Message.Topic})
	case mesh.Duplicate:
		h.recordLocked(pbtrace.Event{Type: pbtrace.DuplicateMessage, Peer: e.Peer, ID: e.ID, Topic: e.Topic})
	case mesh.Rejected:
		h.recordLocked(pbtrace.Event{Type: pbtrace.RejectMessage, Peer: e.Peer, ID: e.ID, Topic: e.Topic, Reason: e.Reason})
	case mesh.Ignored:
		h.recordLocked(pbtrace.Event{Type: pbtrace.RejectMessage, Peer: e.Peer, ID: e.ID, Topic: e.Topic, Reason: e.Reason})
	}
}

func (h *Hub) protocolOf(p peer.ID) string {
	if r := h.remotes[p]; r != nil {
		return r.protocol.ID
	}
	return ""
}

// recordAction writes down what the router does.
func (h *Hub) recordAction(a mesh.Action) {
	if len(h.recorders) == 0 {
		return
	}
	switch a := a.(type) {
	case mesh.Grafted:
		h.recordLocked(pbtrace.Event{Type: pbtrace.Graft, Peer: a.Peer, Topic: a.Topic})
	case mesh.Pruned:
		h.recordLocked(pbtrace.Event{Type: pbtrace.Prune, Peer: a.Peer, Topic: a.Topic})
	case mesh.Send:
		h.recordLocked(pbtrace.Event{Type: pbtrace.SendRPC, Peer: a.Peer, RPC: &pbtrace.RPC{Control: a.Control}})
	}
}

// recordSent writes down that a message is queued for a peer, or that there was no
// room.
func (h *Hub) recordSent(p peer.ID, m *mesh.Message, sent bool) {
	if len(h.recorders) == 0 {
		return
	}
	e := pbtrace.Event{Type: pbtrace.SendRPC, Peer: p, RPC: &pbtrace.RPC{Messages: []pbtrace.Message{{ID: m.ID, Topic: m.Topic}}}}
	if !sent {
		e.Type = pbtrace.DropRPC
	}
	h.recordLocked(e)
}

// recordReceived writes down what a frame holds.
func (h *Hub) recordReceived(p peer.ID, m *rpc.RPC) {
	if len(h.recorders) == 0 {
		return
	}
	out := &pbtrace.RPC{Subscriptions: m.Subscriptions}
	for i := range m.Publish {
		out.Messages = append(out.Messages, pbtrace.Message{ID: h.name(&m.Publish[i]), Topic: m.Publish[i].Topic})
	}
	if c := &m.Control; len(c.IHave)+len(c.IWant)+len(c.Graft)+len(c.Prune)+len(c.IDontWant) > 0 {
		out.Control = c
	}
	h.recordLocked(pbtrace.Event{Type: pbtrace.RecvRPC, Peer: p, RPC: out})
}

// recordWritten writes down how long a write has taken. It is called without the
// lock.
func (h *Hub) recordWritten(p peer.ID, took time.Duration) {
	if !h.recording.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recordLocked(pbtrace.Event{Type: pbtrace.SendRPCCompleted, Peer: p, RPC: new(pbtrace.RPC), Took: took})
}
