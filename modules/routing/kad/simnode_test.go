// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

// simNet is a network of simNodes: of a thousand, where whole nodes would take a
// machine of their own. Everything above the streams is real.
type simNet struct {
	streams *memnet.Network
	delay   time.Duration // of each direction

	mu    sync.RWMutex
	nodes map[peer.ID]*simNode
}

func newSimNet(delay time.Duration) *simNet {
	return &simNet{streams: memnet.New(memnet.Options{Delay: delay}), delay: delay, nodes: make(map[peer.ID]*simNode)}
}

func (n *simNet) find(p peer.ID) *simNode {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.nodes[p]
}

// simNode is a [core.Node] whose peer ID and address are what the test likes.
type simNode struct {
	core.ShareTable
	net  *simNet
	id   peer.ID
	addr ma.Multiaddr

	elsewhere bool // it is not at its address

	mu       sync.Mutex
	closed   bool
	modules  []any
	handlers map[string]*simHandler
	conns    map[peer.ID]*simConn
	addrs    map[peer.ID][]ma.Multiaddr
	subs     []*func(any)
}

type simHandler struct {
	h       core.StreamHandler
	streams map[*simStream]struct{}
	wg      sync.WaitGroup
}

// node adds a node. It is closed with the test.
func (n *simNet) node(t testing.TB, id peer.ID, ip netip.Addr) *simNode {
	s := &simNode{
		net: n, id: id, addr: ma.StringCast("/ip4/" + ip.String() + "/tcp/4001"),
		handlers: make(map[string]*simHandler), conns: make(map[peer.ID]*simConn), addrs: make(map[peer.ID][]ma.Multiaddr),
	}
	n.mu.Lock()
	n.nodes[id] = s
	n.mu.Unlock()
	t.Cleanup(s.close)
	return s
}

func (s *simNode) ID() peer.ID                 { return s.id }
func (s *simNode) PublicKey() peer.PublicKey   { return nil }
func (s *simNode) Sign([]byte) ([]byte, error) { return nil, core.ErrNotFound }

func (s *simNode) ListenAddrs() []ma.Multiaddr         { return []ma.Multiaddr{s.addr} }
func (s *simNode) Addrs() []ma.Multiaddr               { return s.ListenAddrs() }
func (s *simNode) Announce(...ma.Multiaddr) func()     { return func() {} }
func (s *simNode) Protect(peer.ID, string) func()      { return func() {} }
func (s *simNode) Tag(peer.ID, string, int)            {}
func (s *simNode) PeerAgent(peer.ID) string            { return "" }
func (s *simNode) PeerRecord(peer.ID) *record.Envelope { return nil }
func (s *simNode) KnownPeers() []peer.ID               { return nil }
func (s *simNode) Resolve(context.Context, ma.Multiaddr) ([]ma.Multiaddr, error) {
	return nil, core.ErrNotFound
}
func (s *simNode) ConsumePeerRecord([]byte, peer.ID, time.Duration) error {
	return core.ErrNotFound
}

// Modules implements [core.Modules].
func (s *simNode) Modules() []any { return s.modules }

// PeerAddrs implements [core.Peers]. Nothing expires.
func (s *simNode) PeerAddrs(p peer.ID) []ma.Multiaddr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.addrs[p])
}

// AddPeerAddrs implements [core.Peers].
func (s *simNode) AddPeerAddrs(p peer.ID, _ time.Duration, addrs ...ma.Multiaddr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range addrs {
		if !slices.ContainsFunc(s.addrs[p], a.Equal) {
			s.addrs[p] = append(s.addrs[p], a)
		}
	}
}

// PeerProtocols implements [core.Peers]: what a connected node serves now.
func (s *simNode) PeerProtocols(p peer.ID) (protocols []string) {
	if o := s.net.find(p); o != nil && len(s.ConnsTo(p)) > 0 {
		o.mu.Lock()
		defer o.mu.Unlock()
		for protocol := range o.handlers {
			protocols = append(protocols, protocol)
		}
	}
	return protocols
}

// Emit implements [core.Events].
func (s *simNode) Emit(event any) {
	s.mu.Lock()
	subs := slices.Clone(s.subs)
	s.mu.Unlock()
	for _, f := range subs {
		(*f)(event)
	}
}

// Subscribe implements [core.Events].
func (s *simNode) Subscribe(f func(any)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = append(s.subs, &f)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.subs = slices.DeleteFunc(s.subs, func(g *func(any)) bool { return g == &f })
	}
}

// Conns implements [core.Conns].
func (s *simNode) Conns() (conns []core.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// ConnsTo implements [core.Conns].
func (s *simNode) ConnsTo(p peer.ID) []core.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conns[p]; c != nil {
		return []core.Conn{c}
	}
	return nil
}

// Connect implements [core.Dialer]. It takes two round trips, and succeeds at
// the right address alone.
func (s *simNode) Connect(ctx context.Context, info peer.AddrInfo) (core.Conn, error) {
	s.AddPeerAddrs(info.ID, 0, info.Addrs...)
	if conns := s.ConnsTo(info.ID); len(conns) > 0 {
		return conns[0], nil
	}
	if core.DialForbidden(ctx) {
		return nil, core.ErrNotConnected
	}
	o := s.net.find(info.ID)
	if o == nil || o.elsewhere || info.ID == s.id || !slices.ContainsFunc(s.PeerAddrs(info.ID), o.addr.Equal) {
		return nil, &core.DialError{Record: &core.DialRecord{Peer: info.ID}, Cause: core.ErrNoAddrs}
	}
	if err := s.net.wait(ctx, 4); err != nil {
		return nil, err
	}
	out, fresh := s.link(o)
	if fresh {
		in, _ := o.link(s)
		for _, c := range []*simConn{out, in} {
			c.local.AddPeerAddrs(c.remote.id, 0, c.remote.addr)
			c.local.Emit(core.Connected{Conn: c, First: true})
			c.local.Emit(core.Identified{Conn: c})
		}
	}
	return out, nil
}

