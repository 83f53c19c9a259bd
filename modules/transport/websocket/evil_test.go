// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/modules/transport/internal/tcpport"
)

// rawDial opens a TCP connection to a listener, which lasts until the test ends,
// and says something on it.
func rawDial(t *testing.T, l manet.Listener, says string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, says); err != nil {
		t.Fatal(err)
	}
	return c
}

// hello is the beginning of what a TLS client says first.
func hello(t *testing.T) string {
	t.Helper()
	client, server := net.Pipe()
	shaken := started(tls.Client(client, &tls.Config{ServerName: "example.com"}).Handshake)
	defer shaken()
	defer server.Close()
	b := make([]byte, 200)
	if _, err := io.ReadFull(server, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEvil_A9_half_open has more handshakes begin than are let in at a time, and
// none of them go on. Who makes a whole one is served.
func TestEvil_A9_half_open(t *testing.T) {
	begin := hello(t)
	for name, tc := range map[string]struct {
		listen ma.Multiaddr
		says   []string
	}{
		"ws":  {plain4, []string{"", "G", "GET / HTTP/1.1\r\nHost: a\r\n", goodRequest[:len(goodRequest)-1]}},
		"wss": {secure4, []string{"", begin[:1], begin[:100], begin}},
	} {
		t.Run(name, func(t *testing.T) {
			coretest.VerifyNoLeaks(t)
			tr := load(t, lenient)
			l := listen(t, tr, tc.listen)
			var first net.Conn
			for i := range maxShaking + 50 {
				c := rawDial(t, l, tc.says[i%len(tc.says)])
				if first == nil {
					first = c
				}
			}
			c, err := tr.Dial(t.Context(), l.Multiaddr())
			if err != nil {
				t.Fatalf("honest client: %v", err)
			}
			defer c.Close()
			s := accept(t, l)
			copied := started(func() error {
				_, err := io.Copy(s, s)
				return err
			})
			defer copied()
			defer s.Close()
			if _, err := io.WriteString(c, "hi"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
				t.Fatal(err)
			}
			if _, err := first.Read(make([]byte, 1)); err == nil {
				t.Error("the oldest silent one got an answer")
			}
			if n := l.(*listener).entrance.crowd.Len(); n > maxShaking {
				t.Errorf("%d handshakes are under way", n)
			}
		})
	}
}

// TestEvil_A9_slow_request goes on for ever, so that its time is over before its
// end comes.
func TestEvil_A9_slow_request(t *testing.T) {
	for a, begins := range map[string][]string{plain4.String(): {"", goodRequest[:60]}, secure4.String(): {"", hello(t)}} {
		l := listen(t, load(t, lenient), ma.StringCast(a)).(*listener)
		for _, says := range begins {
			client, server := tcpPair(t)
			if _, err := io.WriteString(client, says); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(20*time.Millisecond))
			_, err := l.shake(ctx, tcpport.Conn{TCPConn: server.(*net.TCPConn)})
			cancel()
			if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, %q: %v, want a timeout", a, says, err)
			}
		}
	}
}

// requestWith is a good request with another header.
func requestWith(header string) string {
	return strings.Replace(goodRequest, "\r\n\r\n", "\r\n"+header+"\r\n\r\n", 1)
}

// remoteOf makes a connection and returns its remote address as the listener
// sees it; the port of the socket itself is replaced by SOCKET.
func remoteOf(t *testing.T, l manet.Listener, says string) string {
	t.Helper()
	raw := rawDial(t, l, says)
	c := accept(t, l)
	at, err := manet.FromNetAddr(raw.LocalAddr())
	if err != nil {
		t.Fatal(err)
	}
	if c.RemoteAddr() == nil || !strings.HasPrefix(c.RemoteMultiaddr().String(), ip(c.RemoteAddr())) {
		t.Errorf("the remote is %s and %s", c.RemoteAddr(), c.RemoteMultiaddr())
	}
	return strings.Replace(c.RemoteMultiaddr().String(), at.String(), "SOCKET", 1)
}

func ip(a net.Addr) string {
	m, err := manet.FromNetAddr(a)
	if err != nil {
		return err.Error()
	}
	return m.String()
}

