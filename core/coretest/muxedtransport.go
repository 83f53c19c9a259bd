// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// muxedSuite is one run of [TestMuxedTransport].
type muxedSuite struct {
	newTransport func(*testing.T) core.MuxedTransport
	listen       ma.Multiaddr
}

// TestMuxedTransport tests what every muxed transport must do. Each case makes
// new transports, starts them as services if they are, and listens on listen,
// which must be an address with a port to be chosen, such as
// /ip4/127.0.0.1/udp/0/quic-v1.
func TestMuxedTransport(t *testing.T, newTransport func(*testing.T) core.MuxedTransport, listen ma.Multiaddr, options ...SessionOptions) {
	m := &muxedSuite{newTransport: newTransport, listen: listen}
	s := &sessionSuite{open: func(t *testing.T) (client, server core.Session) {
		c, s := m.connect(t, m.start(t))
		return c, s
	}}
	if len(options) > 0 {
		s.options = options[0]
	}
	s.run(t)
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"Match", m.testMatch},
		{"Peers", m.testPeers},
		{"WrongPeer", m.testWrongPeer},
		{"DialAs", m.testDialAs},
		{"DialCancelled", m.testDialCancelled},
		{"DialClosedListener", m.testDialClosedListener},
		{"AcceptAfterClose", m.testAcceptAfterClose},
		{"CloseEndsAccept", m.testCloseEndsAccept},
		{"ManyConns", m.testManyConns},
		{"ForeignAddresses", m.testForeignAddresses},
		{"Admission", m.testAdmission},
		{"AdmissionRefused", m.testAdmissionRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			VerifyNoLeaks(t)
			c.test(t)
		})
	}
}

// muxedPair are two nodes' transports, of which the second listens.
type muxedPair struct {
	client, server     core.MuxedTransport
	clientID, serverID peer.ID
	listener           core.MuxedListener
	admissions         *Admissions
}

