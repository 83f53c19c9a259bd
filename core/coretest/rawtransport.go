// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
)

// RawOptions leave out cases of [TestRawTransport] that a transport cannot pass.
type RawOptions struct {
	// SharedAddress: two listeners may have one address, as behind a relay.
	SharedAddress bool
	// NoRebind: an address cannot be listened on again after Close.
	NoRebind bool
	// HiddenDialer: the listener does not learn the dialer's address.
	HiddenDialer bool
	// New makes another instance each time. Where it is given, instances that
	// are started on the same node must be able to replace each other on an
	// address, as in a reload.
	New func(*testing.T) core.RawTransport
}

// rawSuite is one run of [TestRawTransport].
type rawSuite struct {
	transport core.RawTransport
	listen    ma.Multiaddr
	options   RawOptions
}

// TestRawTransport tests what every raw transport must do. It listens on
// listen, which must be an address with a port to be chosen, such as
// /ip4/127.0.0.1/tcp/0, or one that can be listened on again and again.
func TestRawTransport(t *testing.T, transport core.RawTransport, listen ma.Multiaddr, options ...RawOptions) {
	s := &rawSuite{transport: transport, listen: listen}
	if len(options) > 0 {
		s.options = options[0]
	}
	for _, c := range []struct {
		name string
		skip bool
		test func(*testing.T)
	}{
		{"Match", false, s.testMatch},
		{"Addresses", false, s.testAddresses},
		{"BothDirections", false, s.testBothDirections},
		{"ManyConns", false, s.testManyConns},
		{"LargeTransfer", false, s.testLargeTransfer},
		{"CloseDelivers", false, s.testCloseDelivers},
		{"CloseEndsReadAndWrite", false, s.testCloseEndsReadAndWrite},
		{"WriteAfterRemoteClose", false, s.testWriteAfterRemoteClose},
		{"ReadDeadline", false, s.testReadDeadline},
		{"WriteDeadline", false, s.testWriteDeadline},
		{"DialCancelled", false, s.testDialCancelled},
		{"DialClosedListener", false, s.testDialClosedListener},
		{"AcceptAfterClose", false, s.testAcceptAfterClose},
		{"CloseEndsAccept", false, s.testCloseEndsAccept},
		{"ListenTwice", s.options.SharedAddress, s.testListenTwice},
		{"ListenAgain", s.options.NoRebind, s.testListenAgain},
		{"ForeignAddresses", false, s.testForeignAddresses},
		{"Reload", s.options.New == nil, s.testReload},
	} {
		if c.skip {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			VerifyNoLeaks(t)
			c.test(t)
		})
	}
}

