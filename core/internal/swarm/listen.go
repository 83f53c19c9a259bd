// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/internal/upgrade"
)

const (
	// upgradeTimeout bounds the whole upgrade of an inbound connection.
	upgradeTimeout = 15 * time.Second
	// acceptPause is the wait after an Accept that failed.
	acceptPause = 100 * time.Millisecond
)

// Listener is a bound address. It accepts connections once the swarm is open
// and Serve was called.
type Listener struct {
	swarm     *Swarm
	transport Transport
	raw       manet.Listener     // of a RawTransport
	muxed     core.MuxedListener // of a MuxedTransport
	serving   sync.Once
	accepting sync.WaitGroup // the accept loop, and goodbyes
	lost      atomic.Bool    // the accept loop has ended by itself
	close     func() error
}

// Listen binds a with transport t. No connection is accepted before Serve.
func (s *Swarm) Listen(t Transport, a ma.Multiaddr) (*Listener, error) {
	l := &Listener{swarm: s, transport: t}
	if err := l.bind(a); err != nil {
		s.logPanic(err)
		return nil, err
	}
	l.close = sync.OnceValue(func() error {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
		var err error
		if l.raw != nil {
			err = l.raw.Close()
		} else {
			err = l.muxed.Close()
		}
		l.accepting.Wait()
		return err
	})
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.listeners[l] = struct{}{}
	}
	s.mu.Unlock()
	if closed {
		return nil, errors.Join(fmt.Errorf("listen %s: %w", a, net.ErrClosed), l.Close())
	}
	return l, nil
}

// bind opens the socket. A panic of the transport is an error.
func (l *Listener) bind(a ma.Multiaddr) (err error) {
	defer recovered(&err)
	switch tr := l.transport.Transport.(type) {
	case core.RawTransport:
		l.raw, err = tr.Listen(a)
	case core.MuxedTransport:
		l.muxed, err = tr.Listen(a, l.admit)
	}
	return err
}

// recovered makes an error of a panic. It is to be deferred.
func recovered(err *error) {
	if value := recover(); value != nil {
		*err = &upgrade.PanicError{Value: value, Stack: debug.Stack()}
	}
}

// Multiaddr is the bound address.
func (l *Listener) Multiaddr() ma.Multiaddr {
	if l.raw != nil {
		return l.raw.Multiaddr()
	}
	return l.muxed.Multiaddr()
}

// Serve starts to accept connections.
func (l *Listener) Serve() {
	l.serving.Do(func() {
		s := l.swarm
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			return
		}
		l.accepting.Go(l.accept)
	})
}

// Lost reports whether nothing is accepted any more although the listener was
// not closed: the system has taken its socket away.
func (l *Listener) Lost() bool { return l.lost.Load() }

// Close stops accepting; connections stay. It may be called more than once.
func (l *Listener) Close() error { return l.close() }

func (l *Listener) accept() {
	for {
		err := l.acceptNext()
		switch {
		case errors.Is(err, net.ErrClosed):
			l.lost.Store(true)
			return
		case err != nil:
			l.swarm.logPanic(err)
			l.swarm.Log.Warn("accept", "listener", l.Multiaddr(), "error", err)
			time.Sleep(acceptPause)
		}
	}
}

// acceptNext accepts one connection.
func (l *Listener) acceptNext() error {
	if l.raw != nil {
		return l.acceptRaw()
	}
	return l.acceptMuxed()
}

// admit counts an inbound connection that the rules let in.
func (s *Swarm) admit(remote ma.Multiaddr) (scope *limits.Conn, err error) {
	if err = s.Gater.Addr(remote); err == nil {
		scope, err = s.Limits.OpenConn(core.Inbound, remote)
	}
	if err != nil {
		s.Log.Debug("connection refused", "remote", remote, "reason", err)
	}
	return scope, err
}

// admit is the [core.Admit] of a muxed transport.
func (l *Listener) admit(remote ma.Multiaddr) (core.Admission, error) {
	scope, err := l.swarm.admit(remote)
	if err != nil {
		return nil, err
	}
	return scope, nil
}

