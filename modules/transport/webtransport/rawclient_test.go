// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/modules/security/noise"
)

// rawClient is a client that does only what a test tells it to. It is a browser
// of draft 2 in what it says of itself.
type rawClient struct {
	quic *quic.Conn
	h3   *http3.RawClientConn
}

// rawQUIC connects to a listener until the test ends.
func rawQUIC(t testing.TB, s *serving) *quic.Conn {
	t.Helper()
	c, _ := rawSocket(t, s)
	return c
}

// rawSocket is the same, on a socket of its own.
func rawSocket(t testing.TB, s *serving) (*quic.Conn, *net.UDPConn) {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tr := &quic.Transport{Conn: socket}
	t.Cleanup(func() {
		tr.Close()
		socket.Close()
	})
	c, err := tr.Dial(t.Context(), s.socket(), &tls.Config{
		InsecureSkipVerify: true,
		NextProtos:         []string{http3.NextProtoH3},
	}, &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true})
	if err != nil {
		t.Fatal(err)
	}
	return c, socket
}

func newRawClient(t testing.TB, s *serving) *rawClient {
	t.Helper()
	return rawClientOn(rawQUIC(t, s))
}

func rawClientOn(q *quic.Conn) *rawClient {
	h3 := &http3.Transport{EnableDatagrams: true, AdditionalSettings: map[uint64]uint64{0x2b603742: 1}}
	c := &rawClient{q, h3.NewRawClientConn(q)}
	go func() { // it ends with the connection
		for {
			s, err := q.AcceptUniStream(q.Context())
			if err != nil {
				return
			}
			go c.h3.HandleUnidirectionalStream(s)
		}
	}()
	return c
}

// request sends the header of a request and returns its stream and the status of
// the response.
func (c *rawClient) request(t testing.TB, method, protocol, target string, header http.Header) (*http3.RequestStream, int) {
	t.Helper()
	s, err := c.h3.OpenRequestStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse("https://" + c.quic.RemoteAddr().String() + target)
	if err != nil {
		t.Fatal(err)
	}
	if header == nil {
		header = http.Header{"Origin": {"https://example.com"}}
	}
	if err := s.SendRequestHeader(&http.Request{Method: method, Proto: protocol, Host: u.Host, URL: u, Header: header}); err != nil {
		t.Fatal(err)
	}
	response, err := s.ReadResponse()
	if err != nil {
		t.Fatalf("%s %s %s: %v", method, protocol, target, err)
	}
	return s, response.StatusCode
}

// session asks for the session.
func (c *rawClient) session(t testing.TB, protocol string) *http3.RequestStream {
	t.Helper()
	s, status := c.request(t, http.MethodConnect, protocol, path+"?type=noise", nil)
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	return s
}

// stream opens a stream of the session that another stream has asked for.
func (c *rawClient) stream(t testing.TB, session quic.StreamID) *quic.Stream {
	t.Helper()
	s, err := c.quic.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(quicvarint.Append([]byte{0x40, 0x41}, uint64(session))); err != nil {
		t.Fatal(err)
	}
	return s
}

// identify runs Noise on the first stream of a session, and closes that.
func (c *rawClient) identify(t testing.TB, s *serving, session quic.StreamID) *noise.Conn {
	t.Helper()
	n, st := c.handshake(t, s, session)
	st.Close()
	st.CancelRead(0)
	return n
}

// handshake is the same without the end.
func (c *rawClient) handshake(t testing.TB, s *serving, session quic.StreamID) (*noise.Conn, *quic.Stream) {
	t.Helper()
	st := c.stream(t, session)
	n, err := new(noise.Noise).Handshake(t.Context(), rawStream{st, c.quic}, core.Handshake{
		Identity:  coretest.NewIdentity(77),
		Initiator: true,
		Expect:    s.transport.node.ID(),
	}, noise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return n, st
}

// rawStream makes a QUIC stream a [net.Conn].
type rawStream struct {
	*quic.Stream
	quic *quic.Conn
}

func (s rawStream) LocalAddr() net.Addr  { return s.quic.LocalAddr() }
func (s rawStream) RemoteAddr() net.Addr { return s.quic.RemoteAddr() }