func TestEvil_Q11_spoofed_client_address(t *testing.T) {
	for name, tc := range map[string]struct{ config, says, want string }{
		"nobody is trusted":  {`{}`, requestWith("X-Forwarded-For: 192.0.2.1"), "SOCKET/ws"},
		"others are trusted": {`{"trusted_proxies": ["10.0.0.0/8"]}`, requestWith("X-Forwarded-For: 192.0.2.1"), "SOCKET/ws"},
		"another header":     {`{"trusted_proxies": ["127.0.0.1"]}`, requestWith("Forwarded: for=192.0.2.1\r\nX-Real-IP: 192.0.2.1"), "SOCKET/ws"},
		"from the proxy":     {`{"trusted_proxies": ["127.0.0.1"]}`, requestWith("X-Forwarded-For: 198.51.100.1, 192.0.2.1"), "/ip4/192.0.2.1/tcp/0/ws"},
		"PROXY from the proxy": {`{"trusted_proxies": ["127.0.0.1"], "proxy_protocol": true}`,
			"PROXY TCP4 192.0.2.1 127.0.0.1 4000 80\r\n" + requestWith("X-Forwarded-For: 198.51.100.1"), "/ip4/192.0.2.1/tcp/4000/ws"},
		"PROXY and a second proxy": {`{"trusted_proxies": ["127.0.0.1", "10.0.0.0/8"], "proxy_protocol": true}`,
			"PROXY TCP4 10.0.0.1 127.0.0.1 4000 80\r\n" + requestWith("X-Forwarded-For: 192.0.2.1"), "/ip4/192.0.2.1/tcp/0/ws"},
		"PROXY for itself": {`{"trusted_proxies": ["127.0.0.1"], "proxy_protocol": true}`,
			header2(0x20, 0, "") + goodRequest, "SOCKET/ws"},
		"PROXY from others that send none": {`{"trusted_proxies": ["10.0.0.0/8"], "proxy_protocol": true}`, goodRequest, "SOCKET/ws"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := remoteOf(t, listen(t, load(t, tc.config), plain4), tc.says); got != tc.want {
				t.Errorf("the remote is %s, want %s", got, tc.want)
			}
		})
	}
}

// TestProxyProtocolBeforeTLS has more behind the PROXY header in the same packet.
func TestProxyProtocolBeforeTLS(t *testing.T) {
	l := listen(t, load(t, `{"trusted_proxies": ["127.0.0.1"], "proxy_protocol": true, "certificate": {"module": "selfsigned"}}`), secure4)
	raw := rawDial(t, l, header2(0x21, 0x11, "\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb"))
	secure := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if _, err := io.WriteString(secure, goodRequest); err != nil {
		t.Fatal(err)
	}
	if got := accept(t, l).RemoteMultiaddr().String(); got != "/ip4/192.0.2.1/tcp/56324/tls/ws" {
		t.Errorf("the remote is %s", got)
	}
	if secure.ConnectionState().NegotiatedProtocol != "" {
		t.Errorf("speaks %q", secure.ConnectionState().NegotiatedProtocol)
	}
}

func TestEvil_Q11_PROXY_garbage(t *testing.T) {
	for name, tc := range map[string]struct{ config, says string }{
		"none from the proxy":      {`{"trusted_proxies": ["127.0.0.1"], "proxy_protocol": true}`, goodRequest},
		"malformed":                {`{"trusted_proxies": ["127.0.0.1"], "proxy_protocol": true}`, "PROXY TCP4 a b c d\r\n" + goodRequest},
		"endless":                  {`{"trusted_proxies": ["127.0.0.1"], "proxy_protocol": true}`, "PROXY " + strings.Repeat("x", 1000)},
		"binary":                   {`{"trusted_proxies": ["127.0.0.1"], "proxy_protocol": true}`, header2(0x21, 0x11, "short")},
		"from others":              {`{"trusted_proxies": ["10.0.0.0/8"], "proxy_protocol": true}`, "PROXY TCP4 192.0.2.1 127.0.0.1 4000 80\r\n" + goodRequest},
		"where none is expected":   {`{"trusted_proxies": ["127.0.0.1"]}`, "PROXY TCP4 192.0.2.1 127.0.0.1 4000 80\r\n" + goodRequest},
		"binary, none is expected": {`{"trusted_proxies": ["127.0.0.1"]}`, header2(0x20, 0, "") + goodRequest},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, load(t, tc.config), plain4)
			answer, _ := io.ReadAll(rawDial(t, l, tc.says)) // until it is closed
			if strings.Contains(string(answer), "101") {
				t.Errorf("%q", answer)
			}
			if l.(*listener).entrance.waiting.Load() != 0 {
				t.Error("it was let in")
			}
		})
	}
}

