// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// streamsPerPeer bounds the connections that one peer makes at a time.
const streamsPerPeer = 2

var (
	errCrowded = errors.New("other connections needed the place")
	errBusy    = errors.New("too many connections are being made")
)

// listener accepts connections that are signalled to the node, and tells peers of
// its addresses behind relays.
type listener struct {
	transport *Transport
	admit     core.Admit
	accepted  chan *inbound
	slots     chan struct{} // one each connection under way; of size MaxHandshakes
	ctx       context.Context
	cancel    context.CancelFunc
	closing   sync.Once
	unhandle  func()
	unwatch   func()

	mu       sync.Mutex
	told     []ma.Multiaddr
	withdraw func()
	closed   bool
}

// inbound is a connection that waits for Accept.
type inbound struct {
	conn      *conn
	admission core.Admission
}

func (t *Transport) listen(a ma.Multiaddr, admit core.Admit) (*listener, error) {
	switch {
	case !a.Equal(suffix):
		return nil, fmt.Errorf("%s: listen on /webrtc: the relays are those that nat.relay has", a)
	case t.node == nil:
		return nil, fmt.Errorf("%s: %w", a, errNotStarted)
	}
	l := &listener{
		transport: t,
		admit:     admit,
		accepted:  make(chan *inbound),
		slots:     make(chan struct{}, t.MaxHandshakes),
		withdraw:  func() {},
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.unhandle = t.node.Handle(SignallingID, l.serve, core.HandleLimited(), core.HandleAtMost(streamsPerPeer))
	l.unwatch = core.On(t.node, func(e core.LocalAddrsChanged) { l.announce(e.Addrs) })
	l.announce(t.node.Addrs())
	return l, nil
}

// announce tells peers that they can have a direct connection where the node is
// told to be behind relays.
func (l *listener) announce(addrs []ma.Multiaddr) {
	var list []ma.Multiaddr
	for _, a := range addrs {
		if n := len(a); n > 1 && a[n-1].Code() == ma.P_CIRCUIT {
			list = append(list, a.Encapsulate(suffix))
		}
	}
	l.mu.Lock()
	if l.closed || slices.EqualFunc(list, l.told, ma.Multiaddr.Equal) {
		l.mu.Unlock()
		return
	}
	l.told = list
	before := l.withdraw
	l.withdraw = func() {}
	l.mu.Unlock()
	before()
	if len(list) == 0 {
		return
	}
	withdraw := l.transport.node.Announce(list...)
	l.mu.Lock()
	if l.closed || !slices.EqualFunc(list, l.told, ma.Multiaddr.Equal) {
		l.mu.Unlock()
		withdraw() // it has changed in the meantime
		return
	}
	l.withdraw = withdraw
	l.mu.Unlock()
}

// serve answers an offer, and has the connection accepted.
func (l *listener) serve(s core.Stream) error {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	default:
		return errBusy
	}
	remote := s.Conn().RemoteMultiaddr().Encapsulate(suffix)
	admission, err := l.admit(remote)
	if err != nil {
		return err
	}
	if err := l.accept(s, admission); err != nil {
		admission.Done()
		l.transport.log.Debug("inbound connection failed", "peer", s.Conn().RemotePeer(), "remote", remote, "err", err)
		return err
	}
	return nil
}

func (l *listener) accept(s core.Stream, admission core.Admission) error {
	ctx, crowded := context.WithCancelCause(l.ctx)
	defer crowded(nil)
	admission.OnYield(func() { crowded(errCrowded) })
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(l.transport.HandshakeTimeout), errTimeout)
	defer cancel()
	c, err := l.transport.connect(ctx, s, false, admission)
	if err != nil {
		return err
	}
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
	if l.ctx.Err() != nil {
		return nil, nil, l.errClosed()
	}
	select {
	case in := <-l.accepted:
		return in.conn, in.admission, nil
	case <-l.ctx.Done():
		return nil, nil, l.errClosed()
	}
}

func (l *listener) errClosed() error { return fmt.Errorf("%s: %w", suffix, net.ErrClosed) }

// Close implements [core.MuxedListener]. Connections live on.
func (l *listener) Close() error {
	l.closing.Do(func() {
		l.cancel()
		l.unwatch()
		l.mu.Lock()
		l.closed = true
		withdraw := l.withdraw
		l.withdraw = func() {}
		l.mu.Unlock()
		withdraw()
		l.unhandle()
	})
	return nil
}

// Multiaddr implements [core.MuxedListener].
func (l *listener) Multiaddr() ma.Multiaddr { return suffix }

var _ core.MuxedListener = (*listener)(nil)