// wait waits for as long as data needs to go so many ways.
func (n *simNet) wait(ctx context.Context, ways int) error {
	timer := time.NewTimer(time.Duration(ways) * n.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// link returns the connection to a node, and whether it is new.
func (s *simNode) link(o *simNode) (_ *simConn, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conns[o.id]; c != nil {
		return c, false
	}
	c := &simConn{local: s, remote: o, opened: time.Now(), done: make(chan struct{})}
	s.conns[o.id] = c
	return c, true
}

// Handle implements [core.Streams].
func (s *simNode) Handle(protocol string, h core.StreamHandler, _ ...core.HandleOption) (remove func()) {
	r := &simHandler{h: h, streams: make(map[*simStream]struct{})}
	s.mu.Lock()
	s.handlers[protocol] = r
	s.mu.Unlock()
	s.tell(core.PeerProtocolsChanged{Peer: s.id, Added: []string{protocol}})
	return func() {
		s.mu.Lock()
		if s.handlers[protocol] == r {
			delete(s.handlers, protocol)
		}
		var streams []*simStream
		for st := range r.streams {
			streams = append(streams, st)
		}
		s.mu.Unlock()
		for _, st := range streams {
			st.Reset(core.StreamNoError)
		}
		r.wg.Wait()
		s.tell(core.PeerProtocolsChanged{Peer: s.id, Removed: []string{protocol}})
	}
}

// tell has those that are connected know of something.
func (s *simNode) tell(event any) {
	for _, c := range s.Conns() {
		c.(*simConn).remote.Emit(event)
	}
}

// NewStream implements [core.Streams]. It takes a round trip.
func (s *simNode) NewStream(ctx context.Context, p peer.ID, protocols ...string) (core.Stream, error) {
	c, err := s.Connect(ctx, peer.AddrInfo{ID: p})
	if err != nil {
		return nil, err
	}
	l, err := s.net.streams.Listen(ma.StringCast("/memory/0"))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	near, err := s.net.streams.Dial(ctx, l.Multiaddr())
	if err != nil {
		return nil, err
	}
	far, err := l.Accept()
	if err != nil {
		return nil, err
	}
	local := &simStream{simPipe{near.(*memnet.Conn)}, c, protocols[0], core.Outbound}
	o := c.(*simConn).remote
	o.mu.Lock()
	defer o.mu.Unlock()
	r, back := o.handlers[protocols[0]], o.conns[s.id]
	if r == nil || back == nil || o.closed {
		far.Close()
		near.Close()
		return nil, &core.ProtocolError{Protocols: protocols}
	}
	remote := &simStream{simPipe{far.(*memnet.Conn)}, back, protocols[0], core.Inbound}
	r.streams[remote] = struct{}{}
	r.wg.Go(func() {
		if r.h(remote) != nil {
			remote.Reset(core.StreamNoError)
		} else {
			remote.Close()
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(r.streams, remote)
	})
	return local, nil
}

func (s *simNode) close() {
	s.mu.Lock()
	s.closed = true
	handlers := s.handlers
	s.handlers = make(map[string]*simHandler)
	var streams []*simStream
	for _, r := range handlers {
		for st := range r.streams {
			streams = append(streams, st)
		}
	}
	s.mu.Unlock()
	for _, st := range streams {
		st.Reset(core.StreamNoError)
	}
	for _, r := range handlers {
		r.wg.Wait()
	}
}

// simConn is one end of a connection.
type simConn struct {
	local, remote *simNode
	opened        time.Time
	done          chan struct{}
}

func (c *simConn) RemotePeer() peer.ID             { return c.remote.id }
func (c *simConn) RemotePublicKey() peer.PublicKey { return nil }
func (c *simConn) LocalMultiaddr() ma.Multiaddr    { return c.local.addr }
func (c *simConn) RemoteMultiaddr() ma.Multiaddr   { return c.remote.addr }
func (c *simConn) Stat() core.ConnStat {
	return core.ConnStat{Direction: core.Outbound, Opened: c.opened}
}
func (c *simConn) Streams() []core.Stream            { return nil }
func (c *simConn) Close() error                      { return nil }
func (c *simConn) CloseWithCode(core.ConnCode) error { return nil }
func (c *simConn) Done() <-chan struct{}             { return c.done }
func (c *simConn) NewStream(ctx context.Context, protocols ...string) (core.Stream, error) {
	return c.local.NewStream(ctx, c.remote.id, protocols...)
}

type simPipe struct{ *memnet.Conn }

// simStream is one end of a stream.
type simStream struct {
	simPipe
	conn      core.Conn
	protocol  string
	direction core.Direction
}

func (s *simStream) Protocol() string          { return s.protocol }
func (s *simStream) Conn() core.Conn           { return s.conn }
func (s *simStream) Direction() core.Direction { return s.direction }
func (s *simStream) Reset(code core.StreamCode) error {
	s.simPipe.Conn.Abort(&core.StreamError{Code: code}, &core.StreamError{Code: code, Remote: true})
	return nil
}

var (
	_ core.Node   = (*simNode)(nil)
	_ core.Conn   = (*simConn)(nil)
	_ core.Stream = (*simStream)(nil)
)
