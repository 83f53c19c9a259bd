// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/modules/transport/internal/dtlslink"
)

// listening is a node that listens and echoes, and one that dials it.
func listening(t *testing.T) (l *listener, dialer, server *node, admissions *coretest.Admissions) {
	t.Helper()
	admissions = new(coretest.Admissions)
	l, dialer, server = admitting(t, admissions.Admit)
	return l, dialer, server, admissions
}

// admitting is listening with another admission.
func admitting(t *testing.T, admit core.Admit) (l *listener, dialer, server *node) {
	t.Helper()
	coretest.VerifyNoLeaks(t)
	nodes := newNodes(t, 2)
	dialer, server = nodes[0], nodes[1]
	l, err := server.transport.listen(loopback, admit)
	if err != nil {
		t.Fatal(err)
	}
	wait := serve(l)
	t.Cleanup(func() {
		l.Close()
		wait()
	})
	return l, dialer, server
}

// honest connects, uses the connection, and closes it.
func honest(t *testing.T, l *listener, dialer, server *node) {
	t.Helper()
	c, err := dialer.transport.Dial(t.Context(), l.Multiaddr(), server.ID(), coretest.NewMemory(-1))
	if err != nil {
		t.Fatal(err)
	}
	echo(t, c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// attacker is a socket that sends to a listener.
func attacker(t *testing.T, l *listener) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.port.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c *net.UDPConn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// fragment is the i-th attacker's.
func fragment(i int) string { return fmt.Sprintf("%sattacker%d", prefixV1, i) }

// firstHello is the first message of a DTLS handshake.
func firstHello(t *testing.T) []byte {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent := make(chan []byte, 1)
	l := dtlslink.New(&net.UDPAddr{}, netip.MustParseAddrPort("192.0.2.1:1"), func(b []byte, _ *net.UDPAddr) error {
		select {
		case sent <- bytes.Clone(b):
			cancel()
		default:
		}
		return nil
	}, func() {})
	defer l.Close()
	if _, err := newNodes(t, 1)[0].transport.handshake(ctx, l, setup{client: true}); err == nil {
		t.Fatal("a handshake with nobody")
	}
	hello := <-sent
	if !dtlslink.IsClientHello(hello) {
		t.Fatalf("the first message is %x", hello)
	}
	return hello
}

// What DTLS records begin with.
const (
	recordHeader                       = 13
	typeAlert, typeHandshake, typeData = 21, 22, 23
	versionHigh, versionLow            = 0xfe, 0xfd
)

// clientHello looks like the beginning of a handshake and leads to nothing.
func clientHello() []byte {
	b := make([]byte, recordHeader+100)
	b[0], b[1], b[2] = typeHandshake, versionHigh, versionLow
	binary.BigEndian.PutUint16(b[11:], 100)
	b[recordHeader] = 1
	return b
}

func TestEvil_A10_WrongCertificate(t *testing.T) {
	l, dialer, server, _ := listening(t)
	base, err := address(l.port.Addr())
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := withHash(base, hash{1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = dialer.transport.Dial(t.Context(), wrong, server.ID(), coretest.NewMemory(-1))
	if !errors.Is(err, errWrongCertificate) {
		t.Errorf("%v, want %v", err, errWrongCertificate)
	}
	_, err = dialer.transport.Dial(t.Context(), base, server.ID(), coretest.NewMemory(-1))
	if !errors.Is(err, errNoHash) {
		t.Errorf("%v, want %v", err, errNoHash)
	}
	if _, err := parseHash(append([]byte{0x13, 64}, make([]byte, 64)...)); !errors.Is(err, errHashType) {
		t.Errorf("sha2-512: %v, want %v", err, errHashType)
	}
	honest(t, l, dialer, server)
}

// Somebody who is between the two, with a certificate of their own that the
// dialer was told of, does not get through the Noise handshake.
func TestEvil_A10_Relayed(t *testing.T) {
	one, two := hash{1}, hash{2}
	if bytes.Equal(prologue(one, two), prologue(one, hash{3})) || bytes.Equal(prologue(one, two), prologue(two, one)) {
		t.Fatal("the prologue does not tell certificates apart")
	}
	l, dialer, server, admissions := listening(t)
	liar := *dialer.transport.certificate
	liar.hash = hash{9} // says another one than its remote sees
	dialer.transport.certificate = &liar
	if c, err := dialer.transport.Dial(t.Context(), l.Multiaddr(), server.ID(), coretest.NewMemory(-1)); err == nil {
		t.Errorf("connected: %v", c)
	}
	admissions.List()[0].WaitEnded(t, 0)
}

// Who has not proven their address takes no place of the node's: neither with a
// message that leads to nothing, nor with one that is asked to come again with a
// cookie.
func TestEvil_A9_Q9_HalfOpenHandshakes(t *testing.T) {
	l, dialer, server, admissions := listening(t)
	hello := firstHello(t)
	honestly := 0
	for i := range 400 {
		c := attacker(t, l)
		send(t, c, checkRequest(t, fragment(i)+":abcd", fragment(i)))
		b := make([]byte, 1000)
		if _, err := c.Read(b); err != nil { // the answer
			t.Fatal(err)
		}
		if i%2 == 0 {
			send(t, c, clientHello())
		} else {
			send(t, c, hello)
			if n, err := c.Read(b); err != nil || n > len(hello) || n < 14 || b[0] != typeHandshake || b[recordHeader] != 3 {
				t.Fatalf("the answer to a hello is %x, %v, want a request to verify it", b[:n], err)
			}
		}
		if i%50 == 49 {
			honest(t, l, dialer, server)
			honestly++
		}
	}
	l.mu.Lock()
	unproven, proven := l.unproven.Len(), l.proven.Len()
	l.mu.Unlock()
	if limit := server.transport.MaxHandshakes; unproven > limit || proven > 0 {
		t.Errorf("%d handshakes are under way, limit %d, and %d whose address is proven", unproven, limit, proven)
	}
	if n := len(admissions.List()); n != honestly {
		t.Errorf("%d connections were admitted, %d honest ones", n, honestly)
	}
	l.Close()
	for i, a := range admissions.List() {
		a.WaitEnded(t, i)
	}
}

// crowded is an admission that is needed by others at once.
type crowded struct{ *coretest.TestAdmission }

func (crowded) OnYield(f func()) { f() }

// A handshake ends when its place is needed, and the remote knows.
func TestEvil_A9_GivesWay(t *testing.T) {
	admissions := new(coretest.Admissions)
	l, dialer, server := admitting(t, func(remote ma.Multiaddr) (core.Admission, error) {
		if _, err := admissions.Admit(remote); err != nil {
			return nil, err
		}
		return crowded{admissions.List()[0]}, nil
	})
	_, err := dialer.transport.Dial(t.Context(), l.Multiaddr(), server.ID(), coretest.NewMemory(-1))
	if err == nil || errors.Is(err, errTimeout) {
		t.Errorf("dial: %v, want to be told", err)
	}
	admissions.List()[0].WaitEnded(t, 0)
}

// The address that a remote has not proven yet is not changed for another, which
// the proof would not be about.
func TestEvil_Q9_UnprovenDoesNotMove(t *testing.T) {
	d := newTestDemux()
	from, other := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")
	nominates, _ := request(fragment(0)+":"+fragment(0), []byte(fragment(0)), 1)
	d.bind(nominates, from)
	a := d.byAddr[from]
	l := dtlslink.New(&net.UDPAddr{}, from, func([]byte, *net.UDPAddr) error { return nil }, func() { d.detach(a) })
	defer l.Close()
	l.Prove = func() error { return nil }
	if !d.attach(a, l) {
		t.Fatal("not attached")
	}
	d.bind(nominates, other)
	if at := l.RemoteAddr().(*net.UDPAddr).AddrPort(); at != from {
		t.Errorf("before the proof it moves to %s", at)
	}
	if err := l.Proven(); err != nil {
		t.Fatal(err)
	}
	d.bind(nominates, other)
	if at := l.RemoteAddr().(*net.UDPAddr).AddrPort(); at != other {
		t.Errorf("after the proof it is at %s", at)
	}
}

// newTestDemux is one without a socket, and whoever begins gets no connection.
func newTestDemux() *demux {
	d := newDemux()
	d.begin = func(netip.AddrPort, *association) *dtlslink.Link { return nil }
	return d
}

func TestEvil_Q9_FragmentFlood(t *testing.T) {
	d := newTestDemux()
	for i := range 5 * maxIdle {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 4001)
		if d.bind(checkRequest(t, fragment(i)+":abcd", fragment(i)), from) == nil {
			t.Fatal("no answer")
		}
	}
	if len(d.byName) > maxIdle || len(d.byAddr) > maxIdle || d.idle.Len() > maxIdle {
		t.Errorf("%d names, %d addresses, %d waiting", len(d.byName), len(d.byAddr), d.idle.Len())
	}
}

func TestEvil_Q9_AddressesOfOneFragment(t *testing.T) {
	d := newTestDemux()
	answered := 0
	for i := range 1000 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 4001)
		if d.bind(checkRequest(t, fragment(0)+":abcd", fragment(0)), from) != nil {
			answered++
		}
	}
	if answered != maxAddresses || len(d.byAddr) != maxAddresses {
		t.Errorf("%d addresses are answered, %d kept; want %d", answered, len(d.byAddr), maxAddresses)
	}
}

// What is not a request of a known version and rightly signed gets no answer and
// leaves nothing behind; and no answer is longer than its request.
func TestEvil_Q1_Q9_SilenceAndSize(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.1:1")
	good := checkRequest(t, fragment(0)+":abcd", fragment(0))
	name := []byte(fragment(0) + ":abcd")
	response := beginSTUN(bindingResponse, [12]byte{}).add(attrUsername, name).end([]byte(fragment(0)))
	unsigned := beginSTUN(bindingRequest, [12]byte{}).add(attrUsername, name)
	binary.BigEndian.PutUint16(unsigned[2:], uint16(len(unsigned)-stunHeader))
	corrupt := bytes.Clone(good)
	corrupt[40] ^= 1
	for name, b := range map[string][]byte{
		"unknown version": checkRequest(t, "libp2p+webrtc+v9/abcd:abcd", "libp2p+webrtc+v9/abcd"),
		"any ICE":         checkRequest(t, "abcd:efgh", "password"),
		"wrong password":  checkRequest(t, fragment(0)+":abcd", "password"),
		"a response":      response,
		"unsigned":        unsigned,
		"corrupt":         corrupt,
		"cut off":         good[:len(good)-4],
		"empty":           {},
		"one byte":        {0},
		"zeros":           make([]byte, 500),
	} {
		d := newTestDemux()
		if answer := d.bind(b, from); answer != nil {
			t.Errorf("%s: %x", name, answer)
		}
		if len(d.byName)+len(d.byAddr)+d.idle.Len() > 0 {
			t.Errorf("%s: something is left behind", name)
		}
	}
	for _, from := range []string{"192.0.2.1:1", "[2001:db8::1]:1"} {
		for _, b := range [][]byte{good, checkRequest(t, prefixV1+":abcd", prefixV1)} {
			if answer := newTestDemux().bind(b, netip.MustParseAddrPort(from)); answer == nil || len(answer) > len(b) {
				t.Errorf("%s: %d bytes are answered with %d", from, len(b), len(answer))
			}
		}
	}
}

// The address of a connection cannot be taken by another fragment.
func TestEvil_Q9_AddressOfAnother(t *testing.T) {
	d := newTestDemux()
	from := netip.MustParseAddrPort("192.0.2.1:1")
	d.bind(checkRequest(t, fragment(0)+":abcd", fragment(0)), from)
	a := d.byAddr[from]
	l := dtlslink.New(&net.UDPAddr{}, from, func([]byte, *net.UDPAddr) error { return nil }, func() { d.detach(a) })
	if !d.attach(a, l) {
		t.Fatal("not attached")
	}
	if answer := d.bind(checkRequest(t, fragment(1)+":abcd", fragment(1)), from); answer != nil {
		t.Errorf("answered with %x", answer)
	}
	if d.link([]byte{typeData}, from) != l {
		t.Error("the connection lost its address")
	}
	l.Close()
	if len(d.byName)+len(d.byAddr) > 0 || d.users != 1 {
		t.Error("the connection has left something behind")
	}
}

// Datagrams of all sorts, to a listener and to a connection, from strangers and
// from the remote's own address, harm no connection.
func TestEvil_Q9_Garbage(t *testing.T) {
	l, dialer, server, _ := listening(t)
	c, err := dialer.transport.Dial(t.Context(), l.Multiaddr(), server.ID(), coretest.NewMemory(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stranger := attacker(t, l)
	own := c.(*conn).link
	clear := append([]byte{typeData, versionHigh, versionLow, 0, 0, 0, 0, 0, 0, 0, 99, 0, 5}, "hello"...)
	closed := append([]byte{typeAlert, versionHigh, versionLow, 0, 0, 0, 0, 0, 0, 0, 98, 0, 2}, 2, 40)
	forged := append([]byte{typeData, versionHigh, versionLow, 0, 1, 0, 0, 0, 0, 1, 0, 0, 64}, make([]byte, 64)...)
	for _, b := range [][]byte{
		clear, closed, forged, forged[:20], clientHello(), {typeHandshake}, {20}, {63, 0, 0}, make([]byte, 1200),
		bytes.Repeat([]byte{typeHandshake}, 1200), checkRequest(t, fragment(0)+":abcd", fragment(0)),
	} {
		for range 20 {
			send(t, stranger, b)
			if err := own.Send(b); err != nil {
				t.Fatal(err)
			}
			own.Receive(b)
		}
	}
	echo(t, c)
	honest(t, l, dialer, server)
}

func TestRefusedAtOnce(t *testing.T) {
	l, dialer, server, admissions := listening(t)
	admissions.Refuse(&core.LimitError{})
	_, err := dialer.transport.Dial(t.Context(), l.Multiaddr(), server.ID(), coretest.NewMemory(-1))
	if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errTimeout) {
		t.Errorf("dial: %v, want to be told", err)
	}
	admissions.Refuse(nil)
	honest(t, l, dialer, server)
}

// A new instance takes the port over; connections of the old one live on.
func TestReload(t *testing.T) {
	l, dialer, server, _ := listening(t)
	c, err := dialer.transport.Dial(t.Context(), l.Multiaddr(), server.ID(), coretest.NewMemory(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	second := coretest.MustLoad[core.Transport](t, "webrtcdirect", `{"max_handshakes": 5}`).(*Transport)
	if err := second.Start(t.Context(), server.FakeNode); err != nil {
		t.Fatal(err)
	}
	at, err := address(l.port.Addr())
	if err != nil {
		t.Fatal(err)
	}
	l2, err := second.listen(at, new(coretest.Admissions).Admit)
	if err != nil {
		t.Fatal(err)
	}
	wait := serve(l2)
	defer func() {
		l2.Close()
		wait()
	}()
	if !l2.Multiaddr().Equal(l.Multiaddr()) {
		t.Errorf("the new instance listens on %s, the old one on %s", l2.Multiaddr(), l.Multiaddr())
	}
	echo(t, c)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := server.transport.Close(); err != nil {
		t.Error(err)
	}
	echo(t, c)
	honest(t, l2, dialer, server)
	echo(t, c)
}

func TestMemoryIsGivenBack(t *testing.T) {
	l, dialer, server, _ := listening(t)
	memory := coretest.NewMemory(-1)
	c, err := dialer.transport.Dial(t.Context(), l.Multiaddr(), server.ID(), memory)
	if err != nil {
		t.Fatal(err)
	}
	echo(t, c)
	if memory.Reserved() < int(dialer.transport.ReceiveBuffer) {
		t.Errorf("a connection takes %d bytes", memory.Reserved())
	}
	c.Close()
	memory.Check(t)
	if _, err := dialer.transport.Dial(t.Context(), l.Multiaddr(), server.ID(), coretest.NewMemory(1000)); err == nil {
		t.Error("connected without memory")
	} else if _, ok := errors.AsType[*core.LimitError](err); !ok {
		t.Errorf("%v, want a LimitError", err)
	}
}
