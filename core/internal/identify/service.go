// SPDX-License-Identifier: Apache-2.0 OR MIT

package identify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/peerstore"
)

const (
	// timeout bounds everything that is done on one stream.
	timeout = 5 * time.Second

	// maxRunning bounds the connections on which we ask at one time, and
	// maxInbound those among them that others opened: they must not keep us
	// from asking whom we dialled.
	maxRunning = 256
	maxInbound = 192

	// streamsPerPeer bounds the streams of identify, and those of identify
	// push, that one peer may have open to us.
	streamsPerPeer = 4
)

// Settings are what the service needs.
type Settings struct {
	Node interface {
		core.Identity
		core.Streams
		core.Events
		core.Addrs
	}
	// Conns lists the connections there are when the service starts.
	Conns func() []core.Conn
	Book  *peerstore.Book
	// Protocols lists what the node serves, sorted.
	Protocols func() []string
	// Agent and ProtocolVersion are what the node says it is.
	Agent, ProtocolVersion string
	// InOrder calls f once the Connected events that are under way have reached
	// everyone, and before another Connected or Disconnected does. It keeps the
	// events of a connection in their order. Nil means: call f at once.
	InOrder func(f func())
	Log     *slog.Logger
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// Service runs identify and identify push. Every new connection is asked once;
// a failure is told as an event and leaves the connection alone.
type Service struct {
	Settings

	self   self
	pushes pushLimiter
	wake   chan struct{} // of the pusher; holds one
	cancel context.CancelFunc
	stop   []func() // subscriptions and handlers
	wg     sync.WaitGroup

	mu      sync.Mutex
	states  map[core.Conn]*state // one each connection
	waiting []*state             // inbound ones that have to wait, at most one each connection
	dialled []*state             // outbound ones likewise
	running int                  // at most maxRunning
	inbound int                  // of those running; at most maxInbound
	closed  bool
}

// New returns a service that does nothing before Start.
func New(s Settings) *Service {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.InOrder == nil {
		s.InOrder = func(f func()) { f() }
	}
	svc := &Service{
		Settings: s,
		wake:     make(chan struct{}, 1),
		states:   make(map[core.Conn]*state),
	}
	svc.self.settings = &svc.Settings
	svc.self.agent.Store(&s.Agent)
	svc.pushes.init(s.Now)
	return svc
}

// OwnAgent is what the node says it is.
func (s *Service) OwnAgent() string { return *s.self.agent.Load() }

// SetAgent changes what the node says it is, and tells connected peers.
func (s *Service) SetAgent(agent string) {
	if old := s.self.agent.Swap(&agent); *old != agent {
		s.renew()
	}
}

// Start subscribes to the node's events and serves the two protocols. It must
// come before other subscribers: they rely on the order of the events that a
// connection makes, which includes those of this service.
func (s *Service) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.stop = []func(){
		core.On(s.Node, func(e core.Connected) { s.begin(ctx, e.Conn) }),
		core.On(s.Node, func(e core.Disconnected) { s.forget(e.Conn) }),
		core.On(s.Node, func(core.LocalAddrsChanged) { s.renew() }),
		core.On(s.Node, func(core.LocalProtocolsChanged) { s.renew() }),
		s.Node.Handle(ID, s.serve, core.HandleLimited(), core.HandleAtMost(streamsPerPeer)),
		s.Node.Handle(PushID, s.servePush, core.HandleLimited(), core.HandleAtMost(streamsPerPeer)),
	}
	s.wg.Go(func() { s.pushLoop(ctx) })
	if s.Conns != nil {
		for _, c := range s.Conns() {
			s.begin(ctx, c)
		}
	}
}

// Close ends everything and waits for it. Whoever waits for an identify gets
// [net.ErrClosed].
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if s.cancel == nil {
		return
	}
	s.cancel()
	for _, stop := range s.stop {
		stop()
	}
	s.wg.Wait()
	s.mu.Lock()
	states := s.states
	s.states, s.waiting, s.dialled = make(map[core.Conn]*state), nil, nil
	s.mu.Unlock()
	for _, st := range states {
		st.end(net.ErrClosed)
	}
}

// ErrOff says that the service was not started.
var ErrOff = errors.New("identify is off")

// Wait waits until identify on c has ended, and returns nil if it went well.
func (s *Service) Wait(ctx context.Context, c core.Conn) error {
	if s.cancel == nil {
		return ErrOff
	}
	st := s.state(c)
	if st == nil {
		return fmt.Errorf("identify %s: %w", c.RemotePeer().Short(), core.ErrConnClosed)
	}
	select {
	case <-st.done:
		return st.err
	case <-ctx.Done():
		return fmt.Errorf("identify %s: %w", c.RemotePeer().Short(), context.Cause(ctx))
	}
}

// state returns the state of c, making it if there is none; nil if c is closed
// or the service is.
func (s *Service) state(c core.Conn) *state {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.states[c]; st != nil || s.closed {
		return st
	}
	select {
	case <-c.Done(): // its Disconnected may be over: nothing would remove the state
		return nil
	default:
	}
	st := &state{conn: c, done: make(chan struct{})}
	s.states[c] = st
	return st
}

// renew is called when there is something new to say.
func (s *Service) renew() {
	s.self.changed()
	s.wakePusher()
}

func (s *Service) wakePusher() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// state is what the service knows of one connection. It lives until the
// connection is out of the table.
type state struct {
	conn    core.Conn
	started atomic.Bool
	done    chan struct{} // closed when identify has ended and everyone was told
	sent    atomic.Uint64 // the serial of what the peer was told last

	mu    sync.Mutex
	gone  bool  // disconnected: nothing about the peer may be stored any more
	ended bool  // who sets it tells of it and closes done
	err   error // of identify; set before done is closed
}

// claim makes the caller the one who ends identify; false if there is one.
func (st *state) claim(err error) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended {
		return false
	}
	st.ended, st.err = true, err
	return true
}

// end ends identify without telling.
func (st *state) end(err error) {
	if st.claim(err) {
		close(st.done)
	}
}

// forget is called when a connection is out of the table. What others are told
// of the connection, they are told before it returns.
func (s *Service) forget(c core.Conn) {
	s.mu.Lock()
	st := s.states[c]
	delete(s.states, c)
	s.mu.Unlock()
	if st == nil {
		return
	}
	s.unqueue(st)
	st.mu.Lock()
	st.gone = true
	st.mu.Unlock()
	err := fmt.Errorf("identify %s: %w", c.RemotePeer().Short(), core.ErrConnClosed)
	if st.claim(err) {
		s.Node.Emit(core.IdentifyFailed{Conn: c, Err: err})
		close(st.done)
	}
	<-st.done
}
