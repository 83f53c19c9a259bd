// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/modules/transport/internal/crowd"
	"github.com/xnode-p2p/xnode/modules/transport/internal/handover"
)

// How long the socket is left alone when the system has run out of something,
// such as file descriptors. The pause doubles until a connection comes.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second

	// warnEvery is how often one thing is logged, at most.
	warnEvery = time.Minute

	// maxWaiting bounds the sampled connections of a kind that wait to be
	// accepted. The next ones are closed.
	maxWaiting = 64
)

// tcpListener is what a socket needs of a [net.TCPListener].
type tcpListener interface {
	AcceptTCP() (*net.TCPConn, error)
	Close() error
}

// socket is an open port and those who share it.
type socket struct {
	ports *ports
	tcp   tcpListener
	at    netip.AddrPort
	lines [kinds]handover.Line[Conn]

	silent  *crowd.Crowd // whose first bytes are waited for
	serve   sync.Once
	running sync.WaitGroup // the accept loop and the samplings
	closed  chan struct{}

	// Under the lock of ports:
	reuse     bool        // dials may take the port too
	listeners []*Listener // in the order of their opening; a socket without any is closed
	waiting   [kinds]int  // sampled connections in the lines
	warned    map[string]time.Time
}

func newSocket(p *ports, tcp tcpListener, at netip.AddrPort) *socket {
	return &socket{ports: p, tcp: tcp, at: at, silent: crowd.New(maxSamples), closed: make(chan struct{})}
}

// start begins to accept, unless that has been done already.
func (s *socket) start() {
	s.serve.Do(func() {
		s.ports.mu.Lock()
		defer s.ports.mu.Unlock()
		if len(s.listeners) > 0 {
			s.running.Go(s.accept)
		}
	})
}

// accept takes connections from the system until the socket is closed. It waits
// out a shortage.
func (s *socket) accept() {
	pause := time.Duration(0)
	for {
		c, err := s.tcp.AcceptTCP()
		if err == nil {
			pause = 0
			s.sort(c)
			continue
		}
		if final(err) {
			s.fail(Cause(err))
			return
		}
		s.warn("connections wait to be accepted", Cause(err))
		pause = min(max(2*pause, minPause), maxPause)
		if !s.wait(pause) {
			return
		}
	}
}

// fail gives up a socket that the system has taken away: who listens finds out
// in Accept, and can open the port anew.
func (s *socket) fail(err error) {
	if !errors.Is(err, net.ErrClosed) {
		err = fmt.Errorf("%w: %w", net.ErrClosed, err)
	}
	s.ports.mu.Lock()
	defer s.ports.mu.Unlock()
	s.endLocked()
	for kind := range s.lines {
		s.lines[kind].End(err)
	}
}

// endLocked closes the socket, unless that has been done already, and forgets it.
func (s *socket) endLocked() error {
	p := s.ports
	i := slices.Index(p.sockets, s)
	if i < 0 {
		return nil
	}
	p.sockets = slices.Delete(p.sockets, i, i+1)
	close(s.closed)
	return s.tcp.Close()
}

// final tells whether a socket that answers accept with err will do so for ever.
// Anything else passes: a shortage of memory or file descriptors, a connection
// that was taken back, a network error that came with one.
func final(err error) bool {
	for _, f := range []error{net.ErrClosed, syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// wait pauses for d; it returns false if the socket is closed before.
func (s *socket) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closed:
		return false
	}
}

// sort gives a connection to whom it is for. If there is one kind alone it does
// not touch it, and waits until it is taken: more wait in the system's queue.
func (s *socket) sort(tcp *net.TCPConn) {
	c := s.ports.accepted(tcp)
	if kind, alone := s.only(); alone {
		if s.lines[kind].Give(context.Background(), c) != nil {
			c.Close()
		}
		return
	}
	g, crowded := s.silent.Enter(AddrPort(c.RemoteAddr()).Addr(), func() { c.Close() })
	if g == nil {
		c.Close()
		return
	}
	if crowded {
		s.warn("too many connections say nothing", errCrowded)
	}
	s.running.Go(func() {
		kind, head, err := sample(tcp)
		g.Leave()
		if err == nil {
			c.head = head
			err = s.give(kind, c)
		}
		if err != nil {
			c.Close()
		}
	})
}

var (
	errCrowded  = errors.New("those that have been silent for longest are closed")
	errUnwanted = errors.New("nobody accepts connections of its kind")
)

// give gives a sampled connection to those who want its kind.
func (s *socket) give(kind Kind, c Conn) error {
	kind, ok := s.enter(kind)
	if !ok {
		return errUnwanted
	}
	defer s.leave(kind)
	return s.lines[kind].Give(context.Background(), c)
}

// enter finds the line for a kind and a place in it.
func (s *socket) enter(kind Kind) (line Kind, ok bool) {
	s.ports.mu.Lock()
	defer s.ports.mu.Unlock()
	if !s.wantedLocked(kind) {
		kind = Multistream
	}
	if !s.wantedLocked(kind) || s.waiting[kind] == maxWaiting {
		return 0, false
	}
	s.waiting[kind]++
	return kind, true
}

func (s *socket) leave(kind Kind) {
	s.ports.mu.Lock()
	defer s.ports.mu.Unlock()
	s.waiting[kind]--
}

// only returns the kind that is wanted if it is but one.
func (s *socket) only() (kind Kind, alone bool) {
	s.ports.mu.Lock()
	defer s.ports.mu.Unlock()
	for i, l := range s.listeners {
		if i > 0 && l.kind != kind {
			return 0, false
		}
		kind = l.kind
	}
	return kind, true
}

func (s *socket) wantedLocked(kind Kind) bool {
	for _, l := range s.listeners {
		if l.kind == kind {
			return true
		}
	}
	return false
}

// warn logs something, unless it has done so lately, with the logger of the
// newest listener.
func (s *socket) warn(message string, err error) {
	s.ports.mu.Lock()
	defer s.ports.mu.Unlock()
	now := time.Now()
	if last, ok := s.warned[message]; len(s.listeners) == 0 || ok && now.Sub(last) < warnEvery {
		return
	}
	if s.warned == nil {
		s.warned = make(map[string]time.Time)
	}
	s.warned[message] = now
	s.listeners[len(s.listeners)-1].log.Warn(message, "listener", s.at, "error", err)
}
