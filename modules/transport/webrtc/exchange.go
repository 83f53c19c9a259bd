// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"errors"
	"fmt"
	"io"
)

// maxMessages bounds the messages that the remote sends. Browsers send a dozen.
const maxMessages = 256

// errOrder means that the remote says something when it is not its turn.
var errOrder = errors.New("a signalling message out of turn")

// exchange is what the two sides tell each other until they are connected: an
// offer, an answer, and the candidates of both while they are found. It is a
// state machine without I/O.
type exchange struct {
	offerer bool
	local   description // setup is chosen by the exchange
	session uint64      // the number of the description

	remote    description
	described bool // both sides have been
	messages  int
	taken     int      // candidates of the remote's, at most maxCandidates
	waiting   []string // candidates that are to follow the answer; at most maxCandidates
	sent      int      // candidates of ours, at most maxCandidates
	mute      bool     // the remote says no more
	over      bool
}

// event is what happens to an exchange: one of the types below.
type event any

type (
	// begun: there are local credentials.
	begun struct{}
	// received is a message of the remote's.
	received struct{ message message }
	// found is a local candidate, the value of its attribute.
	found struct{ candidate string }
	// hushed: the remote's side of the signalling stream has ended.
	hushed struct{ err error }
	// connected: the two sides reach each other.
	connected struct{}
	// failed: they do not.
	failed struct{ err error }
)

// action is what is to be done: one of the types below.
type action any

type (
	// say sends a message.
	say struct{ message message }
	// start begins to look for a way to the remote.
	start struct{ remote description }
	// try adds a candidate of the remote's.
	try struct{ candidate string }
	// finish ends the exchange, without an error if the two are connected.
	finish struct{ err error }
)

// step takes an event. After finish there are no more actions.
func (x *exchange) step(e event) []action {
	if x.over {
		return nil
	}
	var actions []action
	var err error
	switch e := e.(type) {
	case begun:
		if x.offerer {
			x.local.setup = actpass
			actions = append(actions, say{message{sdpOffer, x.local.marshal(x.session)}})
		}
	case received:
		actions, err = x.receive(e.message)
	case found:
		actions = x.tell(e.candidate)
	case hushed:
		x.mute = true
		// A remote that is connected may leave at once; that this side is too
		// shows before long. To be cut off before is another thing.
		if !x.described {
			err = fmt.Errorf("the signalling stream ended early: %w", e.err)
			if e.err == nil || errors.Is(e.err, io.EOF) {
				err = fmt.Errorf("the signalling stream ended early: %w", io.ErrUnexpectedEOF)
			}
		}
	case connected:
		x.over = true
		return []action{finish{}}
	case failed:
		err = e.err
	}
	if err != nil {
		x.over = true
		actions = append(actions, finish{err})
	}
	return actions
}

// receive takes a message of the remote's.
func (x *exchange) receive(m message) ([]action, error) {
	if x.messages++; x.messages > maxMessages {
		return nil, fmt.Errorf("%w: more than %d", errOrder, maxMessages)
	}
	switch m.kind {
	case sdpOffer, sdpAnswer:
		if x.described || (m.kind == sdpOffer) == x.offerer {
			return nil, fmt.Errorf("%w: %s", errOrder, m.kind)
		}
		return x.describe(m.data)
	case iceCandidate:
		if x.offerer || x.described {
			return x.candidate(m.data)
		}
		return nil, fmt.Errorf("%w: %s before the offer", errOrder, m.kind)
	}
	return nil, nil // there may be others
}

// describe takes the remote's description, and answers if it is an offer.
func (x *exchange) describe(text string) ([]action, error) {
	d, err := parseDescription(text)
	if err != nil {
		return nil, err
	}
	var actions []action
	if x.offerer {
		if d.setup == actpass {
			return nil, fmt.Errorf("%w: an answer with setup %s", errDescription, d.setup)
		}
	} else {
		x.local.mid = d.mid
		x.local.setup = active
		if d.setup == active {
			x.local.setup = passive
		}
		actions = append(actions, say{message{sdpAnswer, x.local.marshal(x.session)}})
	}
	x.remote, x.described = d, true
	actions = append(actions, start{d})
	for _, c := range d.candidates {
		actions = append(actions, x.take(c)...)
	}
	for _, c := range x.waiting {
		actions = append(actions, x.sayCandidate(c))
	}
	x.waiting = nil
	return actions, nil
}

// candidate takes one of the remote's. One that cannot be read is passed over, as
// browsers do; what is not JSON is not.
func (x *exchange) candidate(data string) ([]action, error) {
	text, err := decodeCandidate(data)
	if err != nil || text == "" {
		return nil, err
	}
	return x.take(text), nil
}

func (x *exchange) take(candidate string) []action {
	if x.taken >= maxCandidates {
		return nil
	}
	x.taken++
	return []action{try{candidate}}
}

// tell sends a local candidate, after the description.
func (x *exchange) tell(candidate string) []action {
	if x.sent >= maxCandidates {
		return nil
	}
	x.sent++
	if !x.offerer && !x.described {
		x.waiting = append(x.waiting, candidate)
		return nil
	}
	return []action{x.sayCandidate(candidate)}
}

func (x *exchange) sayCandidate(candidate string) action {
	return say{message{iceCandidate, encodeCandidate(candidate, x.local.mid, x.local.fragment)}}
}

// client tells whether this side begins the DTLS handshake.
func (x *exchange) client() bool {
	if x.offerer {
		return x.remote.setup == passive
	}
	return x.local.setup == active
}

// controlling tells whether this side decides which way is taken: the offerer,
// unless it cannot.
func (x *exchange) controlling() bool { return x.offerer || x.remote.lite }
