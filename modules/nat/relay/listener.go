// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"fmt"
	"net"
	"sync"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core/peer"
)

// maxWaiting bounds the connections of a listener that wait to be accepted.
const maxWaiting = 64

// listener hands out the connections that come through one relay, or through all.
type listener struct {
	owner *Relay
	addr  ma.Multiaddr
	relay peer.AddrInfo // without an ID if it is for all

	slots   chan struct{} // one each connection in, or on its way to, the queue
	queue   chan *conn
	closing sync.Once
	closed  chan struct{}
}

func newListener(r *Relay, a ma.Multiaddr, relay peer.AddrInfo) *listener {
	return &listener{
		owner:  r,
		addr:   a,
		relay:  relay,
		slots:  make(chan struct{}, maxWaiting),
		queue:  make(chan *conn, maxWaiting),
		closed: make(chan struct{}),
	}
}

// take takes a slot, which deliver or giveBack returns; false if there is none.
func (l *listener) take() bool {
	select {
	case <-l.closed:
		return false
	default:
	}
	select {
	case l.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l *listener) giveBack() { <-l.slots }

// deliver has a connection accepted, for which there is a slot.
func (l *listener) deliver(c *conn) {
	l.queue <- c // does not block: there are no more than slots
	select {
	case <-l.closed:
		l.drain()
	default:
	}
}

// Accept implements [manet.Listener].
func (l *listener) Accept() (manet.Conn, error) {
	for {
		select {
		case c := <-l.queue:
			l.giveBack()
			return c, nil
		case <-l.closed:
			return nil, fmt.Errorf("accept %s: %w", l.addr, net.ErrClosed)
		}
	}
}

// Close implements [manet.Listener]. Connections that were accepted stay.
func (l *listener) Close() error {
	l.closing.Do(func() {
		close(l.closed)
		l.owner.unlisten(l)
		l.drain()
	})
	return nil
}

// drain closes the connections that nobody accepts any more.
func (l *listener) drain() {
	for {
		select {
		case c := <-l.queue:
			l.giveBack()
			c.Close()
		default:
			return
		}
	}
}

// Addr implements [manet.Listener].
func (l *listener) Addr() net.Addr { return addr{l.addr} }

// Multiaddr implements [manet.Listener].
func (l *listener) Multiaddr() ma.Multiaddr { return l.addr }

var _ manet.Listener = (*listener)(nil)
