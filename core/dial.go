// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// DialRecord is the story of one dial to a peer, from Started on: every address
// that was considered, and what became of it.
type DialRecord struct {
	Peer    peer.ID
	Started time.Time
	Took    time.Duration
	// Resolved are the names that were looked up, in order. The peer itself is
	// one of them, as /p2p/ID, if a [PeerRouting] was asked where it is.
	Resolved []DialResolution
	// Attempts has one entry for each address, in the order of their ranks;
	// skipped addresses come first.
	Attempts []DialAttempt
}

// DialResolution is the lookup of one DNS multiaddr, or of /p2p/ID: the addresses that it stands
// for, or why there are none.
type DialResolution struct {
	Addr  ma.Multiaddr
	Found []ma.Multiaddr
	Took  time.Duration
	Err   error
}

// DialOutcome is what became of an address.
type DialOutcome string

// The outcomes of an address.
const (
	// DialSkipped: not tried; the attempt's Err says why.
	DialSkipped DialOutcome = "skipped"
	// DialFailed: tried without success.
	DialFailed DialOutcome = "failed"
	// DialConnected: the address that was chosen.
	DialConnected DialOutcome = "connected"
	// DialCancelled: its turn did not come, or it was given up, because
	// another address connected or the dial ended.
	DialCancelled DialOutcome = "cancelled"
)

// DialAttempt is one address of a dial.
type DialAttempt struct {
	Addr ma.Multiaddr
	// Source says where the address is from: "given", "peerstore", "routing",
	// or the name it was resolved from.
	Source  string
	Outcome DialOutcome
	// Delay is how long after the dial's start its rank let it begin.
	Delay time.Duration
	// Took is how long the attempt ran.
	Took time.Duration
	// Steps are the stages it went through, up to the one where it failed.
	Steps []DialStep
	Err   error
}

// DialStep is one stage of an attempt.
type DialStep struct {
	// Name is "dial", "negotiate security", "handshake" or "negotiate muxer".
	Name string
	// Detail names what was used, such as "tcp" or "/noise".
	Detail string
	Took   time.Duration
}

// DialError is the error of a dial that did not lead to a connection.
type DialError struct {
	Record *DialRecord
	// Cause is set where the dial ended for a reason of its own, such as the
	// context's end, or never began.
	Cause error
}

// Error implements error. It names the cause and every address.
func (e *DialError) Error() string {
	parts := []string{}
	if e.Cause != nil {
		parts = append(parts, e.Cause.Error())
	}
	for _, a := range e.Record.Attempts {
		if a.Err != nil {
			parts = append(parts, fmt.Sprintf("%s %s: %v", a.Addr, a.Outcome, a.Err))
		}
	}
	for _, r := range e.Record.Resolved {
		if r.Err != nil {
			parts = append(parts, fmt.Sprintf("%s not resolved: %v", r.Addr, r.Err))
		}
	}
	text := "dial " + e.Record.Peer.String()
	if len(parts) == 0 {
		return text
	}
	return text + ": " + strings.Join(parts, "; ")
}

// Unwrap lists the cause and the errors of the addresses.
func (e *DialError) Unwrap() []error {
	errs := []error{}
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	for _, a := range e.Record.Attempts {
		if a.Err != nil {
			errs = append(errs, a.Err)
		}
	}
	for _, r := range e.Record.Resolved {
		if r.Err != nil {
			errs = append(errs, r.Err)
		}
	}
	return errs
}

// DialTrace receives the record of a dial, whether it succeeds or fails.
type DialTrace struct {
	mu     sync.Mutex
	record *DialRecord
}

// Set stores the record.
func (t *DialTrace) Set(r *DialRecord) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record = r
}

// Record returns the record, or nil if nothing was dialled.
func (t *DialTrace) Record() *DialRecord {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.record
}

type dialTraceKey struct{}

// TraceDial makes a dial with the returned context put its record into the trace.
func TraceDial(ctx context.Context) (context.Context, *DialTrace) {
	t := new(DialTrace)
	return context.WithValue(ctx, dialTraceKey{}, t), t
}

// DialTraceOf returns the trace of a context from [TraceDial], or nil.
func DialTraceOf(ctx context.Context) *DialTrace {
	t, _ := ctx.Value(dialTraceKey{}).(*DialTrace)
	return t
}
