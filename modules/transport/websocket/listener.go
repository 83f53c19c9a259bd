// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/transport/internal/crowd"
	"github.com/xnode-p2p/xnode/modules/transport/internal/handover"
	"github.com/xnode-p2p/xnode/modules/transport/internal/tcpport"
)

const (
	// maxShaking bounds the connections of a port whose handshake is not over.
	maxShaking = 256
	// handshakeTimeout bounds the handshake of an inbound connection, from its
	// first byte to the end of the request, and then again the time until it is
	// accepted.
	handshakeTimeout = 10 * time.Second
	// maxWaiting bounds the connections of a port that wait to be accepted. The
	// next ones are closed.
	maxWaiting = 64
)

// entrance is where the connections of a port wait that have their handshake
// behind them. The listeners of all instances of the transport share it, so that
// a reload loses none of them.
type entrance struct {
	line    handover.Line[manet.Conn]
	crowd   *crowd.Crowd   // handshakes under way
	running sync.WaitGroup // the same
	waiting atomic.Int32   // connections in line
}

// entranceKey is the key of an entrance among what a node shares.
type entranceKey struct {
	at     netip.AddrPort
	secure bool
}

func newEntrance() *entrance { return &entrance{crowd: crowd.New(maxShaking)} }

// Close implements [io.Closer].
func (e *entrance) Close() error {
	e.line.End(net.ErrClosed)
	e.crowd.Close()
	e.running.Wait()
	return nil
}

// listener accepts WebSocket connections on one port, or, without a port, those
// that come in through ServeHTTP.
type listener struct {
	transport *Transport
	address   address
	addr      ma.Multiaddr
	tls       *tls.Config // nil for plain connections

	port      *tcpport.Listener // nil if others have the port
	accepting sync.WaitGroup
	entrance  *entrance
	place     *handover.Place[manet.Conn]
	release   func() error
	close     func() error
}

// Listen implements [core.RawTransport]. The port may be that of other transports
// of the node, and of an instance that this one replaces. An address that begins
// with a name opens no port: its connections come in through [Transport.ServeHTTP].
func (t *Transport) Listen(a ma.Multiaddr) (manet.Listener, error) {
	address, err := parse(a)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if address.name != "" {
		return t.carry(a, address), nil
	}
	l := &listener{transport: t, address: address}
	kind := tcpport.HTTP
	if address.secure {
		if kind = tcpport.TLS; t.source == nil {
			return nil, fmt.Errorf("listen %s: there is no certificate; add \"certificate\" to the transport, or listen on …/ws", a)
		}
		l.tls = serverTLS(t.source)
	}
	l.port, err = tcpport.Listen(t.ports(), address.at, tcpport.Options{Kind: kind, Owner: t, Log: t.log})
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", a, err)
	}
	if err := l.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("listen %s: %w", a, err), l.port.Close())
	}
	return l, nil
}

// open begins to accept.
func (l *listener) open() (err error) {
	if l.addr, err = l.address.multiaddr(l.port.Addr()); err != nil {
		return err
	}
	key := entranceKey{l.port.Addr(), l.address.secure}
	l.entrance, l.release, err = core.Share(l.transport.ports(), key, func() (*entrance, error) { return newEntrance(), nil })
	if err != nil {
		return err
	}
	l.place = l.entrance.line.Join()
	l.close = sync.OnceValue(func() error {
		err := l.port.Close()
		l.accepting.Wait()
		l.place.Leave()
		return errors.Join(err, l.release())
	})
	l.accepting.Go(l.accept)
	return nil
}

// accept takes connections from the port until it is closed.
func (l *listener) accept() {
	for {
		tcp, err := l.port.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				l.entrance.line.End(err)
			}
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
		g, _ := l.entrance.crowd.Enter(tcpport.AddrPort(tcp.RemoteAddr()).Addr(), func() {
			cancel()
			tcp.Close()
		})
		if g == nil {
			cancel()
			tcp.Close()
			continue
		}
		l.entrance.running.Go(func() {
			defer g.Leave()
			defer cancel()
			l.receive(ctx, g, tcp)
		})
	}
}

// receive makes the handshake with a connection and has it accepted.
func (l *listener) receive(ctx context.Context, g *crowd.Guest, tcp tcpport.Conn) {
	c, err := l.shake(ctx, tcp)
	if err == nil {
		err = l.entrance.give(ctx, g, c)
	}
	if err != nil {
		tcp.Close()
		l.transport.log.Debug("handshake", "listener", l.addr, "remote", tcp.RemoteAddr(), "error", err)
	}
}

var errFull = errors.New("too many connections wait to be accepted")

// give waits until a connection is accepted, whose handshake is over.
func (e *entrance) give(ctx context.Context, g *crowd.Guest, c manet.Conn) error {
	g.Leave()
	defer e.waiting.Add(-1)
	if e.waiting.Add(1) > maxWaiting {
		return errFull
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), handshakeTimeout)
	defer cancel()
	return e.line.Give(ctx, c)
}

// Accept implements [manet.Listener].
func (l *listener) Accept() (manet.Conn, error) {
	c, err := l.place.Take()
	if err != nil {
		return nil, fmt.Errorf("accept %s: %w", l.addr, err)
	}
	return c, nil
}

// Close implements [manet.Listener].
func (l *listener) Close() error { return l.close() }

// Addr implements [manet.Listener].
func (l *listener) Addr() net.Addr {
	if l.port == nil {
		return carriedAddr(l.addr.String())
	}
	return net.TCPAddrFromAddrPort(l.port.Addr())
}

// Multiaddr implements [manet.Listener].
func (l *listener) Multiaddr() ma.Multiaddr { return l.addr }

var _ manet.Listener = (*listener)(nil)
