// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
)

const (
	// maxIdlePerPeer is how many streams to one peer are kept for later.
	maxIdlePerPeer = 2
	// maxIdle is how many streams are kept for later in all.
	maxIdle = 1024
	// idleTime is how long a stream is kept for later. Others end those that
	// have been idle for a minute.
	idleTime = 30 * time.Second
)

// errUnexpected says that a peer answered something else than it was asked.
var errUnexpected = errors.New("the answer is not one to the request")

// lines are the streams on which this node asks others. One that has been used
// is kept for a while: the next request then needs no negotiation.
type lines struct {
	node     core.Node
	protocol string

	mu     sync.Mutex
	closed bool
	idle   map[peer.ID][]*line // at most maxIdlePerPeer each
	order  list.List           // of the idle lines, those idle for longest last; at most maxIdle
}

// line is a stream, which one request at a time uses.
type line struct {
	s     core.Stream
	r     *kadwire.Reader
	peer  peer.ID
	since time.Time     // since when it is idle
	place *list.Element // while it is idle
	// owed counts announcements sent on it. They have no answer, but some peers
	// send one.
	owed int
}

func newLines(node core.Node, protocol string) *lines {
	return &lines{node: node, protocol: protocol, idle: make(map[peer.ID][]*line)}
}

// prepare makes sure that there is a connection to p.
func (l *lines) prepare(ctx context.Context, p peer.ID) error {
	if len(l.node.ConnsTo(p)) > 0 {
		return nil
	}
	_, err := l.node.Connect(core.NoLookup(ctx), peer.AddrInfo{ID: p})
	return err
}

// request sends a message to p and returns the answer, whose bytes are the
// caller's. It ends with ctx.
func (l *lines) request(ctx context.Context, p peer.ID, t kadwire.Type, frame []byte) (*kadwire.Message, error) {
	for {
		ln, used, err := l.take(ctx, p)
		if err != nil {
			return nil, err
		}
		answer, err := ln.request(ctx, t, frame)
		if err == nil {
			l.keep(ln)
			return answer, nil
		}
		ln.drop()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !used { // a used one may have ended meanwhile
			return nil, fmt.Errorf("%v %v: %w", t, p, err)
		}
	}
}

// send sends a message to p that has no answer.
func (l *lines) send(ctx context.Context, p peer.ID, frame []byte) error {
	for {
		ln, used, err := l.take(ctx, p)
		if err != nil {
			return err
		}
		if err = ln.write(ctx, frame); err == nil {
			ln.owed++
			l.keep(ln)
			return nil
		}
		ln.drop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !used {
			return fmt.Errorf("send %v: %w", p, err)
		}
	}
}

// take returns a line to p, and whether it has been used before.
func (l *lines) take(ctx context.Context, p peer.ID) (_ *line, used bool, err error) {
	l.mu.Lock()
	if n := len(l.idle[p]); n > 0 {
		ln := l.idle[p][n-1]
		l.forgetLocked(ln)
		l.mu.Unlock()
		return ln, true, nil
	}
	l.mu.Unlock()
	s, err := l.node.NewStream(core.NoLookup(ctx), p, l.protocol)
	if err != nil {
		return nil, false, err
	}
	return &line{s: s, r: kadwire.NewReader(s), peer: p}, false, nil
}

// keep makes a line idle.
func (l *lines) keep(ln *line) {
	l.mu.Lock()
	var surplus []*line
	if l.closed || len(l.idle[ln.peer]) >= maxIdlePerPeer {
		surplus = append(surplus, ln)
	} else {
		ln.since = time.Now()
		ln.place = l.order.PushFront(ln)
		l.idle[ln.peer] = append(l.idle[ln.peer], ln)
		if l.order.Len() > maxIdle {
			surplus = append(surplus, l.forgetLocked(l.order.Back().Value.(*line)))
		}
	}
	l.mu.Unlock()
	for _, ln := range surplus {
		ln.end()
	}
}

// forgetLocked takes a line from the idle ones.
func (l *lines) forgetLocked(ln *line) *line {
	l.order.Remove(ln.place)
	rest := l.idle[ln.peer]
	for i, other := range rest {
		if other == ln {
			rest = append(rest[:i], rest[i+1:]...)
			break
		}
	}
	if len(rest) == 0 {
		delete(l.idle, ln.peer)
	} else {
		l.idle[ln.peer] = rest
	}
	return ln
}

// sweep ends the lines that have been idle for long.
func (l *lines) sweep(now time.Time) {
	for {
		l.mu.Lock()
		back := l.order.Back()
		if back == nil || now.Sub(back.Value.(*line).since) < idleTime {
			l.mu.Unlock()
			return
		}
		ln := l.forgetLocked(back.Value.(*line))
		l.mu.Unlock()
		ln.end()
	}
}

// hangUp ends the idle lines to a peer, which is not connected any more.
func (l *lines) hangUp(p peer.ID) {
	l.mu.Lock()
	lines := append([]*line(nil), l.idle[p]...)
	for _, ln := range lines {
		l.forgetLocked(ln)
	}
	l.mu.Unlock()
	for _, ln := range lines {
		ln.drop()
	}
}

// close ends all idle lines, and keeps none from then on.
func (l *lines) close() {
	l.mu.Lock()
	l.closed = true
	var all []*line
	for e := l.order.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*line))
	}
	l.order.Init()
	clear(l.idle)
	l.mu.Unlock()
	for _, ln := range all {
		ln.drop()
	}
}

// count tells how many lines are idle.
func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Len()
}

func (ln *line) write(ctx context.Context, frame []byte) error {
	defer ln.bind(ctx)()
	_, err := ln.s.Write(frame)
	return err
}

func (ln *line) request(ctx context.Context, t kadwire.Type, frame []byte) (*kadwire.Message, error) {
	defer ln.bind(ctx)()
	if _, err := ln.s.Write(frame); err != nil {
		return nil, err
	}
	for {
		b, err := ln.r.Next()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		answer := new(kadwire.Message)
		if err := answer.Decode(b); err != nil {
			return nil, err
		}
		if answer.Type == kadwire.AddProvider && ln.owed > 0 {
			ln.owed--
			continue
		}
		if answer.Type != t {
			return nil, fmt.Errorf("%w: %v", errUnexpected, answer.Type)
		}
		ln.r.Keep()
		return answer, nil
	}
}

// bind makes reads and writes of the stream end with ctx, until it is let go.
func (ln *line) bind(ctx context.Context) (release func()) {
	deadline, _ := ctx.Deadline()
	ln.s.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { ln.s.Reset(core.StreamNoError) })
	return func() { stop() }
}

// end closes the stream.
func (ln *line) end() {
	ln.s.Close()
	ln.r.Free()
}

// drop resets the stream.
func (ln *line) drop() {
	ln.s.Reset(core.StreamNoError)
	ln.r.Free()
}
