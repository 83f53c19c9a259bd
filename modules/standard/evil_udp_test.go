// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package standard_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	ctls "crypto/tls"
	"encoding/binary"
	"hash/crc32"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"testing"

	"github.com/pion/dtls/v3"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/modules/security/tls"
)

// attackerTLS is how an honest peer shakes hands over QUIC, for an application
// protocol. Attackers change it.
func attackerTLS(t testing.TB, alpn string) *ctls.Config {
	t.Helper()
	identity, err := tls.NewIdentity(coretest.NewIdentity(666))
	if err != nil {
		t.Fatal(err)
	}
	config := identity.Config("", []string{alpn})
	config.CurvePreferences = []ctls.CurveID{ctls.X25519} // the cheapest
	return config
}

// attackerSocket is a socket of the i-th attacker's. The test's end closes it.
func attackerSocket(t testing.TB, i int) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: attackerIP(i)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// hardOfHearing is a socket that receives what it likes.
type hardOfHearing struct {
	net.PacketConn
	hears func(packet []byte) bool
	once  sync.Once
	first []byte        // that was sent
	sent  chan struct{} // closed once there is a first
}

func newHardOfHearing(t testing.TB, i int, hears func([]byte) bool) *hardOfHearing {
	t.Helper()
	return &hardOfHearing{PacketConn: attackerSocket(t, i), hears: hears, sent: make(chan struct{})}
}

func (h *hardOfHearing) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := h.PacketConn.ReadFrom(b)
		if err != nil || h.hears(b[:n]) {
			return n, from, err
		}
	}
}

func (h *hardOfHearing) WriteTo(b []byte, to net.Addr) (int, error) {
	n, err := h.PacketConn.WriteTo(b, to)
	h.once.Do(func() {
		h.first = bytes.Clone(b)
		close(h.sent)
	})
	return n, err
}

func nothing([]byte) bool { return false }

// retries are what proves a client's address.
func retries(b []byte) bool { return b[0]&0xf0 == 0xf0 }

// stall dials over QUIC from sockets that hear too little for a handshake. stop
// gives up.
func stall(t testing.TB, to net.Addr, config *ctls.Config, attackers ...*hardOfHearing) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var dialing sync.WaitGroup
	for _, h := range attackers {
		dialing.Go(func() {
			tr := &quic.Transport{Conn: h}
			if _, err := tr.Dial(ctx, to, config, nil); err == nil {
				t.Error("an attacker that hears too little has shaken hands")
			}
			tr.Close()
			h.Close()
		})
	}
	return func() {
		cancel()
		dialing.Wait()
	}
}

// initial is the first packet of a QUIC handshake.
func initial(t testing.TB, alpn string) []byte {
	t.Helper()
	h := newHardOfHearing(t, 0xff00, nothing)
	defer stall(t, &net.UDPAddr{IP: attackerIP(0xff01), Port: 9}, attackerTLS(t, alpn), h)()
	<-h.sent
	return h.first
}

// Handshakes by the hundred begin over QUIC, for libp2p and for HTTP/3, and are
// not gone on with: by those who hear nothing, and by those who prove their
// address first.
func TestEvil_A9_Q2_HalfOpenOverQUIC(t *testing.T) {
	const count = 210
	s := newSite(t, roomy)
	s.siege(t, func() {
		var all []*hardOfHearing
		for k, alpn := range []string{"libp2p", http3.NextProtoH3} {
			attackers := make([]*hardOfHearing, count/2)
			for i := range attackers {
				hears := []func([]byte) bool{nothing, retries, retries}[i%3]
				attackers[i] = newHardOfHearing(t, 2*i+k, hears)
			}
			defer stall(t, s.udp(), attackerTLS(t, alpn), attackers...)()
			all = append(all, attackers...)
		}
		for _, a := range all {
			<-a.sent
		}
		s.visit(t)
	})
}

