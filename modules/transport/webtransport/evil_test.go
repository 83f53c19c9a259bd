// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
	"github.com/quic-go/webtransport-go"

	"github.com/xnode-p2p/xnode/core"
)

// Clients that stop at any stage of the handshake are given up, and others are
// served meanwhile.
func TestEvil_A9_SilentClients(t *testing.T) {
	client, server := pair(t, `{"handshake_timeout": "5s"}`) // of which honest ones need little
	for range 4 {
		rawQUIC(t, server)      // no HTTP/3
		newRawClient(t, server) // no request
		newRawClient(t, server).session(t, "webtransport")
		c := newRawClient(t, server) // no Noise
		c.stream(t, c.session(t, "webtransport").StreamID())
		c = newRawClient(t, server) // half of a message
		c.stream(t, c.session(t, "webtransport").StreamID()).Write([]byte{0, 32, 1, 2, 3})
		c = newRawClient(t, server) // streams of sessions that there are not
		for id := range quic.StreamID(20) {
			c.stream(t, 4*id+400)
		}
	}
	silent := server.admissions.List()
	server.canary(t, client)
	if len(silent) != 24 {
		t.Fatalf("%d connections, want 24", len(silent))
	}
	for i, a := range silent {
		a.WaitEnded(t, i)
	}
	server.canary(t, client)
}

// A client in its handshake is given up when others need the place.
func TestEvil_A9_GivesWay(t *testing.T) {
	client, server := pair(t, `{}`)
	c := newRawClient(t, server)
	c.session(t, "webtransport")
	if !server.admissions.List()[0].Yield() {
		t.Fatal("the handshake does not give way")
	}
	<-c.quic.Context().Done()
	server.admissions.List()[0].WaitEnded(t, 0)
	server.canary(t, client)
}

// Noise with garbage, and of a client whose key is not the one it claims, ends
// the connection.
func TestEvil_A7_Garbage(t *testing.T) {
	client, server := pair(t, `{}`)
	for _, garbage := range []string{"\x00\x00", "\xff\xff" + strings.Repeat("x", 1<<16), "GET / HTTP/1.1\r\n\r\n", "\x00\x20" + strings.Repeat("\x00", 32)} {
		c := newRawClient(t, server)
		s := c.stream(t, c.session(t, "webtransport").StreamID())
		io.WriteString(s, garbage)
		s.Close()
		<-c.quic.Context().Done()
	}
	for i, a := range server.admissions.List() {
		a.WaitEnded(t, i)
	}
	server.canary(t, client)
}

// The stream of the handshake is the client's to close, in its own time. What it
// says on it is of no consequence.
func TestEvil_A7_AfterTheHandshake(t *testing.T) {
	client, server := pair(t, `{}`)
	for _, says := range []string{"", "and another thing"} {
		c := newRawClient(t, server)
		session := c.session(t, "webtransport").StreamID()
		_, first := c.handshake(t, server, session)
		io.WriteString(first, says)
		echo := c.stream(t, session)
		io.WriteString(echo, "hello")
		echo.Close()
		if got, err := io.ReadAll(echo); string(got) != "hello" || err != nil {
			t.Errorf("%q comes back, %v", got, err)
		}
		if err := first.Context().Err(); err != nil && says == "" {
			t.Errorf("the server wants no more of the first stream: %v", context.Cause(first.Context()))
		}
		first.Close()
		c.quic.CloseWithError(0, "")
	}
	server.canary(t, client)
}

// Anything but a request for the session is not found, and does not stand in the
// way of one.
func TestEvil_Q8_OtherRequests(t *testing.T) {
	_, server := pair(t, `{}`)
	c := newRawClient(t, server)
	for _, r := range []struct{ method, protocol, target string }{
		{"GET", "", "/"},
		{"POST", "", path + "?type=noise"},
		{"CONNECT", "webtransport", "/"},
		{"CONNECT", "webtransport", path},
		{"CONNECT", "webtransport", path + "?type=tls"},
		{"CONNECT", "websocket", path + "?type=noise"},
	} {
		if _, status := c.request(t, r.method, r.protocol, r.target, nil); status != http.StatusNotFound {
			t.Errorf("%s %s %s: status %d", r.method, r.protocol, r.target, status)
		}
	}
	c.identify(t, server, c.session(t, "webtransport").StreamID())
}

func TestEvil_Q8_HeaderFlood(t *testing.T) {
	client, server := pair(t, `{}`)
	many := make(http.Header) // little on the wire, much in memory
	for range 1000 {
		many.Add("A", "")
	}
	for name, h := range map[string]http.Header{
		"one long field": {"A": {strings.Repeat("x", maxHeaderBytes)}},
		"many fields":    many,
	} {
		c := newRawClient(t, server)
		if _, status := c.request(t, http.MethodConnect, "webtransport", path+"?type=noise", h); status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: status %d", name, status)
		}
	}
	server.canary(t, client)
}

