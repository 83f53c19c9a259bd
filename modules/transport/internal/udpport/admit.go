// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
)

// attempt is an inbound connection from its first packet on.
type attempt struct {
	account
	gone      chan struct{} // closed when the socket has forgotten the connection
	socket    *socket
	remote    netip.AddrPort
	proven    bool
	admission core.Admission

	// Guarded by the socket's lock.
	owner       *QUICListener // who has its protocol; nil until that is known
	handshaking bool
	counted     bool // it is a user of the socket
	delivered   bool // Accept has returned it, and the admission with it
	ended       bool
}

// attemptKey is where the context of a connection has its attempt.
type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// mustValidate tells whether a remote has to prove its address before anything
// is done for it.
func (s *socket) mustValidate(remote net.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crowd.mustProve(addrPort(remote).Addr())
}

// admit decides about a connection before its handshake. With an error the
// remote is told that it is refused, and nothing is kept of it.
func (s *socket) admit(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	a := &attempt{
		gone:        make(chan struct{}),
		socket:      s,
		remote:      addrPort(info.RemoteAddr),
		proven:      info.AddrVerified,
		handshaking: true,
	}
	remote, err := QUICMultiaddr(a.remote)
	if err != nil {
		return nil, err
	}
	ask, err := s.enter(a)
	if err != nil {
		return nil, err
	}
	if a.admission, err = ask(remote); err != nil {
		s.mu.Lock()
		s.crowd.leave(a.remote.Addr(), a.proven)
		s.mu.Unlock()
		return nil, err
	}
	a.memory = a.admission
	context.AfterFunc(ctx, a.end)
	return withGone(context.WithValue(ctx, attemptKey{}, a), a.gone), nil
}

// enter counts a handshake, and returns whom to ask about it.
func (s *socket) enter(a *attempt) (core.Admit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.listeners) == 0 {
		return nil, net.ErrClosed
	}
	if s.crowd.full() {
		return nil, fmt.Errorf("%d handshakes are under way", maxHandshakes)
	}
	s.crowd.enter(a.remote.Addr(), a.proven)
	return s.listeners[len(s.listeners)-1].options.Admit, nil
}

// end is called when the connection has ended, or its handshake has failed.
func (a *attempt) end() {
	defer close(a.gone)
	s := a.socket
	s.mu.Lock()
	a.ended = true
	a.settleLocked()
	counted, delivered := a.counted, a.delivered
	s.mu.Unlock()
	a.close()
	if !delivered {
		a.admission.Done()
	}
	if counted {
		s.drop()
	}
}

// settleLocked ends the handshake.
func (a *attempt) settleLocked() {
	if a.handshaking {
		a.handshaking = false
		a.socket.crowd.leave(a.remote.Addr(), a.proven)
	}
}

// growInbound takes the memory for a larger window of an inbound connection.
func growInbound(c *quic.Conn, by uint64) bool {
	a := attemptOf(c.Context())
	return a != nil && a.grow(by)
}
