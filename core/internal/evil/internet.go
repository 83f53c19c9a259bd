// SPDX-License-Identifier: Apache-2.0 OR MIT

package evil

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Internet is an in-memory network of /ip4 and /ip6 addresses with TCP ports:
// everyone has the address they claim. Nobody answers where nobody listens.
type Internet struct {
	mu        sync.Mutex
	listeners map[string]*listener
	dialled   []ma.Multiaddr
	now, most int // dials under way
	port      int // the last one given out
}

// NewInternet returns an empty network.
func NewInternet() *Internet { return &Internet{listeners: make(map[string]*listener)} }

// At is the transport of a node with an IP address.
func (i *Internet) At(ip string) core.RawTransport { return &place{i, netip.MustParseAddr(ip)} }

// Dialled lists the addresses that were dialled, and tells how many dials were
// under way at most.
func (i *Internet) Dialled() (list []ma.Multiaddr, most int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.dialled, i.most
}

// Dial connects from one IP address to another.
func (i *Internet) Dial(ctx context.Context, from netip.Addr, to ma.Multiaddr) (manet.Conn, error) {
	i.mu.Lock()
	l := i.listeners[to.String()]
	i.port++
	source := address(from, 1024+i.port%60000)
	i.dialled = append(i.dialled, to)
	i.now++
	i.most = max(i.most, i.now)
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.now--
	}()
	if l == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	a, b := memnet.Pipe()
	select {
	case l.waiting <- &conn{b, to, source}:
		return &conn{a, source, to}, nil
	case <-l.closed:
	case <-ctx.Done():
	}
	return nil, errors.Join(ctx.Err(), memnet.ErrRefused)
}

func address(ip netip.Addr, port int) ma.Multiaddr {
	family := "ip4"
	if ip.Is6() {
		family = "ip6"
	}
	return ma.StringCast(fmt.Sprintf("/%s/%s/tcp/%d", family, ip, port))
}

// Victim is a victim that listens on the network, attacked from an IP address.
func (i *Internet) Victim(t testing.TB, n, canary Node, from string) Victim {
	t.Helper()
	ip := netip.MustParseAddr(from)
	return Victim{Node: n, Canary: canary, Dial: func(ctx context.Context) (manet.Conn, error) {
		return i.Dial(ctx, ip, n.ListenAddrs()[0])
	}}
}

// place is a node's access to the network.
type place struct {
	internet *Internet
	ip       netip.Addr
}

// Match implements [core.Transport].
func (*place) Match(a ma.Multiaddr) bool {
	_, ok := peer.IP(a)
	return ok && len(a) == 2 && a[1].Code() == ma.P_TCP
}

// Dial implements [core.RawTransport].
func (p *place) Dial(ctx context.Context, a ma.Multiaddr) (manet.Conn, error) {
	return p.internet.Dial(ctx, p.ip, a)
}

// Listen implements [core.RawTransport].
func (p *place) Listen(a ma.Multiaddr) (manet.Listener, error) {
	i := p.internet
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.listeners[a.String()] != nil {
		return nil, memnet.ErrInUse
	}
	l := &listener{i, a, make(chan *conn), make(chan struct{}), sync.Once{}}
	i.listeners[a.String()] = l
	return l, nil
}

type listener struct {
	internet *Internet
	addr     ma.Multiaddr
	waiting  chan *conn
	closed   chan struct{}
	close    sync.Once
}

// Accept implements [manet.Listener].
func (l *listener) Accept() (manet.Conn, error) {
	select {
	case c := <-l.waiting:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [manet.Listener].
func (l *listener) Close() error {
	l.close.Do(func() {
		l.internet.mu.Lock()
		defer l.internet.mu.Unlock()
		delete(l.internet.listeners, l.addr.String())
		close(l.closed)
	})
	return nil
}

// Addr implements [manet.Listener].
func (l *listener) Addr() net.Addr { return memnet.Addr(0) }

// Multiaddr implements [manet.Listener].
func (l *listener) Multiaddr() ma.Multiaddr { return l.addr }

// conn is a connection with the addresses that its ends claim.
type conn struct {
	*memnet.Conn
	local, remote ma.Multiaddr
}

// LocalMultiaddr implements [manet.Conn].
func (c *conn) LocalMultiaddr() ma.Multiaddr { return c.local }

// RemoteMultiaddr implements [manet.Conn].
func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.remote }

var _ core.RawTransport = (*place)(nil)
