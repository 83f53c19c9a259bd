// SPDX-License-Identifier: Apache-2.0 OR MIT

package holepunch

import (
	"errors"
	"fmt"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// The events of both sides.
type (
	// started: the initiator may begin.
	started struct{}
	// received: a message has come.
	received struct{ message }
	// waited: the time of wait is over.
	waited struct{}
	// dialled: the dial has ended.
	dialled struct{ err error }
	// broken: the stream has ended.
	broken struct{ err error }
)

// The actions of both sides.
type (
	// open: open a new stream; the messages after it are for that.
	open struct{}
	// send: send a message.
	send struct{ message }
	// wait: wait; waited follows.
	wait struct{ time.Duration }
	// dial: punch; dialled follows.
	dial struct {
		role  core.PunchRole
		addrs []ma.Multiaddr
		rtt   time.Duration
	}
	// end: that was all.
	end struct{ err error }
)

// errNoAddrs means that one of the sides has no address that could be dialled.
var errNoAddrs = errors.New("no address that a hole could be punched to")

// initiator is the side of the relayed connection that was dialled. It begins
// every attempt, on a stream of its own, and measures how far away the other is.
// It is a plain value: see step.
type initiator struct {
	own      []ma.Multiaddr
	private  bool // addresses of local networks will do
	attempts int  // at most

	attempt int
	phase   phase
	sent    time.Time
	rtt     time.Duration
	addrs   []ma.Multiaddr
}

type phase int

const (
	idle phase = iota
	connecting
	waiting
	dialling
)

// step takes an event and returns what is to be done, in order.
func (i *initiator) step(event any, now time.Time) []any {
	switch e := event.(type) {
	case started:
		if len(i.own) == 0 {
			return []any{end{errNoAddrs}}
		}
		return i.begin(now)
	case received:
		if i.phase != connecting || e.kind != connectKind {
			return i.fail(fmt.Errorf("%w: type %d is not due", errMessage, e.kind))
		}
		if i.addrs = usable(e.addrs, i.private); len(i.addrs) == 0 {
			return i.fail(errNoAddrs)
		}
		i.rtt = now.Sub(i.sent)
		i.phase = waiting
		return []any{send{message{kind: syncKind}}, wait{i.rtt / 2}}
	case waited:
		if i.phase == waiting {
			i.phase = dialling
			return []any{dial{i.role(), i.addrs, i.rtt}}
		}
	case dialled:
		if i.phase != dialling {
			return nil
		}
		if e.err == nil || i.attempt == i.attempts {
			return i.fail(e.err)
		}
		return i.begin(now)
	case broken:
		if i.phase == connecting {
			return i.fail(e.err)
		}
	}
	return nil
}

// begin begins the next attempt.
func (i *initiator) begin(now time.Time) []any {
	i.attempt++
	i.phase = connecting
	i.sent = now
	return []any{open{}, send{message{kind: connectKind, addrs: i.own}}}
}

func (i *initiator) fail(err error) []any {
	i.phase = idle
	return []any{end{err}}
}

// role is the server's, as the specification has it, but in the second attempt:
// what has failed in the first may be that only packets of this side get through,
// and then this side has to be the one that dials.
func (i *initiator) role() core.PunchRole {
	if i.attempt == 2 {
		return core.PunchClient
	}
	return core.PunchServer
}

// responder is the side that dialled the relayed connection: it answers and is
// the client of what is dialled. One stream may have several attempts.
type responder struct {
	own      []ma.Multiaddr
	private  bool // addresses of local networks will do
	attempts int  // at most

	attempt int
	phase   phase
	addrs   []ma.Multiaddr
}

// step takes an event and returns what is to be done, in order.
func (r *responder) step(event any) []any {
	switch e := event.(type) {
	case received:
		switch {
		case e.kind == connectKind && r.phase == idle && r.attempt < r.attempts:
			if r.addrs = usable(e.addrs, r.private); len(r.addrs) == 0 || len(r.own) == 0 {
				return []any{end{errNoAddrs}}
			}
			r.attempt++
			r.phase = waiting
			return []any{send{message{kind: connectKind, addrs: r.own}}}
		case e.kind == syncKind && r.phase == waiting:
			r.phase = dialling
			return []any{dial{role: core.PunchClient, addrs: r.addrs}}
		}
		return []any{end{fmt.Errorf("%w: type %d is not due", errMessage, e.kind)}}
	case dialled:
		r.phase = idle
		if e.err == nil || r.attempt == r.attempts {
			return []any{end(e)}
		}
	case broken:
		return []any{end(e)}
	}
	return nil
}
