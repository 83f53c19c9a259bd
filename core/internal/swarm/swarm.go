// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package swarm keeps the connections of a node: it dials and accepts them,
// has them upgraded, holds them in a table, and runs streams on them. It plays
// the roles [core.Streams], [core.Dialer] and [core.Conns].
package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/connmgr"
	"github.com/xnode-p2p/xnode/core/internal/gater"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/internal/peerstore"
	"github.com/xnode-p2p/xnode/core/internal/resolve"
	"github.com/xnode-p2p/xnode/core/internal/upgrade"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Settings are the parts a swarm is made of.
type Settings struct {
	Identity core.Identity
	Events   core.Events
	Book     *peerstore.Book
	Limits   *limits.Limits
	Gater    *gater.Gater
	Manager  *connmgr.Manager
	Resolver *resolve.Resolver
	Log      *slog.Logger
	// OwnAddrs are the addresses the node itself listens on.
	OwnAddrs func() []ma.Multiaddr
}

// Transport is a transport and its module's name.
type Transport struct {
	Name string
	core.Transport
}

// Swarm is the table of connections and what makes them.
type Swarm struct {
	Settings
	upgrader   *upgrade.Upgrader
	transports atomic.Pointer[[]Transport]
	handlers   handlers
	backoff    backoff
	reaper     reaper
	policy     atomic.Pointer[dialPolicy]
	target     atomic.Pointer[trimTarget]

	mu        sync.Mutex
	conns     map[peer.ID][]*Conn // bounded by limits.connections
	count     int
	dials     map[dialKey]*dial // one each peer and sort
	listeners map[*Listener]struct{}
	cancels   map[*context.CancelFunc]struct{} // of dials and upgrades under way
	events    []any                            // not yet emitted, in order
	trimmed   time.Time
	trimTimer *time.Timer
	closed    bool

	emitting sync.Mutex
	running  sync.WaitGroup // accept loops, upgrades, dials, handlers
}

// New returns a swarm that has no transports yet and listens nowhere.
func New(s Settings) *Swarm {
	w := &Swarm{
		Settings:  s,
		upgrader:  upgrade.New(s.Identity),
		conns:     make(map[peer.ID][]*Conn),
		dials:     make(map[dialKey]*dial),
		listeners: make(map[*Listener]struct{}),
		cancels:   make(map[*context.CancelFunc]struct{}),
	}
	w.SetDial(DialConfig{})
	w.target.Store(new(trimTarget))
	w.transports.Store(new([]Transport))
	w.handlers.init(s.Log, func(protocols []string) {
		s.Events.Emit(core.LocalProtocolsChanged{Protocols: protocols})
	})
	return w
}

// SetTransports says what the swarm dials with from now on.
func (s *Swarm) SetTransports(ts []Transport) {
	ts = slices.Clone(ts)
	s.transports.Store(&ts)
}

// SetUpgrade says what connections are upgraded with from now on, in order of
// preference.
func (s *Swarm) SetUpgrade(securities []core.Security, muxers []core.Muxer) {
	s.upgrader.Set(securities, muxers)
}

// transportFor returns the first transport that matches a.
func (s *Swarm) transportFor(a ma.Multiaddr) (Transport, bool) {
	for _, t := range *s.transports.Load() {
		if t.Match(a) {
			return t, true
		}
	}
	return Transport{}, false
}

// begin runs work on a goroutine that Close cancels and waits for. It returns
// false if the swarm is closed.
func (s *Swarm) begin(timeout time.Duration, work func(context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.beginLocked(timeout, work)
	return true
}

func (s *Swarm) beginLocked(timeout time.Duration, work func(context.Context)) (cancel context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	s.cancels[&cancel] = struct{}{}
	s.running.Go(func() {
		defer func() {
			cancel()
			s.mu.Lock()
			delete(s.cancels, &cancel)
			s.mu.Unlock()
		}()
		work(ctx)
	})
	return cancel
}

// add puts an upgraded connection into the table and serves it.
func (s *Swarm) add(muxed core.MuxedConn, scope *limits.Conn, stat core.ConnStat) (*Conn, error) {
	p := muxed.RemotePeer()
	if p == s.Identity.ID() {
		return nil, core.ErrSelf
	}
	if err := s.Gater.Peer(p); err != nil {
		return nil, err
	}
	if err := scope.SetPeer(p); err != nil {
		return nil, err
	}
	stat.Opened = time.Now()
	c := &Conn{muxed: muxed, swarm: s, scope: scope, stat: stat}

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, net.ErrClosed
	}
	s.conns[p] = append(s.conns[p], c)
	s.count++
	if len(s.conns[p]) == 1 {
		s.Book.Connected(p)
	}
	s.events = append(s.events, core.Connected{Conn: c, First: len(s.conns[p]) == 1})
	s.running.Go(func() {
		s.emit()
		c.acceptStreams()
	})
	s.mu.Unlock()

	s.emit()
	s.trim()
	return c, nil
}

// remove takes a connection that has ended out of the table.
func (s *Swarm) remove(c *Conn) {
	p := c.RemotePeer()
	s.mu.Lock()
	left := slices.DeleteFunc(s.conns[p], func(o *Conn) bool { return o == c })
	if len(left) == 0 {
		delete(s.conns, p)
		s.Book.Disconnected(p)
		s.Manager.Forget(p)
	} else {
		s.conns[p] = left
	}
	s.count--
	s.events = append(s.events, core.Disconnected{Conn: c, Last: len(left) == 0})
	s.mu.Unlock()
	s.emit()
}

