// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"slices"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// Admissions lets connections of a [core.MuxedTransport] in and keeps a list.
type Admissions struct {
	mu      sync.Mutex
	refusal error
	list    []*TestAdmission
}

// TestAdmission is one connection's.
type TestAdmission struct {
	*Memory
	Remote ma.Multiaddr

	end   sync.Once
	ended chan struct{}

	mu    sync.Mutex
	yield func()
}

// Admit is a [core.Admit].
func (a *Admissions) Admit(remote ma.Multiaddr) (core.Admission, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refusal != nil {
		return nil, a.refusal
	}
	admission := &TestAdmission{Memory: NewMemory(-1), Remote: remote, ended: make(chan struct{})}
	a.list = append(a.list, admission)
	return admission, nil
}

// Refuse makes Admit return err from now on, unless it is nil.
func (a *Admissions) Refuse(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refusal = err
}

// List returns what was admitted, in order.
func (a *Admissions) List() []*TestAdmission {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.list)
}

// OnYield implements [core.Admission].
func (a *TestAdmission) OnYield(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.yield = f
}

// Yield has the connection give way, and returns false if its transport cannot
// do that.
func (a *TestAdmission) Yield() bool {
	a.mu.Lock()
	f := a.yield
	a.mu.Unlock()
	if f != nil {
		f()
	}
	return f != nil
}

// Done implements [core.Admission].
func (a *TestAdmission) Done() { a.end.Do(func() { close(a.ended) }) }

// Ended reports whether Done was called.
func (a *TestAdmission) Ended() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

// WaitEnded fails the test if Done is not called.
func (a *TestAdmission) WaitEnded(t *testing.T, number int) {
	t.Helper()
	select {
	case <-a.ended:
	case <-time.After(30 * time.Second):
		t.Errorf("admission %d of %s is not given back", number, a.Remote)
	}
}

var _ core.Admission = (*TestAdmission)(nil)
