// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/xnode-p2p/xnode/core"
)

// handlers are the served protocols. The latest registration of a protocol
// serves it; when that is removed, the one before it does again.
type handlers struct {
	table   atomic.Pointer[handlerTable]
	changed func(protocols []string)
	log     *slog.Logger

	mu      sync.Mutex // held while the table is replaced
	told    []string   // the protocols that changed was called with last
	telling bool       // somebody calls changed, until told is what the table has
}

// handlerTable is never changed, only replaced.
type handlerTable struct {
	exact    map[string][]*registration // the last one serves
	matching []*registration            // the last one that matches serves
}

// registration is one call of Handle.
type registration struct {
	protocol string
	handler  core.StreamHandler
	options  core.HandleOptions

	mu      sync.Mutex
	idle    sync.Cond
	streams map[*Stream]struct{} // being served; bounded by the limits
	removed bool
}

func (h *handlers) init(log *slog.Logger, changed func([]string)) {
	h.log, h.changed = log, changed
	h.table.Store(&handlerTable{exact: map[string][]*registration{}})
}

// find returns the registration that serves protocol p, or nil.
func (h *handlers) find(p string) *registration {
	t := h.table.Load()
	if regs := t.exact[p]; len(regs) > 0 {
		return regs[len(regs)-1]
	}
	for _, r := range slices.Backward(t.matching) {
		if h.matches(r, p) {
			return r
		}
	}
	return nil
}

// matches asks a registration whether it serves p, which is what a remote sent.
func (h *handlers) matches(r *registration, p string) (ok bool) {
	defer func() {
		if value := recover(); value != nil {
			ok = false
			h.log.Error("panic in a protocol's Match", "protocol", r.protocol,
				"panic", fmt.Sprint(value), "stack", string(debug.Stack()))
		}
	}()
	return r.options.Match(p)
}

// Handle implements [core.Streams].
func (s *Swarm) Handle(protocol string, f core.StreamHandler, opts ...core.HandleOption) (remove func()) {
	r := &registration{protocol: protocol, handler: f, streams: make(map[*Stream]struct{})}
	r.idle.L = &r.mu
	for _, o := range opts {
		o(&r.options)
	}
	s.handlers.update(func(t *handlerTable) {
		t.exact[protocol] = append(slices.Clone(t.exact[protocol]), r)
		if r.options.Match != nil {
			t.matching = append(slices.Clone(t.matching), r)
		}
	})
	return sync.OnceFunc(func() {
		s.handlers.update(func(t *handlerTable) {
			is := func(o *registration) bool { return o == r }
			t.exact[protocol] = slices.DeleteFunc(slices.Clone(t.exact[protocol]), is)
			if len(t.exact[protocol]) == 0 {
				delete(t.exact, protocol)
			}
			t.matching = slices.DeleteFunc(slices.Clone(t.matching), is)
		})
		r.close()
	})
}

// update replaces the table and tells of it if the served protocols changed.
// Who is told may change them again; everybody is told of that afterwards.
func (h *handlers) update(change func(*handlerTable)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.table.Load()
	next := &handlerTable{exact: maps.Clone(old.exact), matching: old.matching}
	change(next)
	h.table.Store(next)
	if h.telling {
		return // whoever is, tells of this table next
	}
	h.telling = true
	for now := next.protocols(); !slices.Equal(h.told, now); now = h.table.Load().protocols() {
		h.told = now
		h.mu.Unlock()
		h.changed(slices.Clone(now))
		h.mu.Lock()
	}
	h.telling = false
}

func (t *handlerTable) protocols() []string { return slices.Sorted(maps.Keys(t.exact)) }

// Protocols lists the served protocols, sorted.
func (s *Swarm) Protocols() []string { return s.handlers.table.Load().protocols() }

// enter notes that st is being served; false if the registration was removed.
func (r *registration) enter(st *Stream) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.removed {
		return false
	}
	r.streams[st] = struct{}{}
	return true
}

func (r *registration) leave(st *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.streams, st)
	if len(r.streams) == 0 {
		r.idle.Broadcast()
	}
}

// close resets the streams that are being served and waits for their handlers.
func (r *registration) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removed = true
	serving := slices.Collect(maps.Keys(r.streams))
	r.mu.Unlock()
	var resetting sync.WaitGroup
	for _, st := range serving { // at once: telling a peer that hardly reads takes time
		resetting.Go(func() { st.Reset(core.StreamShutdown) })
	}
	resetting.Wait()
	r.mu.Lock()
	for len(r.streams) > 0 {
		r.idle.Wait()
	}
}
