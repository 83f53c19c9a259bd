// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package handover gives the connections of a shared listening socket to one of
// those who share it: the one who joined last, once it takes. When that one
// leaves, the one before it gets them again. So a reload puts a new instance of a transport in
// the place of the old one, or takes it back, and no connection is lost: one
// that nobody has taken yet waits for who is the newest by then.
package handover

import (
	"context"
	"net"
	"slices"
	"sync"
)

// Line is those who share a source of connections of type C. The zero Line has
// nobody in it. It must not be copied.
type Line[C any] struct {
	mu      sync.Mutex
	places  []*Place[C]   // in the order of joining; bounded by the listeners of a node
	changed chan struct{} // closed when places or err change; nil if nobody waits for that
	err     error         // why the line has ended
}

// Place is one who has joined.
type Place[C any] struct {
	line  *Line[C]
	conns chan C
	leave sync.Once
	left  chan struct{}
	err   error // set before left is closed

	begin sync.Once
	takes bool // has called Take; under the line's lock
}

// Join adds a place at the end of the line. On a line that has ended the place
// has been left already.
func (l *Line[C]) Join() *Place[C] {
	p := &Place[C]{line: l, conns: make(chan C), left: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		p.end(l.err)
		return p
	}
	l.places = append(l.places, p)
	l.announce()
	return p
}

// Give waits until the newest place that takes at all takes c. It fails with [net.ErrClosed] if
// there is none, with the error of [Line.End] if the line has ended, and with
// that of ctx; c is then still the caller's.
func (l *Line[C]) Give(ctx context.Context, c C) error {
	for {
		newest, changed, err := l.newest()
		if err != nil {
			return err
		}
		select {
		case newest.conns <- c:
			return nil
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *Line[C]) newest() (*Place[C], <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		return nil, nil, l.err
	case len(l.places) == 0:
		return nil, nil, net.ErrClosed
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	// One that is still getting ready leaves them to the one before it, so
	// that somebody takes them all the time.
	for _, p := range slices.Backward(l.places) {
		if p.takes {
			return p, l.changed, nil
		}
	}
	return l.places[len(l.places)-1], l.changed, nil
}

// End makes everybody leave: what was waited for in Give and Take fails with
// err, which must not be nil. Only the first call counts.
func (l *Line[C]) End(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = err
	for _, p := range l.places {
		p.end(err)
	}
	l.places = nil
	l.announce()
}

// announce wakes up who waits for a change; the lock is held.
func (l *Line[C]) announce() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Take waits for the next connection. Once the place is left it fails with
// [net.ErrClosed], or with the error of [Line.End].
func (p *Place[C]) Take() (c C, err error) {
	select {
	case <-p.left:
		return c, p.err
	default:
	}
	p.begin.Do(func() {
		p.line.mu.Lock()
		defer p.line.mu.Unlock()
		p.takes = true
		p.line.announce()
	})
	select {
	case c = <-p.conns:
		return c, nil
	case <-p.left:
		return c, p.err
	}
}

// Leave gives the place up. It may be called more than once.
func (p *Place[C]) Leave() {
	l := p.line
	l.mu.Lock()
	defer l.mu.Unlock()
	p.end(net.ErrClosed)
	l.places = slices.DeleteFunc(l.places, func(o *Place[C]) bool { return o == p })
	l.announce()
}

// end makes Take fail; the line's lock is held.
func (p *Place[C]) end(err error) {
	p.leave.Do(func() {
		p.err = err
		close(p.left)
	})
}
