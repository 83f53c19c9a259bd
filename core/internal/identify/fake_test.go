// SPDX-License-Identifier: Apache-2.0 OR MIT

package identify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/internal/eventbus"
	"github.com/xnode-p2p/xnode/core/internal/peerstore"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// node is as much of a node as identify needs, with a service on it.
type node struct {
	*coretest.Identity
	*eventbus.Bus

	book *peerstore.Book
	svc  *Service
	wg   sync.WaitGroup // handlers

	mu       sync.Mutex
	handlers map[string]core.StreamHandler
	conns    map[peer.ID]int
	addrs    []ma.Multiaddr
	events   []string
	ended    bool // no handler begins any more
	writes   atomic.Int64

	emitting sync.Mutex // held while a connection's events are emitted
}

func (n *node) inOrder(f func()) {
	n.emitting.Lock()
	defer n.emitting.Unlock()
	f()
}

// newNode returns a node with an address; start starts its service.
func newNode(t testing.TB, seed uint64, addrs ...string) *node {
	t.Helper()
	n := &node{
		Identity: coretest.NewIdentity(seed),
		Bus:      eventbus.New(func(_, value any, stack []byte) { t.Errorf("panic: %v\n%s", value, stack) }),
		book:     peerstore.New(peerstore.Config{}, nil),
		handlers: make(map[string]core.StreamHandler),
		conns:    make(map[peer.ID]int),
		addrs:    multiaddrs(t, addrs...),
	}
	t.Cleanup(func() {
		n.mu.Lock()
		n.ended = true
		n.mu.Unlock()
		n.wg.Wait()
	})
	return n
}

// Suggest implements [core.Addrs].
func (*node) Suggest(...ma.Multiaddr) (withdraw func()) { return func() {} }

// Candidates implements [core.Addrs].
func (n *node) Candidates() []ma.Multiaddr { return n.Addrs() }

func (n *node) start(t testing.TB) *node {
	n.svc = New(Settings{
		Node: n, Book: n.book, Protocols: n.protocols,
		Agent: "agent/" + n.ID().Short(), ProtocolVersion: "test/1", InOrder: n.inOrder,
	})
	n.svc.Start()
	n.Subscribe(n.record)
	t.Cleanup(n.svc.Close)
	return n
}

// record notes the events, in their order.
func (n *node) record(event any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e := event.(type) {
	case core.Connected:
		n.events = append(n.events, "connected")
	case core.Disconnected:
		n.events = append(n.events, "disconnected")
	case core.Identified:
		n.events = append(n.events, fmt.Sprint("identified ", e.ObservedAddr))
	case core.IdentifyFailed:
		n.events = append(n.events, "failed")
	case core.PeerProtocolsChanged:
		n.events = append(n.events, fmt.Sprint("protocols +", e.Added, " -", e.Removed))
	}
}

func (n *node) eventList() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.events, "; ")
}

func (n *node) protocols() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []string
	for p := range n.handlers {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}

// Handle implements [core.Streams].
func (n *node) Handle(protocol string, h core.StreamHandler, _ ...core.HandleOption) (remove func()) {
	n.mu.Lock()
	n.handlers[protocol] = h
	n.mu.Unlock()
	n.Emit(core.LocalProtocolsChanged{})
	return func() {
		n.mu.Lock()
		delete(n.handlers, protocol)
		n.mu.Unlock()
		n.Emit(core.LocalProtocolsChanged{})
	}
}

// NewStream implements [core.Streams].
func (n *node) NewStream(context.Context, peer.ID, ...string) (core.Stream, error) {
	return nil, core.ErrNotConnected
}

// ListenAddrs implements [core.Addrs].
func (n *node) ListenAddrs() []ma.Multiaddr { return n.Addrs() }

// Addrs implements [core.Addrs].
func (n *node) Addrs() []ma.Multiaddr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.addrs)
}

// Announce implements [core.Addrs].
func (n *node) Announce(addrs ...ma.Multiaddr) (withdraw func()) {
	n.mu.Lock()
	n.addrs = append(n.addrs, addrs...)
	n.mu.Unlock()
	n.Emit(core.LocalAddrsChanged{})
	return func() {}
}

// conn is one end of a connection.
type conn struct {
	local  *node
	other  *conn
	remote *node
	from   ma.Multiaddr // the other end's address
	stat   core.ConnStat
	done   chan struct{}

	mu      sync.Mutex
	closed  bool
	streams []*stream
}

