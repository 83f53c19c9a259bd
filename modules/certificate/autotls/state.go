// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"fmt"
	"slices"
	"time"
)

// Phase is what the module is doing.
type Phase string

// The phases. The usual order is that in which they stand here.
const (
	// WaitingPublicAddr: the node has no address that the broker could dial.
	WaitingPublicAddr Phase = "waiting-public-addr"
	// WaitingBroker: the broker is asked whether it is there.
	WaitingBroker Phase = "waiting-broker"
	// Ordering: the authority and the broker are at work.
	Ordering Phase = "ordering"
	// Issued: there is a certificate, and nothing to do.
	Issued Phase = "issued"
	// Failed: an attempt has failed, and it is not yet time for the next one.
	Failed Phase = "failed"
)

// State is where the module stands. A certificate that is being renewed, or whose
// renewal has failed, stays in use until it ends.
type State struct {
	// Phase is empty before Start.
	Phase Phase `json:"phase"`
	// Until is when the certificate in use ends; zero if there is none.
	Until time.Time `json:"until,omitzero"`
	// Reason is why the last attempt failed.
	Reason string `json:"reason,omitempty"`
	// Next is when the next attempt is made: the first of a renewal if Phase is
	// Issued, the next one if it is Failed.
	Next time.Time `json:"next,omitzero"`
}

// String says it in words.
func (s State) String() string {
	const layout = time.RFC3339
	switch s.Phase {
	case "":
		return "not started"
	case WaitingPublicAddr:
		return string(s.Phase) + ": the node has no public address, other than /tls/ws, that the broker could dial"
	case Issued:
		return fmt.Sprintf("issued until %s", s.Until.UTC().Format(layout))
	case Failed:
		return fmt.Sprintf("failed: %s; next try at %s", s.Reason, s.Next.UTC().Format(layout))
	}
	return string(s.Phase)
}

// State returns where the module stands.
func (a *AutoTLS) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// set changes the state. Each change is told once.
func (a *AutoTLS) set(s State) {
	a.mu.Lock()
	if a.current != nil {
		s.Until = a.current.end()
	}
	before := a.state
	a.state = s
	a.mu.Unlock()
	if before.Phase == s.Phase && before.Until.Equal(s.Until) && before.Next.Equal(s.Next) {
		return
	}
	attrs := []any{"state", string(s.Phase), "name", a.names.wildcard}
	if !s.Until.IsZero() {
		attrs = append(attrs, "valid_until", s.Until)
	}
	if !s.Next.IsZero() {
		attrs = append(attrs, "next", s.Next)
	}
	if s.Phase == Failed {
		a.log.Warn("certificate", append(attrs, "error", s.Reason)...)
		return
	}
	a.log.Info("certificate", attrs...)
}

// use makes c the certificate in use; nil means none.
func (a *AutoTLS) use(c *issued) {
	a.mu.Lock()
	a.current = c
	watches := slices.Clone(a.watches)
	a.mu.Unlock()
	for _, w := range watches {
		(*w)()
	}
}

// inUse returns the certificate in use, or nil.
func (a *AutoTLS) inUse() *issued {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

func without(watches []*func(), w *func()) []*func() {
	return slices.DeleteFunc(slices.Clone(watches), func(o *func()) bool { return o == w })
}