// start makes a pair that lasts until the test ends.
func (m *muxedSuite) start(t *testing.T) *muxedPair {
	t.Helper()
	nodes := FakeNodes(t, 2)
	p := &muxedPair{admissions: new(Admissions)}
	var transports []core.MuxedTransport
	for _, n := range nodes {
		tr := m.newTransport(t)
		if s, ok := tr.(core.Service); ok {
			if err := s.Start(t.Context(), n); err != nil {
				t.Fatalf("start: %v", err)
			}
			t.Cleanup(func() { s.Close() })
		}
		transports = append(transports, tr)
	}
	l, err := transports[1].Listen(m.listen, p.admissions.Admit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p.client, p.clientID = transports[0], nodes[0].ID()
	p.server, p.serverID = transports[1], nodes[1].ID()
	p.listener = l
	return p
}

// connect returns both ends of a connection, which last until the test ends.
func (m *muxedSuite) connect(t *testing.T, p *muxedPair) (client, server core.MuxedConn) {
	t.Helper()
	return m.connectWith(t, t.Context(), p)
}

func (m *muxedSuite) connectWith(t *testing.T, ctx context.Context, p *muxedPair) (client, server core.MuxedConn) {
	t.Helper()
	var wg sync.WaitGroup
	var acceptErr error
	wg.Go(func() { server, _, acceptErr = p.listener.Accept() })
	client, err := p.client.Dial(ctx, p.listener.Multiaddr(), p.serverID, NewMemory(-1))
	if err != nil {
		p.listener.Close()
		wg.Wait()
		t.Fatalf("dial %s: %v", p.listener.Multiaddr(), err)
	}
	wg.Wait()
	if acceptErr != nil {
		client.Close()
		t.Fatalf("accept: %v", acceptErr)
	}
	t.Cleanup(func() { closeBoth(client, server) })
	return client, server
}

func (m *muxedSuite) testMatch(t *testing.T) {
	p := m.start(t)
	for _, a := range []ma.Multiaddr{m.listen, p.listener.Multiaddr()} {
		if !p.client.Match(a) {
			t.Errorf("does not match %s", a)
		}
	}
	for _, a := range foreignToMuxed() {
		if p.client.Match(a) {
			t.Errorf("matches %s", a)
		}
	}
}

// foreignToMuxed are addresses that belong to no muxed transport in this shape.
func foreignToMuxed() []ma.Multiaddr {
	return []ma.Multiaddr{
		nil,
		{},
		ma.StringCast("/ip4/127.0.0.1"),
		ma.StringCast("/ip4/127.0.0.1/tcp/4001"),
		ma.StringCast("/ip4/127.0.0.1/udp/4001"),
		ma.StringCast("/dns4/localhost/udp/4001"),
		ma.StringCast("/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"),
	}
}

func (m *muxedSuite) testPeers(t *testing.T) {
	p := m.start(t)
	client, server := m.connect(t, p)
	for _, c := range []struct {
		name string
		conn core.MuxedConn
		want peer.ID
	}{{"client", client, p.serverID}, {"server", server, p.clientID}} {
		if c.conn.RemotePeer() != c.want {
			t.Errorf("%s: connected to %s, want %s", c.name, c.conn.RemotePeer(), c.want)
		}
		if !c.want.Matches(c.conn.RemotePublicKey()) {
			t.Errorf("%s: the key is not that of the peer", c.name)
		}
		if c.conn.LocalMultiaddr() == nil || c.conn.RemoteMultiaddr() == nil {
			t.Errorf("%s: an address is nil", c.name)
		}
	}
	if !client.RemoteMultiaddr().Equal(p.listener.Multiaddr()) {
		t.Errorf("the client says it is connected to %s, not %s", client.RemoteMultiaddr(), p.listener.Multiaddr())
	}
}

func (m *muxedSuite) testWrongPeer(t *testing.T) {
	p := m.start(t)
	wait := acceptAll(p.listener)
	other := NewIdentity(99).ID()
	c, err := p.client.Dial(t.Context(), p.listener.Multiaddr(), other, NewMemory(-1))
	if err == nil {
		c.Close()
	}
	if mismatch, ok := errors.AsType[*core.PeerMismatchError](err); !ok || mismatch.Want != other || mismatch.Got != p.serverID {
		t.Errorf("dial: %v, want a PeerMismatchError", err)
	}
	p.listener.Close()
	wait()
}

// testDialAs dials as somebody else, which is to be done from a port that the
// node does not listen on.
func (m *muxedSuite) testDialAs(t *testing.T) {
	p := m.start(t)
	l, err := p.client.Listen(m.listen, new(Admissions).Admit)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	alias := NewIdentity(77)
	_, server := m.connectWith(t, core.DialAs(t.Context(), alias), p)
	if server.RemotePeer() != alias.ID() || !alias.ID().Matches(server.RemotePublicKey()) {
		t.Errorf("the dial was by %s, want %s", server.RemotePeer(), alias.ID())
	}
	listens, _ := portOf(l.Multiaddr())
	if from, ok := portOf(server.RemoteMultiaddr()); ok && from == listens {
		t.Errorf("the dial came from port %s, which the node listens on", from)
	}
	_, server = m.connect(t, p) // the next one is the node's again
	if server.RemotePeer() != p.clientID {
		t.Errorf("the next dial was by %s, want %s", server.RemotePeer(), p.clientID)
	}
}

// portOf returns the port of an address; ok is false if it has none.
func portOf(a ma.Multiaddr) (port string, ok bool) {
	for _, c := range a {
		if c.Code() == ma.P_TCP || c.Code() == ma.P_UDP {
			return c.Value(), true
		}
	}
	return "", false
}

// acceptAll accepts and closes connections until the listener is closed.
func acceptAll(l core.MuxedListener) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, _, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				<-c.Done()
				c.Close()
			})
		}
	})
	return wg.Wait
}

func (m *muxedSuite) testDialCancelled(t *testing.T) {
	p := m.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := p.client.Dial(ctx, p.listener.Multiaddr(), p.serverID, NewMemory(-1)); !errors.Is(err, context.Canceled) {
		t.Errorf("dial with a cancelled context: %v, %v", c, err)
	}
}