// connect connects a to b; each sees the other at an address.
func connect(t testing.TB, a, b *node, aAddr, bAddr string) (out, in *conn) {
	t.Helper()
	out = &conn{local: a, remote: b, from: multiaddrs(t, bAddr)[0], stat: core.ConnStat{Direction: core.Outbound}, done: make(chan struct{})}
	in = &conn{local: b, remote: a, from: multiaddrs(t, aAddr)[0], stat: core.ConnStat{Direction: core.Inbound}, done: make(chan struct{})}
	out.other, in.other = in, out
	for _, c := range []*conn{in, out} {
		n := c.local
		n.mu.Lock()
		n.conns[c.RemotePeer()]++
		n.mu.Unlock()
		n.book.Connected(c.RemotePeer())
	}
	b.inOrder(func() { b.Emit(core.Connected{Conn: in}) })
	a.inOrder(func() { a.Emit(core.Connected{Conn: out}) })
	return out, in
}

func (c *conn) RemotePeer() peer.ID               { return c.remote.ID() }
func (c *conn) RemotePublicKey() peer.PublicKey   { return c.remote.PublicKey() }
func (c *conn) LocalMultiaddr() ma.Multiaddr      { return c.other.from }
func (c *conn) RemoteMultiaddr() ma.Multiaddr     { return c.from }
func (c *conn) Stat() core.ConnStat               { return c.stat }
func (c *conn) Streams() []core.Stream            { return nil }
func (c *conn) Done() <-chan struct{}             { return c.done }
func (c *conn) CloseWithCode(core.ConnCode) error { return c.Close() }

// Close implements [core.Conn].
func (c *conn) Close() error {
	for _, e := range []*conn{c, c.other} {
		e.mu.Lock()
		closed, streams := e.closed, e.streams
		e.closed = true
		e.mu.Unlock()
		if closed {
			continue
		}
		close(e.done)
		for _, s := range streams {
			s.Reset(core.StreamShutdown)
		}
		n := e.local
		n.mu.Lock()
		n.conns[e.RemotePeer()]--
		if n.conns[e.RemotePeer()] == 0 {
			n.book.Disconnected(e.RemotePeer())
		}
		n.mu.Unlock()
		n.inOrder(func() { n.Emit(core.Disconnected{Conn: e}) })
	}
	return nil
}

// NewStream implements [core.Conn].
func (c *conn) NewStream(ctx context.Context, protocols ...string) (core.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.remote.mu.Lock()
	h := c.remote.handlers[protocols[0]]
	c.remote.mu.Unlock()
	if h == nil {
		return nil, &core.ProtocolError{Protocols: protocols}
	}
	x, y := memnet.Pipe()
	a := &stream{Conn: x, conn: c, protocol: protocols[0], direction: core.Outbound}
	b := &stream{Conn: y, conn: c.other, protocol: protocols[0], direction: core.Inbound}
	for _, s := range []*stream{a, b} {
		s.conn.mu.Lock()
		closed := s.conn.closed
		if !closed {
			s.conn.streams = append(s.conn.streams, s)
		}
		s.conn.mu.Unlock()
		if closed {
			return nil, &core.ConnError{}
		}
	}
	c.remote.mu.Lock()
	defer c.remote.mu.Unlock()
	if c.remote.ended {
		return nil, &core.ConnError{}
	}
	c.remote.wg.Go(func() {
		if err := h(&end{b}); err != nil {
			b.Reset(core.StreamNoError)
			return
		}
		b.Close()
	})
	return &end{a}, nil
}

type stream struct {
	*memnet.Conn
	conn      *conn
	protocol  string
	direction core.Direction
}

func (s *stream) Protocol() string          { return s.protocol }
func (s *stream) Direction() core.Direction { return s.direction }

// Write implements [core.Stream], and counts.
func (s *stream) Write(b []byte) (int, error) {
	s.conn.local.writes.Add(1)
	return s.Conn.Write(b)
}

// Reset implements [core.Stream].
func (s *stream) Reset(code core.StreamCode) error {
	s.Abort(&core.StreamError{Code: code}, &core.StreamError{Code: code, Remote: true})
	return nil
}

// end has the method Conn, which the field of the same name hides in stream.
type end struct{ *stream }

// Conn implements [core.Stream].
func (s *end) Conn() core.Conn { return s.stream.conn }

// finish ends the writing side of a stream and waits for its handler.
func finish(s core.Stream) {
	s.CloseWrite()
	s.Read(make([]byte, 1))
	s.Close()
}

func multiaddrs(t testing.TB, texts ...string) []ma.Multiaddr {
	t.Helper()
	var list []ma.Multiaddr
	for _, text := range texts {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}
