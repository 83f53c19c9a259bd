// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/internal/connmgr"
	"github.com/xnode-p2p/xnode/core/internal/eventbus"
	"github.com/xnode-p2p/xnode/core/internal/gater"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/internal/peerstore"
	"github.com/xnode-p2p/xnode/core/internal/resolve"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// world is an in-memory network whose transport secures and multiplexes by
// magic: [core.MuxedTransport] without cryptography.
type world struct {
	mu        sync.Mutex
	listeners map[string]*fakeListener
	dials     int
	// rules answer dials of addresses instead of a listener.
	rules map[string]rule
}

type rule func(ctx context.Context, p peer.ID) (core.MuxedConn, error)

func newWorld() *world {
	return &world{listeners: map[string]*fakeListener{}, rules: map[string]rule{}}
}

func (w *world) dialled() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials
}

// hang is the rule of an address from which nothing comes.
func hang(ctx context.Context, _ peer.ID) (core.MuxedConn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func refused(context.Context, peer.ID) (core.MuxedConn, error) { return nil, memnet.ErrRefused }

// after delays a rule.
func after(d time.Duration, r rule) rule {
	return func(ctx context.Context, p peer.ID) (core.MuxedConn, error) {
		select {
		case <-time.After(d):
			return r(ctx, p)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fakeTransport is the access of one identity to a world.
type fakeTransport struct {
	*world
	self *coretest.Identity
}

// Match implements [core.Transport]. UDP is left to others.
func (*fakeTransport) Match(a ma.Multiaddr) bool { return !has(a, ma.P_UDP) }

// Dial implements [core.MuxedTransport].
func (t *fakeTransport) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID, _ core.ConnMemory) (core.MuxedConn, error) {
	t.mu.Lock()
	t.dials++
	r, l := t.rules[a.String()], t.listeners[a.String()]
	t.mu.Unlock()
	switch {
	case r != nil:
		return r(ctx, p)
	case l == nil:
		return nil, memnet.ErrRefused
	case l.self.ID() != p:
		return nil, &core.PeerMismatchError{Want: p, Got: l.self.ID()}
	}
	self, _ := core.DialIdentity(ctx, t.self)
	here, there := newSessions(self, l.self, a)
	admission, err := l.admit(there.RemoteMultiaddr())
	if err != nil {
		return nil, memnet.ErrRefused
	}
	select {
	case l.waiting <- admitted{there, admission}:
		return here, nil
	case <-l.closed:
		admission.Done()
		return nil, memnet.ErrRefused
	case <-ctx.Done():
		admission.Done()
		return nil, ctx.Err()
	}
}

// Listen implements [core.MuxedTransport].
func (t *fakeTransport) Listen(a ma.Multiaddr, admit core.Admit) (core.MuxedListener, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listeners[a.String()] != nil {
		return nil, memnet.ErrInUse
	}
	l := &fakeListener{t, a, admit, make(chan admitted), make(chan struct{}), sync.Once{}}
	t.listeners[a.String()] = l
	return l, nil
}

type fakeListener struct {
	*fakeTransport
	addr    ma.Multiaddr
	admit   core.Admit
	waiting chan admitted
	closed  chan struct{}
	once    sync.Once
}

// admitted is a connection to accept.
type admitted struct {
	*fakeSession
	core.Admission
}

func (l *fakeListener) Accept() (core.MuxedConn, core.Admission, error) {
	select {
	case a := <-l.waiting:
		return a.fakeSession, a.Admission, nil
	case <-l.closed:
		return nil, nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error {
	l.once.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.listeners, l.addr.String())
		close(l.closed)
	})
	return nil
}

func (l *fakeListener) Multiaddr() ma.Multiaddr { return l.addr }

// fakeSession is one end of a connection.
type fakeSession struct {
	local, remote core.Identity
	addr          ma.Multiaddr
	other         *fakeSession
	accepting     chan *fakeStream
	done          chan struct{}

	mu      sync.Mutex
	err     *core.ConnError
	parting bool // opens no more streams
	mute    bool // the remote hears nothing of new streams
	streams []*fakeStream
}

// newSessions returns the dialler's and the listener's end of a connection.
func newSessions(a, b core.Identity, addr ma.Multiaddr) (here, there *fakeSession) {
	end := func(local, remote core.Identity) *fakeSession {
		return &fakeSession{local: local, remote: remote, addr: addr, accepting: make(chan *fakeStream, 64), done: make(chan struct{})}
	}
	here, there = end(a, b), end(b, a)
	here.other, there.other = there, here
	return here, there
}

func (s *fakeSession) OpenStream(ctx context.Context) (core.MuxedStream, error) {
	a, b := memnet.Pipe()
	here, there := &fakeStream{a}, &fakeStream{b}
	for end, st := range map[*fakeSession]*fakeStream{s: here, s.other: there} {
		if err := end.add(st, end == s); err != nil {
			return nil, err
		}
	}
	if s.mute {
		return here, nil
	}
	select {
	case s.other.accepting <- there:
		return here, nil
	case <-s.done:
		return nil, s.end()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *fakeSession) add(st *fakeStream, opening bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case opening && s.parting:
		return &core.ConnError{Remote: true}
	}
	s.streams = append(s.streams, st)
	return nil
}

func (s *fakeSession) AcceptStream() (core.MuxedStream, error) {
	select {
	case st := <-s.accepting:
		return st, nil
	case <-s.done:
		return nil, s.end()
	}
}

func (s *fakeSession) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *fakeSession) Close() error { return s.CloseWithCode(core.ConnNoError) }

func (s *fakeSession) CloseWithCode(code core.ConnCode) error {
	s.close(&core.ConnError{Code: code})
	s.other.close(&core.ConnError{Code: code, Remote: true})
	return nil
}

func (s *fakeSession) close(err *core.ConnError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	close(s.done)
	for _, st := range s.streams {
		st.Conn.Abort(err, err)
	}
}

func (s *fakeSession) Done() <-chan struct{}           { return s.done }
func (s *fakeSession) RemotePeer() peer.ID             { return s.remote.ID() }
func (s *fakeSession) RemotePublicKey() peer.PublicKey { return s.remote.PublicKey() }
func (s *fakeSession) LocalMultiaddr() ma.Multiaddr    { return s.addr }
func (s *fakeSession) RemoteMultiaddr() ma.Multiaddr   { return s.addr }

// fakeStream is one end of a stream.
type fakeStream struct{ *memnet.Conn }

func (st *fakeStream) Reset(code core.StreamCode) error {
	st.Conn.Abort(&core.StreamError{Code: code}, &core.StreamError{Code: code, Remote: true})
	return nil
}

// newSwarm returns a swarm with the identity of a seed; it dials in a world.
func newSwarm(t testing.TB, w *world, seed uint64, change ...func(*Settings)) *Swarm {
	t.Helper()
	self := coretest.NewIdentity(seed)
	g, err := gater.New(gater.Config{})
	if err != nil {
		t.Fatal(err)
	}
	settings := Settings{
		Identity: self,
		Events:   eventbus.New(func(event, value any, stack []byte) { t.Errorf("panic for %T: %v\n%s", event, value, stack) }),
		Book:     peerstore.New(peerstore.Config{}, time.Now),
		Limits:   limits.New(budget(t, limits.Config{}), time.Now),
		Gater:    g,
		Manager:  new(connmgr.Manager),
		Resolver: resolve.New(names{}),
		Log:      slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&settings)
	}
	s := New(settings)
	s.SetTransports([]Transport{{"fake", &fakeTransport{w, self}}})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if stat := s.Limits.Stat(); stat != (limits.Stat{}) {
			t.Errorf("after Close, limits count %+v", stat)
		}
	})
	return s
}

