// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package swarm keeps the connections of a node: it dials and accepts them,
// has them upgraded, holds them in a table, and runs streams on them. It plays
// the roles [core.Streams], [core.Dialer] and [core.Conns].
package swarm

import (
	"context"
	"errors"
	"log/slog"
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
	// Routing returns who is asked where peers are; false if nobody can be.
	Routing func() (core.PeerRouting, bool)
}

// Transport is a transport and its module's name.
type Transport struct {
	Name string
	core.Transport
}

// Swarm is the table of connections, and what makes and ends them.
type Swarm struct {
	Settings
	upgrader   *upgrade.Upgrader
	transports atomic.Pointer[[]Transport]
	handlers   handlers
	backoff    backoff
	holes      blackHoles
	reaper     reaper
	punches    punches
	policy     atomic.Pointer[dialPolicy]
	target     atomic.Pointer[trimTarget]
	lookups    chan struct{} // a place for each that is under way

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
		lookups:   make(chan struct{}, maxLookups),
	}
	w.SetDial(DialConfig{})
	w.target.Store(new(trimTarget))
	w.transports.Store(new([]Transport))
	w.handlers.init(s.Log, func(protocols []string) {
		s.Events.Emit(core.LocalProtocolsChanged{Protocols: protocols})
	})
	return w
}

// TransportFor returns the first transport among ts that matches a.
func TransportFor(ts []Transport, a ma.Multiaddr) (Transport, bool) {
	for _, t := range ts {
		if t.Match(a) {
			return t, true
		}
	}
	return Transport{}, false
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
