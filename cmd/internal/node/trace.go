// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"context"
	"errors"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// Trace is the story of a dial.
type Trace struct {
	// Target is what was asked for, Peer the peer it names.
	Target    string        `json:"target"`
	Peer      string        `json:"peer"`
	Connected bool          `json:"connected"`
	Started   time.Time     `json:"started"`
	Took      time.Duration `json:"took_ns"`
	// Code is the verdict as one word that does not change, Verdict the same
	// as a sentence, Hint what to do about it.
	Code    string `json:"code"`
	Verdict string `json:"verdict"`
	Hint    string `json:"hint,omitempty"`
	// Resolved are the names that were looked up, Attempts the addresses:
	// those that were skipped, then the others in the order of their ranks.
	Resolved []Resolution `json:"resolved"`
	Attempts []Attempt    `json:"attempts"`
	// Identify is what the peer said of itself once connected.
	Identify      *Info  `json:"identify,omitempty"`
	IdentifyError string `json:"identify_error,omitempty"`
}

// Resolution is the lookup of a name, or of the peer: then Addr is /p2p/ID.
type Resolution struct {
	Addr  string        `json:"addr"`
	Found []string      `json:"found"`
	Took  time.Duration `json:"took_ns"`
	Error string        `json:"error,omitempty"`
}

// Attempt is what became of one address.
type Attempt struct {
	Addr string `json:"addr"`
	// Source says where the address is from: "given", "peerstore", "routing",
	// or the name it was resolved from.
	Source string `json:"source,omitempty"`
	// Outcome is "skipped", "failed", "connected" or "cancelled".
	Outcome core.DialOutcome `json:"outcome"`
	// Delay is how long after the dial's start it could begin.
	Delay time.Duration `json:"delay_ns"`
	Took  time.Duration `json:"took_ns"`
	Steps []Step        `json:"steps"`
	Error string        `json:"error,omitempty"`
}

// Step is a stage of an attempt; the last one is where it ended.
type Step struct {
	Name   string        `json:"name"`
	Detail string        `json:"detail,omitempty"`
	Took   time.Duration `json:"took_ns"`
}

// TraceDial dials a peer and tells what happened. That the dial fails is part
// of the story and no error.
func TraceDial(ctx context.Context, h *host.Host, target string, p peer.AddrInfo) Trace {
	for _, c := range h.ConnsTo(p.ID) {
		t := Trace{Target: wire.Text(target, maxText), Peer: p.ID.String(), Connected: true, Started: time.Now(),
			Resolved: []Resolution{}, Attempts: []Attempt{}}
		t.Code, t.Verdict = "already_connected", "connected already, at "+text(c.RemoteMultiaddr())
		t.Hint = "disconnect first to see a dial: xnode disconnect " + p.ID.String()
		t.identify(ctx, h, c)
		return t
	}
	traced, trace := core.TraceDial(ctx)
	conn, err := h.Connect(core.AllowLimited(traced), p)
	r := trace.Record()
	if r == nil {
		r = &core.DialRecord{Peer: p.ID, Started: time.Now()}
	}
	t := tell(target, r, err)
	if err == nil {
		t.identify(ctx, h, conn)
	}
	return t
}

func (t *Trace) identify(ctx context.Context, h *host.Host, c core.Conn) {
	if err := h.WaitIdentified(ctx, c); err != nil {
		t.IdentifyError = wire.Text(err.Error(), maxText)
		return
	}
	i := remote(h, c)
	t.Identify = &i
}

// tell makes the story of a dial's record; err is how the dial ended.
func tell(target string, r *core.DialRecord, err error) Trace {
	t := Trace{
		Target:    wire.Text(target, maxText),
		Peer:      r.Peer.String(),
		Connected: err == nil,
		Started:   r.Started,
		Took:      r.Took,
		Resolved:  []Resolution{},
		Attempts:  []Attempt{},
	}
	for _, n := range r.Resolved {
		t.Resolved = append(t.Resolved, Resolution{text(n.Addr), texts(n.Found, ""), n.Took, errorText(n.Err)})
	}
	for _, a := range r.Attempts {
		out := Attempt{
			Addr: text(a.Addr), Source: wire.Text(a.Source, maxText), Outcome: a.Outcome,
			Delay: a.Delay, Took: a.Took, Steps: []Step{}, Error: errorText(a.Err),
		}
		for _, s := range a.Steps {
			out.Steps = append(out.Steps, Step{s.Name, wire.Text(s.Detail, maxName), s.Took})
		}
		t.Attempts = append(t.Attempts, out)
	}
	v := judge(r, err)
	t.Code, t.Verdict, t.Hint = v.code, v.sentence, v.hint
	return t
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return wire.Text(err.Error(), maxText)
}

// causeOf is the reason for which a dial ended before its addresses were
// tried, or nil.
func causeOf(err error) error {
	if failed := (*core.DialError)(nil); errors.As(err, &failed) {
		return failed.Cause
	}
	return err
}
