// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
)

// errCrowded ends a handshake that makes room for others.
var errCrowded = errors.New("other handshakes needed the place")

// refusal is a DTLS alert in the clear: access denied. It is shorter than what
// it answers, and tells nothing.
var refusal = []byte{typeAlert, versionHigh, versionLow, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 49}

// listener accepts connections on a port.
type listener struct {
	transport *Transport
	admit     core.Admit
	port      *udpport.Port
	packets   *udpport.Packets
	demux     *demux
	addr      ma.Multiaddr
	accepted  chan *inbound
	done      chan struct{}
	closing   sync.Once
	wg        sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	pending list.List // of the cancels of handshakes, the oldest first; at most MaxHandshakes
}

// inbound is a connection that waits for Accept.
type inbound struct {
	conn      *conn
	admission core.Admission
}

func (t *Transport) listen(a ma.Multiaddr, admit core.Admit) (_ *listener, err error) {
	at, _, hashed, err := parseAddress(a)
	if err != nil {
		return nil, err
	}
	if hashed {
		return nil, fmt.Errorf("%s: listen without /certhash, which the node adds itself", a)
	}
	if t.node == nil {
		return nil, fmt.Errorf("%s: %w", a, errNotStarted)
	}
	port, err := udpport.Join(t.node, at)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	l := &listener{
		transport: t,
		admit:     admit,
		port:      port,
		demux:     newDemux(),
		accepted:  make(chan *inbound),
		done:      make(chan struct{}),
	}
	if l.addr, err = t.address(port.Addr()); err != nil {
		return nil, errors.Join(err, port.Release())
	}
	l.packets = port.Packets(l.demux.owns)
	l.demux.packets, l.demux.begin = l.packets, l.begin
	l.demux.running.Go(l.demux.run)
	return l, nil
}

// address is where a listener of the transport is reached.
func (t *Transport) address(at netip.AddrPort) (ma.Multiaddr, error) {
	a, err := address(at)
	if err != nil {
		return nil, err
	}
	return withHash(a, t.certificate.hash)
}

// begin admits a connection and starts its handshake.
func (l *listener) begin(remote netip.AddrPort, a *association) *link {
	at, err := address(remote)
	if err != nil {
		return nil
	}
	admission, err := l.admit(at)
	if err != nil {
		l.refuse(remote, err)
		return nil
	}
	link := newLink(l.packets.LocalAddr(), remote, l.send, func() { l.demux.detach(a) })
	ctx, place := l.enter()
	if place == nil || !l.demux.attach(a, link) {
		l.leave(place)
		admission.Done()
		return nil
	}
	l.wg.Go(func() {
		defer l.leave(place)
		if err := l.accept(ctx, link, at, admission); err != nil {
			admission.Done()
			l.transport.log.Debug("inbound connection failed", "remote", at, "err", err)
		}
	})
	return link
}

// refuse tells a remote that it is not let in.
func (l *listener) refuse(remote netip.AddrPort, why error) {
	_ = l.send(refusal, net.UDPAddrFromAddrPort(remote)) // or it will find out
	if log := l.transport.log; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("inbound connection refused", "remote", remote, "err", why)
	}
}

func (l *listener) send(b []byte, to *net.UDPAddr) error {
	_, err := l.packets.WriteTo(b, to)
	return err
}

// enter finds a place for a handshake. If there is none, the oldest handshake
// has to go: an honest one takes a few round trips, and a flood fills any number
// of places. place is nil if the listener is closed.
func (l *listener) enter() (ctx context.Context, place *list.Element) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil
	}
	if l.pending.Len() >= l.transport.MaxHandshakes {
		oldest := l.pending.Front()
		l.pending.Remove(oldest)
		oldest.Value.(context.CancelCauseFunc)(errCrowded)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	return ctx, l.pending.PushBack(cancel)
}

// leave gives a place back.
func (l *listener) leave(place *list.Element) {
	if place == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending.Remove(place) // which may have been done
	place.Value.(context.CancelCauseFunc)(nil)
}

// accept makes a connection on a link and waits until somebody takes it.
func (l *listener) accept(ctx context.Context, link *link, remote ma.Multiaddr, admission core.Admission) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(l.transport.HandshakeTimeout), errTimeout)
	defer cancel()
	c, err := l.transport.secure(ctx, link, setup{memory: admission})
	if err != nil {
		return err
	}
	c.local, c.remote = l.addr, remote
	link.watch(time.Duration(l.transport.IdleTimeout))
	select {
	case l.accepted <- &inbound{c, admission}:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-c.Done():
		err = net.ErrClosed
	}
	return errors.Join(err, c.Close())
}

// Accept implements [core.MuxedListener].
func (l *listener) Accept() (core.MuxedConn, core.Admission, error) {
	select {
	case <-l.done:
		return nil, nil, l.errClosed()
	default:
	}
	select {
	case in := <-l.accepted:
		return in.conn, in.admission, nil
	case <-l.done:
		return nil, nil, l.errClosed()
	}
}

func (l *listener) errClosed() error { return fmt.Errorf("%s: %w", l.addr, net.ErrClosed) }

// Close implements [core.MuxedListener]. Connections live on, and the port with
// them.
func (l *listener) Close() (err error) {
	l.closing.Do(func() {
		close(l.done)
		l.packets.Retire()
		l.mu.Lock()
		l.closed = true
		for e := l.pending.Front(); e != nil; e = e.Next() {
			e.Value.(context.CancelCauseFunc)(net.ErrClosed)
		}
		l.mu.Unlock()
		l.wg.Wait()
		l.demux.drop()
		err = l.port.Release()
	})
	return err
}

// Multiaddr implements [core.MuxedListener].
func (l *listener) Multiaddr() ma.Multiaddr { return l.addr }

var _ core.MuxedListener = (*listener)(nil)
