// SPDX-License-Identifier: Apache-2.0 OR MIT

package quic

import (
	"bytes"
	"context"
	ctls "crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	quicgo "github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/modules/security/tls"
)

// victim is a transport that listens, and what it accepts.
type victim struct {
	*Transport
	listener   core.MuxedListener
	node       *coretest.FakeNode
	admissions coretest.Admissions
}

// newVictim listens on loopback with a configuration. The test's end closes it.
func newVictim(t testing.TB, config string) *victim {
	t.Helper()
	v := &victim{node: newNode(t, 1)}
	v.Transport = start(t, v.node, config)
	v.listener = listen(t, v.Transport, loopback4, &v.admissions)
	return v
}

// start loads and starts a transport. The test's end closes it.
func start(t testing.TB, n core.Node, config string) *Transport {
	t.Helper()
	tr := coretest.MustLoad[*Transport](t, "quic", config)
	if err := tr.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func listen(t testing.TB, tr *Transport, a ma.Multiaddr, admissions *coretest.Admissions) core.MuxedListener {
	t.Helper()
	l, err := tr.Listen(a, admissions.Admit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func (v *victim) at(t testing.TB) *net.UDPAddr {
	t.Helper()
	at, err := endpoint(v.listener.Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	return net.UDPAddrFromAddrPort(at)
}

// connect has an honest peer connect. The test's end closes both sides.
func (v *victim) connect(t testing.TB) (client, server core.MuxedConn) {
	t.Helper()
	return connect(t, start(t, newNode(t, 2), `{}`), v.listener, v.node)
}

func connect(t testing.TB, tr *Transport, l core.MuxedListener, to core.Identity) (client, server core.MuxedConn) {
	t.Helper()
	client, err := tr.Dial(t.Context(), l.Multiaddr(), to.ID(), coretest.NewMemory(-1))
	if err != nil {
		t.Fatalf("an honest peer: %v", err)
	}
	server, _, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

// newNode is a node that has nothing to do with others. Each number has its own
// identity; the victim's is 1.
func newNode(t testing.TB, number int) *coretest.FakeNode {
	t.Helper()
	return coretest.FakeNodes(t, number)[number-1]
}

// exchange sends a few bytes from a to b and back.
func exchange(t testing.TB, a, b core.MuxedConn) {
	t.Helper()
	s, err := a.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		r, err := b.AcceptStream()
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(r, r)
		r.Close()
	})
	io.WriteString(s, "hello")
	s.CloseWrite()
	got, err := io.ReadAll(s)
	wg.Wait()
	if string(got) != "hello" || err != nil {
		t.Errorf("%q comes back, %v", got, err)
	}
	s.Close()
}

// attackerTLS is how an honest peer shakes hands, for attackers to change.
func attackerTLS(t testing.TB) *ctls.Config {
	t.Helper()
	identity, err := tls.NewIdentity(coretest.NewIdentity(666))
	if err != nil {
		t.Fatal(err)
	}
	return identity.Config("", []string{alpn})
}

// attack dials with quic-go. The test's end closes the connection.
func attack(t testing.TB, to net.Addr, config *ctls.Config) (*quicgo.Conn, error) {
	t.Helper()
	return attackFrom(t, t.Context(), newSocket(t), to, config)
}

func attackFrom(t testing.TB, ctx context.Context, from net.PacketConn, to net.Addr, config *ctls.Config) (*quicgo.Conn, error) {
	t.Helper()
	tr := &quicgo.Transport{Conn: from}
	t.Cleanup(func() { tr.Close() })
	return tr.Dial(ctx, to, config, &quicgo.Config{
		Versions:             []quicgo.Version{quicgo.Version1},
		HandshakeIdleTimeout: time.Minute,
	})
}

func mustAttack(t testing.TB, to net.Addr, config *ctls.Config) *quicgo.Conn {
	t.Helper()
	c, err := attack(t, to, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseWithError(0, "") })
	return c
}

// newSocket is bound to an address of the loopback network that the victim's
// honest peers do not have.
func newSocket(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.66:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// deaf is a socket that receives nothing, and keeps the first that it sends.
type deaf struct {
	net.PacketConn
	woken chan struct{}
	first chan []byte
}

func newDeaf(t testing.TB) *deaf {
	t.Helper()
	return &deaf{PacketConn: newSocket(t), woken: make(chan struct{}, 1), first: make(chan []byte, 1)}
}

func (d *deaf) ReadFrom([]byte) (int, net.Addr, error) {
	<-d.woken
	return 0, nil, net.ErrClosed
}

// SetReadDeadline ends ReadFrom.
func (d *deaf) SetReadDeadline(time.Time) error {
	select {
	case d.woken <- struct{}{}:
	default:
	}
	return nil
}

func (d *deaf) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case d.first <- bytes.Clone(b):
	default:
	}
	return d.PacketConn.WriteTo(b, to)
}