// shaken dials over QUIC as the i-th attacker. Stop closes the connection.
func shaken(t testing.TB, i int, to net.Addr, config *ctls.Config) (c *quic.Conn, stop func(), err error) {
	t.Helper()
	socket := attackerSocket(t, i)
	tr := &quic.Transport{Conn: socket}
	c, err = tr.Dial(t.Context(), to, config, &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true})
	stop = func() {
		if c != nil {
			c.CloseWithError(0, "")
		}
		tr.Close()
		socket.Close()
	}
	if err != nil {
		stop()
	}
	return c, stop, err
}

// session asks for a WebTransport session on a connection of HTTP/3, and returns
// its number. What serving has to do ends with the connection.
func session(t testing.TB, c *quic.Conn, serving *sync.WaitGroup) quic.StreamID {
	t.Helper()
	h3 := (&http3.Transport{EnableDatagrams: true, AdditionalSettings: map[uint64]uint64{0x2b603742: 1}}).NewRawClientConn(c)
	control, err := c.AcceptUniStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	serving.Go(func() { h3.HandleUnidirectionalStream(control) })
	st, err := h3.OpenRequestStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "https", Host: c.RemoteAddr().String(), Path: "/.well-known/libp2p-webtransport", RawQuery: "type=noise"}
	if err := st.SendRequestHeader(&http.Request{Method: http.MethodConnect, Proto: "webtransport", Host: u.Host, URL: u, Header: http.Header{}}); err != nil {
		t.Fatal(err)
	}
	if r, err := st.ReadResponse(); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("session: %+v, %v", r, err)
	}
	return st.StreamID()
}

// Clients of WebTransport stop after the handshake of QUIC: before they ask for
// a session, after that, and in the midst of Noise.
func TestEvil_A9_Q8_HalfOpenOverWebTransport(t *testing.T) {
	const count = 100
	s := newSite(t, roomy)
	s.siege(t, func() {
		var serving sync.WaitGroup
		defer serving.Wait()
		for i := range count {
			c, stop, err := shaken(t, i, s.udp(), &ctls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			if i%3 == 0 {
				continue
			}
			id := session(t, c, &serving)
			if i%3 == 1 {
				continue
			}
			st, err := c.OpenStreamSync(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := st.Write(append(quicvarint.Append([]byte{0x40, 0x41}, uint64(id)), "\x00\x20half of it"...)); err != nil {
				t.Fatal(err)
			}
		}
		s.visit(t)
	})
}

// binding is a binding request of STUN, RFC 8489, for a connection with a name.
func binding(name string) []byte {
	name = "libp2p+webrtc+v1/" + name
	b := make([]byte, 20)
	b[1] = 1
	binary.BigEndian.PutUint32(b[4:], 0x2112a442)
	rand.Read(b[8:])
	add := func(kind uint16, value []byte) {
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
		b = append(append(b, value...), make([]byte, -len(value)&3)...)
	}
	// What follows counts for the length that is signed.
	length := func(more int) { binary.BigEndian.PutUint16(b[2:], uint16(len(b)-20+more)) }
	add(6, []byte(name+":"+name))
	length(24)
	mac := hmac.New(sha1.New, []byte(name))
	mac.Write(b)
	add(8, mac.Sum(nil))
	length(8)
	add(0x8028, binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)^0x5354554e))
	return b
}

