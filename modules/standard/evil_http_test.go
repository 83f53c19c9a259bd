// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package standard_test

import (
	"bufio"
	ctls "crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// requestWith is a good request for a WebSocket with something more in it.
func requestWith(header string) string {
	return strings.TrimSuffix(upgrade, "\r\n") + header + "\r\n"
}

// HTTP and WebSockets on the shared port, from who knows neither.
func TestEvil_Q11(t *testing.T) {
	s := newSite(t, roomy)
	t.Run("requests", func(t *testing.T) { testRequests(t, s) })
	t.Run("frames", func(t *testing.T) { testFrames(t, s) })
}

// What browsers, proxies and attackers may ask for on the shared port is answered
// within bounds, in the clear and within TLS, and the connection closed unless
// it is a WebSocket. A page from anywhere may have one: who its user is, is for
// the security handshake to say.
func testRequests(t *testing.T, s *site) {
	s.siege(t, func() {
		for name, tc := range map[string]struct{ says, want string }{
			"a page of another origin": {requestWith("Origin: https://evil.example\r\n"), "HTTP/1.1 101 "},
			"many lines":               {requestWith(strings.Repeat("A: b\r\n", 100)), "HTTP/1.1 431 "},
			"many bytes":               {requestWith("A: " + strings.Repeat("b", 9<<10) + "\r\n"), "HTTP/1.1 431 "},
			"endless line":             {"GET /" + strings.Repeat("a", 64<<10), "HTTP/1.1 431 "},
			"HTTP/2 at once":           {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\x00", 100), "HTTP/1.1 4"},
			"HTTP/2 by an upgrade":     {strings.Replace(upgrade, "websocket", "h2c", 1), "HTTP/1.1 426 "},
			"two requests":             {"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + upgrade, "HTTP/1.1 426 "},
			"a body":                   {requestWith("Content-Length: 1000000\r\n") + "body", "HTTP/1.1 400 "},
			"another method":           {strings.Replace(upgrade, "GET", "CONNECT", 1), "HTTP/1.1 4"},
		} {
			for where, open := range map[string]func(*testing.T, net.Conn) (net.Conn, error){"": plain, " within TLS": secure} {
				raw, err := dialFrom(t.Context(), 1, s.tcp())
				if err != nil {
					t.Fatal(err)
				}
				c, err := open(t, raw)
				if err != nil {
					t.Fatal(err)
				}
				// The node may answer and close before it has heard all.
				_, _ = io.WriteString(c, tc.says)
				r := bufio.NewReader(c)
				answer, err := r.ReadString('\n')
				if !strings.HasPrefix(answer, tc.want) {
					t.Errorf("%s%s: %q, %v; want %q", name, where, answer, err, tc.want)
				}
				if !strings.Contains(tc.want, "101") {
					io.Copy(io.Discard, r) // it ends when the node closes
				}
				raw.Close()
			}
		}
		raw, err := dialFrom(t.Context(), 1, s.tcp())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		c := ctls.Client(raw, &ctls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err := c.HandshakeContext(t.Context()); err == nil {
			t.Errorf("HTTP/2 within TLS: agreed on %q", c.ConnectionState().NegotiatedProtocol)
		}
	})
}

// Frames that no client sends end their connection.
func testFrames(t *testing.T, s *site) {
	s.siege(t, func() {
		for name, frames := range map[string]string{
			"not masked":             "\x82\x01a",
			"text":                   "\x81\x81\x00\x00\x00\x00a",
			"longer than there is":   "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
			"a ping of 64 KiB":       "\x89\xfe\xff\xff\x00\x00\x00\x00" + strings.Repeat("x", 1<<16-1),
			"the end of nothing":     "\x80\x81\x00\x00\x00\x00a",
			"an unknown kind":        "\x83\x80\x00\x00\x00\x00",
			"compressed":             "\xc2\x81\x00\x00\x00\x00a",
			"a close that is cut":    "\x88\x81\x00\x00\x00\x00a",
			"nothing, many times":    strings.Repeat("\x82\x80\x00\x00\x00\x00", 10000),
			"pings, many":            strings.Repeat("\x89\x80\x00\x00\x00\x00", 10000),
			"garbage as multistream": "\x82\xfe\x10\x00\x00\x00\x00\x00" + strings.Repeat("\xff", 1<<12),
		} {
			for where, open := range map[string]func(*testing.T, net.Conn) (net.Conn, error){"": plain, " within TLS": secure} {
				raw, err := dialFrom(t.Context(), 1, s.tcp())
				if err != nil {
					t.Fatal(err)
				}
				c, err := open(t, raw)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := websocket(t, c); err != nil {
					t.Fatalf("%s%s: %v", name, where, err)
				}
				_, _ = io.WriteString(c, frames) // it may be closed before that
				if n, _ := io.Copy(io.Discard, c); n > 1000 {
					t.Errorf("%s%s: %d bytes answer", name, where, n)
				}
				raw.Close()
			}
		}
		// Some empty ones do no harm.
		raw, err := dialFrom(t.Context(), 1, s.tcp())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		c, err := websocket(t, raw)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(raw, strings.Repeat("\x82\x80\x00\x00\x00\x00", 500))
		if err := errors.Join(err, hears(multistream, len(multistream))(t, c)); err != nil {
			t.Errorf("after empty frames: %v", err)
		}
	})
}

// More connections are silent than there is room for, from one address and from
// many: who says something gets in.
func TestEvil_Q12_MoreThanFit(t *testing.T) {
	const count = 700
	s := newSite(t, roomy)
	for name, sources := range map[string]int{"one address": 1, "many addresses": count} {
		t.Run(name, func(t *testing.T) {
			s.siege(t, func() {
				for i := range count {
					c, err := dialFrom(t.Context(), i%sources, s.tcp())
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					if err := says([]string{"", "\x16", "\x16\x03", "GE"}[i%4])(t, c); err != nil {
						t.Fatal(err)
					}
				}
				s.visit(t)
			})
		})
	}
}

// With the limits that a node has by itself, attackers fill the handshakes that
// may be under way, and no more. Peers that are there do not notice, and newcomers
// take the place of those that stall.
func TestEvil_A9_DefaultLimits(t *testing.T) {
	const count, most = 300, 64
	s := newSite(t, `{}`)
	s.siege(t, func() {
		var conns []net.Conn
		for i := range count {
			c, err := dialFrom(t.Context(), i, s.tcp())
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
			// Most of them are closed at once.
			_ = negotiates([]string{"/noise", "/tls/1.0.0"}[i%2])(t, c)
			if n := s.Limits().Handshakes; n > most {
				t.Errorf("%d handshakes are under way, want %d at most", n, most)
			}
		}
		if n := s.Limits().Handshakes; n != most {
			t.Errorf("%d handshakes are under way, want %d", n, most)
		}
		time.Sleep(time.Second) // so that none of them has begun within the last half second
		s.visit(t)
		for _, c := range conns {
			c.Close()
		}
		await(t, s.settled)
		s.visit(t)
	})
}
