// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/transport/internal/dtlslink"
	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
)

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

	mu     sync.Mutex
	closed bool
	// unproven and proven are the handshakes under way, the oldest first, by
	// whether the remote has shown that it receives at its address; each at
	// most MaxHandshakes.
	unproven, proven list.List
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
	l.demux.packets, l.demux.begin, l.demux.stun = l.packets, l.begin, t.STUNService
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

// begin starts the handshake of a connection, which is admitted once the remote
// has proven its address: anybody can send the first message in any name.
func (l *listener) begin(remote netip.AddrPort, a *association) *dtlslink.Link {
	at, err := address(remote)
	if err != nil {
		return nil
	}
	link := dtlslink.New(l.packets.LocalAddr(), remote, l.send, func() { l.demux.detach(a) })
	h := l.enter(at)
	if h == nil {
		return nil
	}
	link.Prove = h.prove
	if !l.demux.attach(a, link) {
		h.leave()
		return nil
	}
	l.wg.Go(func() {
		defer h.leave()
		if err := l.accept(h, link); err != nil {
			h.giveBack()
			l.transport.log.Debug("inbound connection failed", "remote", at, "err", err)
		}
	})
	return link
}

func (l *listener) send(b []byte, to *net.UDPAddr) error {
	_, err := l.packets.WriteTo(b, to)
	return err
}

// accept makes a connection on a link and waits until somebody takes it.
func (l *listener) accept(h *handshake, link *dtlslink.Link) error {
	ctx, cancel := context.WithTimeoutCause(h.ctx, time.Duration(l.transport.HandshakeTimeout), errTimeout)
	defer cancel()
	c, err := l.transport.secure(ctx, link, setup{admitted: h.admitted})
	if err != nil {
		if errors.Is(err, errCrowded) && link.Admitted() {
			link.Refuse()
		}
		return err
	}
	c.local, c.remote = l.addr, h.remote
	link.Watch(time.Duration(l.transport.IdleTimeout))
	select {
	case l.accepted <- &inbound{c, h.admission}:
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
		for _, list := range []*list.List{&l.unproven, &l.proven} {
			for e := list.Front(); e != nil; e = e.Next() {
				e.Value.(*handshake).cancel(net.ErrClosed)
			}
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