// acceptRaw accepts one connection, counts it, and has it upgraded.
func (l *Listener) acceptRaw() error {
	s := l.swarm
	raw, err := l.receiveRaw()
	if err != nil {
		return err
	}
	scope, err := s.admit(raw.RemoteMultiaddr())
	if err != nil {
		raw.Close()
		return nil
	}
	// The upgrade belongs to the swarm: the listener may close meanwhile.
	if !s.begin(upgradeTimeout, func(ctx context.Context) { l.upgrade(ctx, raw, scope) }) {
		scope.Done()
		return errors.Join(raw.Close(), net.ErrClosed)
	}
	return nil
}

// upgrade makes a connection in the table of an accepted one, or closes it.
func (l *Listener) upgrade(ctx context.Context, raw manet.Conn, scope *limits.Conn) {
	s, remote := l.swarm, raw.RemoteMultiaddr()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	scope.OnYield(func() { cancel(errCrowded) })
	r := upgrade.Request{Memory: scope}
	if punched, ok := s.punches.client(remote); ok {
		r.Security = s.securityOf(punched.peer)
		raw, r.Initiator = hear(ctx, raw, punched.dial.Hear)
	}
	c, err := s.upgrader.Upgrade(ctx, raw, r)
	if err == nil {
		stat := core.ConnStat{
			Direction: core.Inbound,
			Limited:   isLimited(raw),
			Transport: l.transport.Name,
			Security:  c.Security,
			Muxer:     c.MuxerProtocol,
		}
		if _, err = s.add(c, scope, stat); err == nil {
			return
		}
		c.CloseWithCode(closeCode(err))
	}
	scope.Done()
	s.logPanic(err)
	s.Log.Debug("inbound connection", "remote", remote, "error", err)
}

// logPanic logs an error that is a module's panic.
func (s *Swarm) logPanic(err error) {
	var p *upgrade.PanicError
	if errors.As(err, &p) {
		s.Log.Error("panic while a connection was made", "panic", fmt.Sprint(p.Value), "stack", string(p.Stack))
	}
}

// closeCode is the code that tells the remote why it was not let in.
func closeCode(err error) core.ConnCode {
	var limit *core.LimitError
	switch {
	case errors.As(err, &limit):
		return core.ConnLimitExceeded
	case errors.Is(err, core.ErrGated):
		return core.ConnGated
	case errors.Is(err, net.ErrClosed):
		return core.ConnShutdown
	}
	return core.ConnNoError
}

// receiveRaw calls Accept of a listener. A panic is an error: it may be one that
// a remote has provoked.
func (l *Listener) receiveRaw() (c manet.Conn, err error) {
	defer recovered(&err)
	return l.raw.Accept()
}

// receiveMuxed is the same for a muxed transport.
func (l *Listener) receiveMuxed() (c core.MuxedConn, admission core.Admission, err error) {
	defer recovered(&err)
	return l.muxed.Accept()
}

// errCrowded is about a handshake that has made room for another.
var errCrowded = errors.New("others needed the place of the handshake")

// errAdmission is about a transport that lets connections in on its own.
var errAdmission = errors.New("the transport has not asked whether it may accept the connection")

// acceptMuxed accepts one connection that needs no upgrade.
func (l *Listener) acceptMuxed() error {
	s := l.swarm
	muxed, admission, err := l.receiveMuxed()
	if err != nil {
		return err
	}
	scope, ok := admission.(*limits.Conn)
	if !ok {
		err = errAdmission
	} else {
		stat := core.ConnStat{Direction: core.Inbound, Transport: l.transport.Name}
		if _, err = s.add(muxed, scope, stat); err == nil {
			return nil
		}
	}
	s.Log.Debug("connection refused", "remote", muxed.RemoteMultiaddr(), "reason", err)
	// Saying goodbye may take a moment, in which others want to come in.
	l.accepting.Go(func() {
		muxed.CloseWithCode(closeCode(err))
		if scope != nil {
			scope.Done()
		}
	})
	return nil
}
