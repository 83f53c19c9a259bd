// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"container/list"
	"context"
	"errors"
	"net"
	"sync"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// errCrowded ends a handshake that makes room for others.
var errCrowded = errors.New("other handshakes needed the place")

// handshake is an inbound connection until it is accepted.
type handshake struct {
	listener *listener
	remote   ma.Multiaddr
	ctx      context.Context
	cancel   context.CancelCauseFunc
	// place is in listener.unproven or listener.proven; nil once it is given
	// back. It is guarded by listener.mu.
	place *list.Element

	mu        sync.Mutex
	over      bool
	admission core.Admission // nil until the address is proven
}

// enter finds a place for a handshake. If there is none, the oldest handshake
// has to go: an honest one takes a few round trips, and a flood fills any number
// of places. It returns nil if the listener is closed.
func (l *listener) enter(remote ma.Multiaddr) *handshake {
	h := &handshake{listener: l, remote: remote}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.pushLocked(&l.unproven, h)
	return h
}

func (l *listener) pushLocked(to *list.List, h *handshake) {
	if to.Len() >= l.transport.MaxHandshakes {
		oldest := to.Front()
		to.Remove(oldest)
		oldest.Value.(*handshake).cancel(errCrowded)
	}
	h.place = to.PushBack(h)
}

// leave gives the place back.
func (h *handshake) leave() {
	l := h.listener
	l.mu.Lock()
	l.unproven.Remove(h.place) // at most one has it
	l.proven.Remove(h.place)
	h.place = nil
	l.mu.Unlock()
	h.cancel(nil)
}

// prove has the connection admitted: the remote has shown that its address is
// its own. With an error it is not let in.
func (h *handshake) prove() error {
	err := h.admit()
	if err != nil {
		h.cancel(err)
		return err
	}
	l := h.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.place != nil {
		l.unproven.Remove(h.place)
		l.pushLocked(&l.proven, h)
	}
	return nil
}

func (h *handshake) admit() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return net.ErrClosed
	}
	admission, err := h.listener.admit(h.remote)
	if err != nil {
		return err
	}
	h.admission = admission
	admission.OnYield(func() { h.cancel(errCrowded) })
	return nil
}

// admitted returns the connection's memory.
func (h *handshake) admitted() core.ConnMemory {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.admission
}

// giveBack ends what admit has begun, or will.
func (h *handshake) giveBack() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	if h.admission != nil {
		h.admission.Done()
	}
}