func (m *muxedSuite) testDialClosedListener(t *testing.T) {
	p := m.start(t)
	p.listener.Close()
	// A closed port is silent with some transports: give up.
	ctx, cancel := context.WithTimeout(t.Context(), 10*soon)
	defer cancel()
	c, err := p.client.Dial(ctx, p.listener.Multiaddr(), p.serverID, NewMemory(-1))
	if err == nil {
		c.Close()
		t.Error("dialled an address that is closed")
	}
}

func (m *muxedSuite) testAcceptAfterClose(t *testing.T) {
	p := m.start(t)
	if err := p.listener.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v, want net.ErrClosed", err)
	}
	p.listener.Close() // does no harm
}

func (m *muxedSuite) testCloseEndsAccept(t *testing.T) {
	p := m.start(t)
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { _, _, err = p.listener.Accept() })
	p.listener.Close()
	wg.Wait()
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v, want net.ErrClosed", err)
	}
}

func (m *muxedSuite) testManyConns(t *testing.T) {
	p := m.start(t)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, _, err := p.listener.Accept()
			if err != nil {
				return
			}
			wait := serve(c, echo)
			served.Go(func() {
				wait()
				c.Close()
			})
		}
	})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			c, err := p.client.Dial(t.Context(), p.listener.Multiaddr(), p.serverID, NewMemory(-1))
			if err != nil {
				t.Errorf("dial %d: %v", i, err)
				return
			}
			defer c.Close()
			for range 5 {
				if err := echoMessages(t, c, uint64(i), 10, 100, 1000); err != nil {
					t.Errorf("conn %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	p.listener.Close()
	served.Wait()
}

func (m *muxedSuite) testForeignAddresses(t *testing.T) {
	p := m.start(t)
	for _, a := range foreignToMuxed() {
		if c, err := p.client.Dial(t.Context(), a, p.serverID, NewMemory(-1)); err == nil {
			c.Close()
			t.Errorf("dialled %s", a)
		}
		if l, err := p.server.Listen(a, p.admissions.Admit); err == nil {
			l.Close()
			t.Errorf("listens on %s", a)
		}
	}
}

// testAdmission has a connection handed out with the admission it was given, and
// one that is given up give its back.
func (m *muxedSuite) testAdmission(t *testing.T) {
	p := m.start(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		c, admission, err := p.listener.Accept()
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		a, ok := admission.(*TestAdmission)
		if !ok || a.Ended() || !a.Remote.Equal(c.RemoteMultiaddr()) {
			t.Errorf("a connection from %s was admitted with %+v", c.RemoteMultiaddr(), admission)
		}
		c.Close()
	})
	c, err := p.client.Dial(t.Context(), p.listener.Multiaddr(), p.serverID, NewMemory(-1))
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	c.Close()

	other := NewIdentity(99).ID() // whom the client does not find
	if c, err := p.client.Dial(t.Context(), p.listener.Multiaddr(), other, NewMemory(-1)); err == nil {
		c.Close()
	}
	p.listener.Close()
	for i, a := range p.admissions.List()[1:] {
		a.WaitEnded(t, i)
	}
}

// testAdmissionRefused refuses a connection: it is not handed out, and the
// dialer learns before long that it will not be.
func (m *muxedSuite) testAdmissionRefused(t *testing.T) {
	p := m.start(t)
	p.admissions.Refuse(&core.LimitError{Scope: "coretest", Resource: "connections", Knob: "Admissions.Refuse"})
	var wg sync.WaitGroup
	wg.Go(func() {
		if c, _, err := p.listener.Accept(); err == nil {
			c.Close()
			t.Error("a connection that was refused is handed out")
		}
	})
	c, err := p.client.Dial(t.Context(), p.listener.Multiaddr(), p.serverID, NewMemory(-1))
	if err == nil {
		<-c.Done() // the refusal came when its handshake was done
		c.Close()
	}
	p.admissions.Refuse(nil)
	p.listener.Close()
	wg.Wait()
}