// emit emits the events that are due, in the order in which the table changed.
// When it returns, those appended before the call have been emitted.
func (s *Swarm) emit() {
	s.emitting.Lock()
	defer s.emitting.Unlock()
	for {
		s.mu.Lock()
		due := s.events
		s.events = nil
		s.mu.Unlock()
		if len(due) == 0 {
			return
		}
		for _, e := range due {
			s.Events.Emit(e)
		}
	}
}

// InOrder calls f while no event of the table is being emitted: events that f
// emits come after those of the table's changes that led to it.
func (s *Swarm) InOrder(f func()) {
	s.emitting.Lock()
	defer s.emitting.Unlock()
	f()
}

// Conns implements [core.Conns].
func (s *Swarm) Conns() []core.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]core.Conn, 0, s.count)
	for _, cs := range s.conns {
		for _, c := range cs {
			list = append(list, c)
		}
	}
	return list
}

// ConnsTo implements [core.Conns].
func (s *Swarm) ConnsTo(p peer.ID) []core.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]core.Conn, 0, len(s.conns[p]))
	for _, c := range s.conns[p] {
		list = append(list, c)
	}
	slices.SortStableFunc(list, func(a, b core.Conn) int {
		return limitedRank(a) - limitedRank(b)
	})
	return list
}

func limitedRank(c core.Conn) int {
	if c.Stat().Limited {
		return 1
	}
	return 0
}

// Protect implements [core.Conns].
func (s *Swarm) Protect(p peer.ID, tag string) (unprotect func()) {
	return s.Manager.Protect(p, tag)
}

// Tag implements [core.Conns].
func (s *Swarm) Tag(p peer.ID, tag string, value int) { s.Manager.Tag(p, tag, value) }

// best returns the connection to use for streams to p, or nil.
func (s *Swarm) best(p peer.ID, limited bool) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bestLocked(p, limited)
}

func (s *Swarm) bestLocked(p peer.ID, limited bool) *Conn {
	var found *Conn
	for _, c := range s.conns[p] {
		switch {
		case c.closing():
		case !c.stat.Limited:
			return c
		case limited && found == nil:
			found = c
		}
	}
	return found
}

// NewStream implements [core.Streams].
func (s *Swarm) NewStream(ctx context.Context, p peer.ID, protocols ...string) (core.Stream, error) {
	for try := 0; ; try++ {
		c, dialled, err := s.connect(ctx, p, nil, core.LimitedAllowed(ctx))
		if err != nil {
			return nil, err
		}
		st, err := c.NewStream(ctx, protocols...)
		if err == nil || dialled || try > 0 || !errors.Is(err, core.ErrConnClosed) {
			return st, err
		}
	}
}

// Connect implements [core.Dialer].
func (s *Swarm) Connect(ctx context.Context, p peer.AddrInfo) (core.Conn, error) {
	c, _, err := s.connect(ctx, p.ID, p.Addrs, true)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// connect returns a connection to p, a limited one only if that will do.
func (s *Swarm) connect(ctx context.Context, p peer.ID, addrs []ma.Multiaddr, limited bool) (c *Conn, dialled bool, err error) {
	forced := core.DirectForced(ctx)
	limited = limited && !forced
	if c := s.best(p, limited); c != nil {
		return c, false, nil
	}
	relayed := s.best(p, true) != nil
	if core.DialForbidden(ctx) {
		if relayed {
			return nil, false, fmt.Errorf("%s: %w", p.Short(), core.ErrLimited)
		}
		return nil, false, fmt.Errorf("%s: %w", p.Short(), core.ErrNotConnected)
	}
	// Another connection through a relay would be of no more use.
	c, dialled, err = s.dialPeer(ctx, dialRequest{dialKey{p, forced || relayed}, limited, addrs})
	switch {
	case err != nil && relayed && !forced:
		return nil, true, fmt.Errorf("%s: %w: %w", p.Short(), core.ErrLimited, err)
	case err == nil && c.stat.Limited && !limited:
		return nil, true, fmt.Errorf("%s: %w", p.Short(), core.ErrLimited)
	}
	return c, dialled, err
}

// Disconnect closes all connections to p.
func (s *Swarm) Disconnect(p peer.ID) error {
	var errs []error
	for _, c := range s.ConnsTo(p) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Regate closes the connections that the gater would not let in any more. Call
// it when its rules have changed.
func (s *Swarm) Regate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for p, conns := range s.conns {
		for _, c := range conns {
			if err := errors.Join(s.Gater.Peer(p), s.Gater.Addr(c.RemoteMultiaddr())); err != nil {
				s.Log.Debug("connection closed", "peer", p, "remote", c.RemoteMultiaddr(), "reason", err)
				s.running.Go(func() { c.CloseWithCode(core.ConnGated) })
			}
		}
	}
}

// Close ends all connections, dials and handlers and waits for them.
func (s *Swarm) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.trimTimer != nil {
		s.trimTimer.Stop()
	}
	for cancel := range s.cancels {
		(*cancel)()
	}
	var listeners []*Listener
	for l := range s.listeners {
		listeners = append(listeners, l)
	}
	s.mu.Unlock()

	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	for _, c := range s.Conns() {
		s.running.Go(func() { c.CloseWithCode(core.ConnShutdown) })
	}
	s.running.Wait()
	s.reaper.close()
	return errors.Join(errs...)
}

var (
	_ core.Streams = (*Swarm)(nil)
	_ core.Dialer  = (*Swarm)(nil)
	_ core.Conns   = (*Swarm)(nil)
)
