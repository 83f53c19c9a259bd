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
	// waited: no message has come within the time of await.
	waited struct{}
	// dialled: the dial has ended.
	dialled struct{ err error }
	// broken: the stream has ended.
	broken struct{ err error }
)

// The actions of both sides.
type (
	// send: send a message.
	send struct{ message }
	// await: read the next message; received, waited or broken follows. With 0
	// there is no waited.
	await struct{ time.Duration }
	// dial: punch; dialled follows.
	dial struct {
		core.PunchDial
		addrs []ma.Multiaddr
	}
	// end: that was all.
	end struct{ err error }
)

// errNoAddrs means that one of the sides has no address that could be dialled.
var errNoAddrs = errors.New("no address that a hole could be punched to")

const (
	// minHear and two round trips are how long the initiator waits, on a TCP
	// connection, for the other side to speak, which is the client. What one of
	// them says to open it may be lost, and is said again after a second.
	minHear = 1200 * time.Millisecond
	// lateHear is how long the responder looks, in the last attempt, whether the
	// other side takes itself for the client, as some versions of go-libp2p do.
	lateHear = 500 * time.Millisecond
	// lastAttempt is the one in which they do.
	lastAttempt = 3
	// maxEarly is how long the responder waits at most before it dials.
	maxEarly = time.Second
)

type phase int

const (
	idle phase = iota
	connecting
	waiting
	dialling
	ended
)

// initiator is the side of the relayed connection that was dialled, in one
// attempt. It begins, measures how far away the other is, and is the server of
// what is dialled. It is a plain value: see step.
type initiator struct {
	own     []ma.Multiaddr
	private bool // addresses of local networks will do

	phase phase
	sent  time.Time
}

// step takes an event and returns what is to be done, in order.
func (i *initiator) step(event any, now time.Time) []any {
	switch e := event.(type) {
	case started:
		if len(i.own) == 0 {
			return i.end(errNoAddrs)
		}
		i.phase, i.sent = connecting, now
		return []any{send{message{kind: connectKind, addrs: i.own}}, await{}}
	case received:
		if i.phase != connecting || e.kind != connectKind {
			return i.end(fmt.Errorf("%w: type %d is not due", errMessage, e.kind))
		}
		addrs := usable(e.addrs, i.private)
		if len(addrs) == 0 {
			return i.end(errNoAddrs)
		}
		i.phase = dialling
		rtt := now.Sub(i.sent)
		// The specification has this side wait until the other has been told.
		// But that one's packets find the way open only if those of this side
		// have gone out before.
		return []any{send{message{kind: syncKind}}, dial{core.PunchDial{Role: core.PunchServer, RTT: rtt, Hear: minHear + 2*rtt}, addrs}}
	case dialled:
		if i.phase == dialling {
			return i.end(e.err)
		}
	case broken:
		if i.phase == connecting {
			return i.end(e.err)
		}
	}
	return nil
}

func (i *initiator) end(err error) []any {
	i.phase = ended
	return []any{end{err}}
}

// responder is the side that dialled the relayed connection, in one attempt: it
// answers and is the client of what is dialled. It is a plain value: see step.
type responder struct {
	own     []ma.Multiaddr
	private bool // addresses of local networks will do
	attempt int  // of this relayed connection, from 1
	opened  time.Time

	phase phase
	sent  time.Time
	addrs []ma.Multiaddr
}

// step takes an event and returns what is to be done, in order.
func (r *responder) step(event any, now time.Time) []any {
	switch e := event.(type) {
	case received:
		switch {
		case e.kind == connectKind && r.phase == idle:
			if r.addrs = usable(e.addrs, r.private); len(r.addrs) == 0 || len(r.own) == 0 {
				return r.end(errNoAddrs)
			}
			r.phase, r.sent = waiting, now
			return []any{send{message{kind: connectKind, addrs: r.own}}, await{r.early(now)}}
		case e.kind == syncKind && r.phase == waiting:
			return r.dial(now.Sub(r.sent))
		}
		return r.end(fmt.Errorf("%w: type %d is not due", errMessage, e.kind))
	case waited:
		if r.phase == waiting {
			return r.dial(0)
		}
	case dialled:
		if r.phase == dialling {
			return r.end(e.err)
		}
	case broken:
		if r.phase == idle || r.phase == waiting {
			return r.end(e.err)
		}
	}
	return nil
}

// early is when to dial even if the other side has not said that it dials: it does
// once it has got the answer, and its own word needs as long again. The first
// attempt begins a round trip after the relayed connection was made, at the
// earliest; the way to the other side is half as long, and without the relay
// shorter than that. What arrives too early costs nothing: it has opened the way
// for what comes from the other side.
func (r *responder) early(now time.Time) time.Duration {
	if r.attempt > 1 {
		return 0
	}
	return min(max(now.Sub(r.opened)/4, 1), maxEarly)
}

func (r *responder) dial(rtt time.Duration) []any {
	r.phase = dialling
	d := core.PunchDial{Role: core.PunchClient, RTT: rtt}
	if r.attempt >= lastAttempt {
		d.Hear = lateHear
	}
	return []any{dial{d, r.addrs}}
}

func (r *responder) end(err error) []any {
	r.phase = ended
	return []any{end{err}}
}