// TestEvil_Q11_refused says what is wrong and closes the connection, however much
// more the client has to say.
func TestEvil_Q11_refused(t *testing.T) {
	l := listen(t, load(t, `{}`), ma.StringCast("/ip4/127.0.0.1/tcp/0/ws/http-path/x"))
	for says, want := range map[string]string{
		"GET /y HTTP/1.1\r\nHost: a\r\n\r\n":                                               "HTTP/1.1 404 Not Found\r\n",
		"GET /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n":                     "HTTP/1.1 426 Upgrade Required\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n": "HTTP/1.1 405 Method Not Allowed\r\n",
	} {
		got, err := io.ReadAll(rawDial(t, l, says))
		if err != nil || !strings.HasPrefix(string(got), want) || !strings.Contains(string(got), "\r\nConnection: close") {
			t.Errorf("%q: %q, %v; want %q", says, got, err, want)
		}
	}
}

// TestEvil_Q11_wrong_frames ends the connection with a reason.
func TestEvil_Q11_wrong_frames(t *testing.T) {
	for name, tc := range map[string]struct {
		frames []byte
		code   string
	}{
		"not masked": {encode(frame{first: 0x82, payload: "a"}), "\x03\xea"},
		"text":       {encode(frame{first: 0x81, payload: "a", masked: true}), "\x03\xeb"},
		"huge ping":  {encode(frame{first: 0x89, length: 1 << 40, masked: true}), "\x03\xea"},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := tcpPair(t)
			c := newConn(server, false, tc.frames, new(buffers))
			var wrong *protocolError
			if _, err := c.Read(make([]byte, 1)); !errors.As(err, &wrong) {
				t.Errorf("read: %v", err)
			}
			if _, err := c.Write([]byte("a")); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("write: %v", err)
			}
			c.Close()
			if got, err := io.ReadAll(client); string(got) != "\x88\x02"+tc.code || err != nil {
				t.Errorf("the remote reads %q, %v", got, err)
			}
		})
	}
}

// TestEvil_Q11_frames_without_data has many at once, which end the connection, as
// many over a long time, and as many as there are with data.
func TestEvil_Q11_frames_without_data(t *testing.T) {
	useless := map[string]frame{
		"empty": {first: 0x82}, "fragment": {first: 0x02}, "ping": {first: 0x89, payload: "x"}, "pong": {first: 0x8A},
	}
	for name, f := range useless {
		f.masked = true
		flood := slices.Repeat([]frame{f}, 3*maxIdle)
		if name == "fragment" {
			for i := 1; i < len(flood); i++ {
				flood[i].first = 0x00
			}
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var pongs []string
				in := inboundOf(bytes.NewReader(encode(flood...)), true, &pongs)
				_, err := readAll(in)
				if wrong, ok := errors.AsType[*protocolError](err); !ok || wrong.code != closePolicy {
					t.Errorf("at once: %v, want code %d", err, closePolicy)
				}

				src, dst := io.Pipe()
				go func() {
					for _, one := range flood {
						dst.Write(encode(one))
						time.Sleep(2 * idleTime / maxIdle)
					}
					dst.Close()
				}()
				if _, err := readAll(inboundOf(src, true, &pongs)); err != io.EOF {
					t.Errorf("over a long time: %v", err)
				}

				data := frame{first: 0x82, payload: "a", masked: true}
				if name == "fragment" {
					data.first = 0x80
				}
				in = inboundOf(bytes.NewReader(encode(slices.Repeat([]frame{f, data}, 3*maxIdle)...)), true, &pongs)
				if _, err := readAll(in); err != io.EOF {
					t.Errorf("with data: %v", err)
				}
			})
		})
	}
}

// TestEvil_Q11_pings_without_reading floods a connection with pings whose
// answers nobody reads. It closes all the same.
func TestEvil_Q11_pings_without_reading(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	client, server := tcpPair(t)
	c := newConn(server, false, nil, new(buffers))
	ended := started(func() error {
		_, err := io.Copy(io.Discard, c)
		return err
	})
	pings := []byte(strings.Repeat(string(encode(frame{first: 0x89, payload: strings.Repeat("x", maxControl), masked: true})), 1000))
	for range 100 {
		client.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := client.Write(pings); err != nil {
			break // both directions are full
		}
	}
	c.Close()
	err := ended()
	if wrong, flood := errors.AsType[*protocolError](err); !errors.Is(err, net.ErrClosed) && !(flood && wrong.code == closePolicy) {
		t.Errorf("read: %v", err)
	}
}