// budget is a configuration of limits with its defaults.
func budget(t testing.TB, c limits.Config) limits.Config {
	t.Helper()
	if err := errors.Join(c.Provision(), c.Validate()); err != nil {
		t.Fatal(err)
	}
	return c
}

// listen makes a swarm listen at an address, and returns how to reach it.
func listen(t testing.TB, s *Swarm, addr string) peer.AddrInfo {
	t.Helper()
	a := ma.StringCast(addr)
	l, err := s.Listen((*s.transports.Load())[0], a)
	if err != nil {
		t.Fatal(err)
	}
	l.Serve()
	return peer.AddrInfo{ID: s.Identity.ID(), Addrs: []ma.Multiaddr{a}}
}

// twoSwarms returns two swarms that know each other's address.
func twoSwarms(t testing.TB) (a, b *Swarm) {
	t.Helper()
	w := newWorld()
	a, b = newSwarm(t, w, 1), newSwarm(t, w, 2)
	for _, s := range []struct{ here, there *Swarm }{{a, b}, {b, a}} {
		info := listen(t, s.here, "/memory/"+fmt.Sprint(len(w.listeners)+1))
		s.there.Book.AddPeerAddrs(info.ID, core.PermanentTTL, info.Addrs...)
	}
	return a, b
}

// names is a DNS in which every name is 1.1.1.1.
type names struct{}

func (names) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) {
	return []net.IPAddr{{IP: net.IPv4(1, 1, 1, 1)}}, nil
}

func (names) LookupTXT(context.Context, string) ([]string, error) {
	return nil, errors.New("no such name")
}

func echo(s core.Stream) error {
	_, err := io.Copy(s, s)
	return err
}

// mustEcho fails the test unless a stream echoes.
func mustEcho(t testing.TB, s core.Stream) {
	t.Helper()
	said, heard := []byte("hello"), make([]byte, 5)
	if _, err := s.Write(said); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, heard); err != nil || string(heard) != string(said) {
		t.Fatalf("heard %q, %v", heard, err)
	}
}

var (
	_ core.MuxedTransport = (*fakeTransport)(nil)
	_ core.MuxedConn      = (*fakeSession)(nil)
)

func infoOf(s *Swarm) peer.AddrInfo {
	var info peer.AddrInfo
	info.ID = s.Identity.ID()
	for l := range s.listeners {
		info.Addrs = append(info.Addrs, l.Multiaddr())
	}
	return info
}
