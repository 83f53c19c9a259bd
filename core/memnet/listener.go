// SPDX-License-Identifier: Apache-2.0 OR MIT

package memnet

import (
	"context"
	"net"
	"sync"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Listener accepts connections at one address of a [Network].
type Listener struct {
	network *Network
	addr    Addr
	waiting chan *Conn // bounded by backlog
	close   sync.Once
	closed  chan struct{}
}

// Accept implements [manet.Listener].
func (l *Listener) Accept() (manet.Conn, error) {
	select {
	case <-l.closed: // even if somebody is waiting
	default:
		select {
		case c := <-l.waiting:
			return c, nil
		case <-l.closed:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: network, Addr: l.addr, Err: net.ErrClosed}
}

// Close implements [manet.Listener]. It closes the connections that have not
// been accepted.
func (l *Listener) Close() error {
	l.close.Do(func() {
		l.network.remove(l)
		close(l.closed)
		l.drain()
	})
	return nil
}

// Addr implements [manet.Listener].
func (l *Listener) Addr() net.Addr { return l.addr }

// Multiaddr implements [manet.Listener].
func (l *Listener) Multiaddr() ma.Multiaddr { return l.addr.Multiaddr() }

// offer puts a connection into the queue of those to be accepted.
func (l *Listener) offer(ctx context.Context, c *Conn) error {
	select {
	case l.waiting <- c:
	case <-l.closed:
		return ErrRefused
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-l.closed: // perhaps before c was in the queue
		l.drain()
	default:
	}
	return nil
}

func (l *Listener) drain() {
	for {
		select {
		case c := <-l.waiting:
			c.Close()
		default:
			return
		}
	}
}

var _ manet.Listener = (*Listener)(nil)