// A connection has one session, whatever happens to it.
func TestEvil_Q8_SessionFlood(t *testing.T) {
	_, server := pair(t, `{}`)
	c := newRawClient(t, server)
	session := c.session(t, "webtransport")
	for range 50 {
		if _, status := c.request(t, http.MethodConnect, "webtransport", path+"?type=noise", nil); status != http.StatusTooManyRequests {
			t.Errorf("status %d", status)
		}
	}
	c.identify(t, server, session.StreamID())
	if n := len(server.admissions.List()); n != 1 {
		t.Errorf("%d admissions, want 1", n)
	}
	session.Close() // the end of the session is that of the connection
	<-c.quic.Context().Done()
}

// capsule is one of a type, with a body; size is what it says of its length.
func capsule(kind http3.CapsuleType, size int, body []byte) []byte {
	b := quicvarint.Append(nil, uint64(kind))
	return append(quicvarint.Append(b, uint64(size)), body...)
}

// Capsules that nobody knows are skipped as they come in, however long they are.
func TestEvil_Q8_UnknownCapsules(t *testing.T) {
	_, server := pair(t, `{}`)
	c := newRawClient(t, server)
	session := c.session(t, "webtransport")
	c.identify(t, server, session.StreamID())
	for range 100 {
		session.Write(capsule(0x1234, 64<<10, make([]byte, 64<<10)))
	}
	session.Write(capsule(0x4321, 1<<40, make([]byte, 1<<20)))
	session.SendDatagram([]byte("nobody reads this"))
	for range 2 {
		if s, err := c.quic.OpenUniStream(); err == nil {
			s.Write(quicvarint.Append([]byte{0x40, 0x54}, uint64(session.StreamID())))
		}
	}
	s := c.stream(t, session.StreamID())
	io.WriteString(s, "hello")
	s.Close()
	if got, err := io.ReadAll(s); string(got) != "hello" || err != nil {
		t.Errorf("%q comes back, %v", got, err)
	}
}

// Of a long reason for closing a session, the code arrives.
func TestEvil_Q8_LongCloseReason(t *testing.T) {
	_, server := pair(t, `{}`)
	c := newRawClient(t, server)
	session := c.session(t, "webtransport")
	c.identify(t, server, session.StreamID())
	s := c.stream(t, session.StreamID())
	io.WriteString(s, "x")
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20
	session.Write(capsule(0x2843, size, append([]byte{0, 0, 0x10, 0x07}, make([]byte, size-4)...)))
	conn := server.conn(t)
	<-conn.Done()
	if r := conn.reason; r.Code != core.ConnGated || !r.Remote || len(r.Error()) > 1024 {
		t.Errorf("closed because of %v", r)
	}
}

// The remote has gone without a word: closing does not wait for it.
func TestEvil_Q8_BlockedClose(t *testing.T) {
	client, server := pair(t, `{}`)
	for range 4 {
		q, socket := rawSocket(t, server)
		c := rawClientOn(q)
		session := c.session(t, "webtransport").StreamID()
		c.identify(t, server, session)
		c.stream(t, session).Write(make([]byte, 64<<10)) // and the echo is not read
		socket.Close()
	}
	server.canary(t, client)
	server.mu.Lock()
	conns := server.conns
	server.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range conns {
		for range 3 {
			wg.Go(func() { c.CloseWithCode(core.ConnShutdown) })
		}
	}
	wg.Wait()
}

// A client that ends streams as if the session had ended does not keep those
// who read and write them.
func TestEvil_C8_SessionGone(t *testing.T) {
	_, server := pair(t, `{}`)
	server.Close()
	l, err := server.transport.Listen(server.addr, server.admissions.Admit)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := newRawClient(t, server)
	session := c.session(t, "webtransport")
	var conn core.MuxedConn
	var wg sync.WaitGroup
	wg.Go(func() { conn, _, err = l.Accept() })
	c.identify(t, server, session.StreamID())
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	opened := c.stream(t, session.StreamID())
	accepted, err := conn.AcceptStream()
	if err != nil {
		t.Fatal(err)
	}
	opened.SetReliableBoundary()
	opened.CancelWrite(webtransport.WTSessionGoneErrorCode)
	opened.CancelRead(webtransport.WTSessionGoneErrorCode)
	var read, write error
	wg.Go(func() { _, read = accepted.Read(make([]byte, 1)) })
	wg.Go(func() {
		for write == nil {
			_, write = accepted.Write(make([]byte, 1<<10))
		}
	})
	accepted.Reset(core.StreamShutdown)
	wg.Wait()
	for what, err := range map[string]error{"read": read, "write": write} {
		if !errors.Is(err, core.ErrReset) {
			t.Errorf("%s: %v, want ErrReset", what, err)
		}
	}
	// A code that is none of WebTransport's is a reset like any other.
	opened = c.stream(t, session.StreamID())
	if accepted, err = conn.AcceptStream(); err != nil {
		t.Fatal(err)
	}
	opened.SetReliableBoundary()
	opened.CancelWrite(7)
	if _, err := accepted.Read(make([]byte, 1)); !errors.Is(err, core.ErrReset) {
		t.Errorf("read: %v, want ErrReset", err)
	}
	accepted.Close()
}
