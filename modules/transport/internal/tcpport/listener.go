// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package tcpport lets the transports of a node share TCP ports. The first one
// who listens on an address opens its socket, and the others join it. While all
// want the same kind of connection, connections are handed on untouched; as soon
// as two kinds are wanted, the first bytes of each connection tell whose it is.
// Of several listeners of one kind, as there are during a reload, the newest
// gets the connections; see package handover.
//
// It also dials from the ports that are listened on.
package tcpport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/transport/internal/handover"
)

// Options say what a listener is to be.
type Options struct {
	// Kind is what the listener accepts.
	Kind Kind
	// Reuse lets dials of this node take the port too, where the system is
	// able to. See [Dialer].
	Reuse bool
	// Owner is who listens. The same owner cannot listen twice for one kind
	// on one address. Nil stands for somebody else each time.
	Owner any
	// Log receives warnings about the socket. Nil means: nothing.
	Log *slog.Logger
}

// Listener accepts the connections of one kind to one port.
type Listener struct {
	socket  *socket
	kind    Kind
	owner   any
	log     *slog.Logger
	place   *handover.Place[Conn]
	release func() error
	close   func() error
}

// Listen opens the port at, or joins those who have it open under the same
// address. Port 0 is always a new one. Nothing is accepted before the first
// Accept on one of a port's listeners. Errors do not name the address; one that
// somebody else has is syscall.EADDRINUSE.
func Listen(shares core.Shares, at netip.AddrPort, o Options) (*Listener, error) {
	p, release, err := openPorts(shares)
	if err != nil {
		return nil, err
	}
	l, err := p.listen(netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), o)
	if err != nil {
		release()
		return nil, err
	}
	l.release = release
	return l, nil
}

// Accept waits for the next connection. Its errors are final and those of
// [net.ErrClosed]: after Close, or if the system has taken the socket away. Then
// the port can be opened anew. Connections that wait for longest need not come first.
func (l *Listener) Accept() (Conn, error) {
	l.socket.start()
	return l.place.Take()
}

// Close ends Accept. The port is closed with its last listener. It may be called
// more than once.
func (l *Listener) Close() error { return l.close() }

// Addr is the address of the port, with its real number.
func (l *Listener) Addr() netip.AddrPort { return l.socket.at }

// ports are the open ports of a node.
type ports struct {
	mu      sync.Mutex
	sockets []*socket              // in the order of their opening; bounded by the configuration
	punched map[netip.AddrPort]int // to which dials punch, and how many; bounded by those dials
}

// portsKey is the key of a node's ports.
type portsKey struct{}

func openPorts(shares core.Shares) (p *ports, release func() error, err error) {
	return core.Share(shares, portsKey{}, func() (*ports, error) { return new(ports), nil })
}

// Close implements [io.Closer]. Every socket is closed with its last listener.
func (p *ports) Close() error { return nil }

func (p *ports) listen(at netip.AddrPort, o Options) (*Listener, error) {
	if int(o.Kind) >= kinds {
		return nil, errors.ErrUnsupported
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.findLocked(at)
	if s == nil {
		tcp, err := p.bindLocked(at)
		if err != nil {
			return nil, Cause(err)
		}
		s = newSocket(p, tcp, AddrPort(tcp.Addr()))
		p.sockets = append(p.sockets, s)
	}
	if o.Owner != nil && slices.ContainsFunc(s.listeners, func(l *Listener) bool { return l.kind == o.Kind && l.owner == o.Owner }) {
		return nil, syscall.EADDRINUSE
	}
	if tcp, ok := s.tcp.(*net.TCPListener); ok && o.Reuse && !s.reuse {
		// Only now: before the bind it would let another process bind
		// the port too. Where it cannot be set, dials take another port.
		s.reuse = allowReuse(tcp) == nil
	}
	return s.joinLocked(o), nil
}

func (s *socket) joinLocked(o Options) *Listener {
	l := &Listener{socket: s, kind: o.Kind, owner: o.Owner, log: o.Log, place: s.lines[o.Kind].Join()}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.close = sync.OnceValue(func() error { return errors.Join(s.remove(l), l.release()) })
	s.listeners = append(s.listeners, l)
	return l
}

func (p *ports) findLocked(at netip.AddrPort) *socket {
	for _, s := range p.sockets {
		if s.at == at {
			return s
		}
	}
	return nil
}

// bindLocked opens a socket.
func (p *ports) bindLocked(at netip.AddrPort) (*net.TCPListener, error) {
	var config net.ListenConfig
	// A plain socket: a multipath one is another protocol to the kernel, and
	// dialing sockets could not share its port.
	config.SetMultipathTCP(false)
	// An address that needs no lookup is bound without waiting.
	l, err := config.Listen(context.Background(), network(at), at.String())
	if errors.Is(err, syscall.EADDRINUSE) && p.overlapsLocked(at) {
		// It is this node's own port: a reload narrows or widens the
		// address, and the other socket is about to close.
		config.Control = reuseControl
		l, err = config.Listen(context.Background(), network(at), at.String())
	}
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// overlapsLocked reports whether the same port of another address is open, with
// a socket that shares it.
func (p *ports) overlapsLocked(at netip.AddrPort) bool {
	return slices.ContainsFunc(p.sockets, func(s *socket) bool {
		return s.reuse && s.at.Port() == at.Port() && s.at.Addr() != at.Addr()
	})
}

// remove takes a listener away, and closes the socket if it was the last one.
func (s *socket) remove(l *Listener) (err error) {
	p := s.ports
	p.mu.Lock()
	s.listeners = slices.DeleteFunc(s.listeners, func(o *Listener) bool { return o == l })
	last := len(s.listeners) == 0
	if last {
		err = s.endLocked()
	}
	l.place.Leave()
	p.mu.Unlock()
	if last {
		s.silent.Close()
		s.running.Wait()
	}
	return err
}