// dtlsHello is the first message of a DTLS client.
func dtlsHello(t testing.TB) []byte {
	t.Helper()
	h := newHardOfHearing(t, 0xff00, nothing)
	c, err := dtls.ClientWithOptions(h, &net.UDPAddr{IP: attackerIP(0xff01), Port: 9},
		dtls.WithCertificates(*newForgery(t).make()), dtls.WithInsecureSkipVerify(true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { c.HandshakeContext(ctx) })
	<-h.sent
	cancel()
	wg.Wait()
	c.Close()
	return h.first
}

// withCookie is a hello that answers a server's request to prove the address.
func withCookie(t testing.TB, hello, request []byte) []byte {
	t.Helper()
	const records, messages = 13, 12 // their headers
	at := records + messages + 2
	if len(request) < at+1 || request[records] != 3 || len(request) < at+1+int(request[at]) {
		t.Fatalf("the server asks for no proof: %x", request)
	}
	cookie := request[at : at+1+int(request[at])] // with its length
	at = records + messages + 2 + 32
	at += 1 + int(hello[at]) // the session's name
	if hello[at] != 0 {
		t.Fatal("the hello has a cookie")
	}
	b := append(bytes.Clone(hello[:at]), cookie...)
	b = append(b, hello[at+1:]...)
	b[10]++                                                                     // number of the record
	binary.BigEndian.PutUint16(b[11:], uint16(len(b)-records))                  // its length
	binary.BigEndian.PutUint16(b[records+2:], uint16(len(b)-records-12))        // that of the message
	binary.BigEndian.PutUint16(b[records+4:], 1)                                // its number
	binary.BigEndian.PutUint16(b[records+10:], uint16(len(b)-records-messages)) // that of its only fragment
	return b
}

// ask sends a datagram and waits for the answer.
func ask(t testing.TB, c *net.UDPConn, to net.Addr, b []byte) []byte {
	t.Helper()
	if _, err := c.WriteTo(b, to); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 2048)
	n, err := c.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	return answer[:n]
}

// answers counts the bytes that have come in on a socket by now, without waiting
// for more. What is sent over loopback has come in.
func answers(t testing.TB, c *net.UDPConn) (total int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, err := syscall.Recvfrom(int(fd), b, syscall.MSG_DONTWAIT)
			if err != nil {
				return true
			}
			total += n
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// Connections over webrtc-direct stop after the binding request, after the first
// message of DTLS, and after the proof of the address.
func TestEvil_A9_Q9_HalfOpenOverWebRTC(t *testing.T) {
	const count = 300
	s := newSite(t, roomy)
	hello := dtlsHello(t)
	s.siege(t, func() {
		for i := range count {
			c := attackerSocket(t, i)
			defer c.Close()
			request := binding(rand.Text())
			if a := ask(t, c, s.udp(), request); len(a) > len(request) {
				t.Errorf("%d bytes answer %d", len(a), len(request))
			}
			if i%3 == 0 {
				continue
			}
			a := ask(t, c, s.udp(), hello)
			if i%3 == 2 {
				ask(t, c, s.udp(), withCookie(t, hello, a))
			}
		}
		s.visit(t)
	})
}

// With the limits that a node has by itself, datagrams in the name of others, who
// hear no answers, begin more connections over webrtc-direct than there may be
// handshakes. None is taken for them, so newcomers get in on every transport.
func TestEvil_A9_Q9_SpoofedHellos(t *testing.T) {
	const count = 200
	s := newSite(t, `{}`)
	hello := dtlsHello(t)
	s.siege(t, func() {
		before := s.Limits()
		for i := range count {
			c := attackerSocket(t, i)
			defer c.Close()
			ask(t, c, s.udp(), binding(rand.Text()))
			ask(t, c, s.udp(), hello)
			if now := s.Limits(); now.Handshakes > 0 || now.Inbound > before.Inbound {
				t.Fatalf("after %d hellos the limits count %+v, want %+v as before", i+1, now, before)
			}
		}
		s.visit(t)
	})
}

// One name has 32 addresses at most; more are not answered.
func TestEvil_Q9_AddressesOfOneName(t *testing.T) {
	const most = 32
	s := newSite(t, roomy)
	s.siege(t, func() {
		name, answered := rand.Text(), 0
		var first *net.UDPConn
		var sockets []*net.UDPConn
		for i := range 3 * most {
			c := attackerSocket(t, i)
			defer c.Close()
			if i == 0 {
				ask(t, c, s.udp(), binding(name))
				first, answered = c, 1
				continue
			}
			sockets = append(sockets, c)
			if _, err := c.WriteTo(binding(name), s.udp()); err != nil {
				t.Fatal(err)
			}
			ask(t, first, s.udp(), binding(name)) // it is answered after those before it
		}
		for _, c := range sockets {
			if answers(t, c) > 0 {
				answered++
			}
		}
		if answered != most {
			t.Errorf("%d addresses are answered, want %d", answered, most)
		}
		s.visit(t)
	})
}