// open listens until the test ends.
func (s *rawSuite) open(t *testing.T) manet.Listener {
	t.Helper()
	l, err := s.transport.Listen(s.listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// connect returns both ends of a new connection, which last until the test ends.
func (s *rawSuite) connect(t *testing.T, l manet.Listener) (dialled, accepted manet.Conn) {
	t.Helper()
	var wg sync.WaitGroup
	var acceptErr error
	wg.Go(func() { accepted, acceptErr = l.Accept() })
	dialled, err := s.transport.Dial(t.Context(), l.Multiaddr())
	if err != nil {
		l.Close()
		wg.Wait()
		t.Fatalf("dial %s: %v", l.Multiaddr(), err)
	}
	wg.Wait()
	if acceptErr != nil {
		dialled.Close()
		t.Fatalf("accept: %v", acceptErr)
	}
	t.Cleanup(func() {
		dialled.Close()
		accepted.Close()
	})
	return dialled, accepted
}

// foreign are addresses that belong to no raw transport in this shape.
func foreign() []ma.Multiaddr {
	return []ma.Multiaddr{
		nil,
		{},
		ma.StringCast("/ip4/127.0.0.1"),
		ma.StringCast("/tcp/4001"),
		ma.StringCast("/dns4/localhost/tcp/4001"),
		ma.StringCast("/ip4/127.0.0.1/udp/4001/quic-v1"),
		ma.StringCast("/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"),
	}
}

func (s *rawSuite) testMatch(t *testing.T) {
	l := s.open(t)
	for _, a := range []ma.Multiaddr{s.listen, l.Multiaddr()} {
		if !s.transport.Match(a) {
			t.Errorf("does not match %s", a)
		}
	}
	for _, a := range foreign() {
		if s.transport.Match(a) {
			t.Errorf("matches %s", a)
		}
	}
}

func (s *rawSuite) testAddresses(t *testing.T) {
	l := s.open(t)
	if l.Addr() == nil || l.Addr().String() == "" {
		t.Errorf("Addr: %v", l.Addr())
	}
	d, a := s.connect(t, l)
	if !d.RemoteMultiaddr().Equal(l.Multiaddr()) {
		t.Errorf("the dialer says it is connected to %s, not %s", d.RemoteMultiaddr(), l.Multiaddr())
	}
	if a.LocalMultiaddr() == nil || a.RemoteMultiaddr() == nil || d.LocalMultiaddr() == nil {
		t.Fatalf("nil among %v, %v, %v", a.LocalMultiaddr(), a.RemoteMultiaddr(), d.LocalMultiaddr())
	}
	if !s.options.HiddenDialer && !a.RemoteMultiaddr().Equal(d.LocalMultiaddr()) {
		t.Errorf("the listener says it is connected to %s, not %s", a.RemoteMultiaddr(), d.LocalMultiaddr())
	}
	if d.RemoteAddr() == nil || d.LocalAddr() == nil || a.RemoteAddr() == nil || a.LocalAddr() == nil {
		t.Error("a net.Addr is nil")
	}
}

func (s *rawSuite) testDialCancelled(t *testing.T) {
	l := s.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := s.transport.Dial(ctx, l.Multiaddr()); !errors.Is(err, context.Canceled) {
		t.Errorf("dial with a cancelled context: %v, %v", c, err)
	}
}

func (s *rawSuite) testDialClosedListener(t *testing.T) {
	l := s.open(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := s.transport.Dial(t.Context(), l.Multiaddr())
	if err == nil {
		c.Close()
		t.Error("dialled an address that is closed")
	}
}

func (s *rawSuite) testAcceptAfterClose(t *testing.T) {
	l := s.open(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v, want net.ErrClosed", err)
	}
	l.Close() // does no harm
}

func (s *rawSuite) testCloseEndsAccept(t *testing.T) {
	l := s.open(t)
	const accepting = 3
	failed := make(chan error, accepting)
	var wg sync.WaitGroup
	for range accepting {
		wg.Go(func() {
			_, err := l.Accept()
			failed <- err
		})
	}
	l.Close()
	wg.Wait()
	for range accepting {
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v, want net.ErrClosed", err)
		}
	}
}

func (s *rawSuite) testListenTwice(t *testing.T) {
	l := s.open(t)
	second, err := s.transport.Listen(l.Multiaddr())
	if err == nil {
		second.Close()
		t.Fatalf("%s is listened on twice", l.Multiaddr())
	}
	d, a := s.connect(t, l) // the first one is not disturbed
	exchange(t, d, a)
}

func (s *rawSuite) testListenAgain(t *testing.T) {
	l := s.open(t)
	d, a := s.connect(t, l)
	l.Close()
	exchange(t, d, a) // connections outlive their listener
	again, err := s.transport.Listen(l.Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !again.Multiaddr().Equal(l.Multiaddr()) {
		t.Errorf("listens on %s, not %s", again.Multiaddr(), l.Multiaddr())
	}
	exchange(t, d, a)
	d2, a2 := s.connect(t, again)
	exchange(t, d2, a2)
}

func (s *rawSuite) testForeignAddresses(t *testing.T) {
	for _, a := range foreign() {
		if c, err := s.transport.Dial(t.Context(), a); err == nil {
			c.Close()
			t.Errorf("dialled %s", a)
		}
		if l, err := s.transport.Listen(a); err == nil {
			l.Close()
			t.Errorf("listens on %s", a)
		}
	}
}
