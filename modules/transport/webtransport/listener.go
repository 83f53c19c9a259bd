// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
)

// listener accepts sessions on one port.
type listener struct {
	transport *Transport
	port      *udpport.Port
	quic      *udpport.QUICListener
	addr      ma.Multiaddr // without certificate hashes
	rotation  *rotation
	// ready hands out connections. One that is not taken before its handshake
	// has to be over is closed, so those that wait are handshakes to the limits.
	ready chan accepted

	running sync.WaitGroup // the accept loop and handshakes
	closed  chan struct{}  // once the accept loop has ended
	close   func() error
}

type accepted struct {
	conn      *conn
	admission core.Admission
}

// listen opens a listener on a port, which it releases when it is closed.
func (t *Transport) listen(port *udpport.Port, r *rotation, admit core.Admit) (*listener, error) {
	l := &listener{transport: t, port: port, rotation: r, ready: make(chan accepted), closed: make(chan struct{})}
	var err error
	l.quic, err = port.ListenQUIC(http3.NextProtoH3, udpport.QUICListen{
		TLS:      r.serverTLS,
		Admit:    func(remote ma.Multiaddr) (core.Admission, error) { return admit(remote.Encapsulate(webtransportPart)) },
		Settings: t.settings(),
	})
	if err != nil {
		return nil, errors.Join(err, port.Release())
	}
	if l.addr, err = multiaddr(l.quic.Addr()); err != nil {
		return nil, errors.Join(err, l.quic.Close(), port.Release())
	}
	ctx, stop := context.WithCancel(context.Background())
	l.close = sync.OnceValue(func() error {
		stop()
		err := l.quic.Close()
		l.running.Wait()
		return errors.Join(err, l.port.Release())
	})
	l.running.Go(func() {
		defer close(l.closed)
		l.accept(ctx)
	})
	return l, nil
}

// accept starts a handshake with each connection, until the listener closes or
// the socket is gone.
// Who may come in is decided before: see [core.Admit].
func (l *listener) accept(ctx context.Context) {
	for {
		c, admission, err := l.quic.Accept(ctx)
		if err != nil {
			return
		}
		l.running.Go(func() { l.receive(ctx, c, admission) })
	}
}

// errCrowded ends a handshake that makes room for others.
var errCrowded = errors.New("other handshakes needed the place")

// receive makes a QUIC connection one that Accept returns, or closes it.
func (l *listener) receive(ctx context.Context, q *quic.Conn, admission core.Admission) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.transport.HandshakeTimeout))
	defer cancel()
	ctx, crowded := context.WithCancelCause(ctx)
	admission.OnYield(func() { crowded(errCrowded) })
	c := &conn{quic: q}
	err := l.establish(ctx, c)
	if err == nil {
		select {
		case l.ready <- accepted{c, admission}:
			return
		case <-c.done:
			err = c.reason
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	closeQUIC(q, core.ConnNegotiationFailed)
	c.running.Wait()
	admission.Done()
	l.transport.log.Debug("inbound connection", "remote", q.RemoteAddr(), "error", err)
}

// establish waits for the client to ask for a session and to say who it is.
func (l *listener) establish(ctx context.Context, c *conn) (err error) {
	if c.local, err = multiaddr(c.quic.LocalAddr()); err != nil {
		return err
	}
	if c.remote, err = multiaddr(c.quic.RemoteAddr()); err != nil {
		return err
	}
	generation, err := l.rotation.at(time.Now())
	if err != nil {
		return err
	}
	s := newServer(l.transport)
	c.running.Go(func() {
		// Its error is about what the connection must have been made with.
		if err := s.serve(c.quic); err != nil {
			l.transport.log.Error("serve HTTP/3", "error", err)
			closeQUIC(c.quic, core.ConnNoError)
		}
	})
	select {
	case c.session = <-s.session:
	case <-c.quic.Context().Done():
		return context.Cause(c.quic.Context())
	case <-ctx.Done():
		return fmt.Errorf("no request for a session: %w", context.Cause(ctx))
	}
	if err := l.transport.identifyClient(ctx, c, generation.hashes[:]); err != nil {
		return err
	}
	c.start()
	return nil
}

// Accept implements [core.MuxedListener].
func (l *listener) Accept() (core.MuxedConn, core.Admission, error) {
	select {
	case a := <-l.ready:
		return a.conn, a.admission, nil
	case <-l.closed:
		return nil, nil, fmt.Errorf("accept %s: %w", l.addr, net.ErrClosed)
	}
}

// Close implements [core.MuxedListener]. Connections live on.
func (l *listener) Close() error { return l.close() }

// Multiaddr implements [core.MuxedListener]. Its certificate hashes are those of
// now: it changes when the next certificate begins to be used.
func (l *listener) Multiaddr() ma.Multiaddr {
	g, err := l.rotation.at(time.Now())
	if err != nil {
		return l.addr // nobody can dial it, nor could the certificate be shown
	}
	return l.addr.Encapsulate(g.suffix)
}

var _ core.MuxedListener = (*listener)(nil)
