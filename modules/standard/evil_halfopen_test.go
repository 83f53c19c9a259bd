// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package standard_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/security/noise"
)

// A stage is how far an attacker goes on a TCP connection before it says no more.
// It fails if the node does not play along until then.
type stage struct {
	name  string
	enter func(*testing.T, net.Conn) error
}

// multistream is the first line of the negotiation, and line another one.
var multistream = line("/multistream/1.0.0")

func line(text string) string {
	return string(wire.AppendUvarint(nil, uint64(len(text)+1))) + text + "\n"
}

// upgrade asks for a WebSocket.
const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// stagesOf are the stages at which a connection may stop, by transport. They are
// many for what is negotiated on the connection itself.
var stagesOf = map[string][]stage{
	"tcp": append([]stage{
		{"silence", says("")},
		{"one byte", says("\x13")},
		{"two bytes", says("\x13/")},
		{"a byte of TLS", says("\x16")},
		{"two bytes of TLS", says("\x16\x03")},
		{"a random byte", says("\xaa")},
	}, negotiation(plain)...),
	"ws": append([]stage{
		{"a letter", says("G")},
		{"a method", says("GET")},
		{"byte by byte", drips(upgrade[:len(upgrade)-1])},
		{"half a header", says(upgrade[:len(upgrade)/2])},
		{"no end of headers", says("GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 50))},
	}, negotiation(websocket)...),
	"wss": append([]stage{
		{"a byte", says(clientHello("")[:1])},
		{"a header", says(clientHello("")[:5])},
		{"half a hello", says(clientHello("")[:100])},
		{"a hello", hears(clientHello(""), 5)},
		{"TLS alone", func(t *testing.T, c net.Conn) error { _, err := secure(t, c); return err }},
		{"half a request", func(t *testing.T, c net.Conn) error {
			s, err := secure(t, c)
			if err != nil {
				return err
			}
			return drips(upgrade[:60])(t, s)
		}},
	}, negotiation(secureWebsocket)...),
}

// negotiation are the stages on a connection that bytes can be sent on, which
// open makes.
func negotiation(open func(*testing.T, net.Conn) (net.Conn, error)) []stage {
	list := []stage{
		{"nothing of multistream", says("")},
		{"a line that is cut off", says(multistream[:7])},
		{"multistream alone", hears(multistream, len(multistream))},
		{"noise alone", negotiates("/noise")},
		{"half of Noise's first message", negotiates("/noise", "\x00\x20half of it")},
		{"Noise's first message", func(t *testing.T, c net.Conn) error {
			if err := negotiates("/noise", "\x00\x20"+strings.Repeat("\x09", 32))(t, c); err != nil {
				return err
			}
			_, err := io.ReadFull(c, make([]byte, 100)) // of the answer
			return err
		}},
		{"no muxer", func(t *testing.T, c net.Conn) error {
			if err := negotiates("/noise")(t, c); err != nil {
				return err
			}
			_, err := new(noise.Noise).Handshake(t.Context(), c,
				core.Handshake{Identity: coretest.NewIdentity(666), Initiator: true}, noise.Options{})
			return err
		}},
		{"tls alone", negotiates("/tls/1.0.0")},
		{"half of TLS's hello", negotiates("/tls/1.0.0", clientHello("libp2p")[:60])},
		{"TLS's hello", func(t *testing.T, c net.Conn) error {
			if err := negotiates("/tls/1.0.0", clientHello("libp2p"))(t, c); err != nil {
				return err
			}
			_, err := io.ReadFull(c, make([]byte, 5))
			return err
		}},
	}
	for i, s := range list {
		list[i].enter = func(t *testing.T, c net.Conn) error {
			on, err := open(t, c)
			if err != nil {
				return err
			}
			return s.enter(t, on)
		}
	}
	return list
}

func says(text string) func(*testing.T, net.Conn) error {
	return func(_ *testing.T, c net.Conn) error {
		_, err := io.WriteString(c, text)
		return err
	}
}

// drips says something byte by byte.
func drips(text string) func(*testing.T, net.Conn) error {
	return func(_ *testing.T, c net.Conn) error {
		for i := range len(text) {
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
}

// hears says something and waits for an answer of at least n bytes.
func hears(text string, n int) func(*testing.T, net.Conn) error {
	return func(t *testing.T, c net.Conn) error {
		if err := says(text)(t, c); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, n))
		return err
	}
}

// negotiates agrees on a protocol, and says something in it.
func negotiates(protocol string, more ...string) func(*testing.T, net.Conn) error {
	return func(t *testing.T, c net.Conn) error {
		want := multistream + line(protocol)
		if _, err := io.WriteString(c, want); err != nil {
			return err
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if string(got) != want {
			return fmt.Errorf("answer to %q: %q", protocol, got)
		}
		return says(strings.Join(more, ""))(t, c)
	}
}

// clientHello is the first message of a TLS client.
func clientHello(alpn string) string {
	client, server := net.Pipe()
	config := &tls.Config{InsecureSkipVerify: true}
	if alpn != "" {
		config.NextProtos = []string{alpn}
	}
	var shaking sync.WaitGroup
	defer shaking.Wait()
	defer server.Close() // which ends it
	shaking.Go(func() { _ = tls.Client(client, config).Handshake() })
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		return ""
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(server, body); err != nil {
		return ""
	}
	return string(head) + string(body)
}

func plain(_ *testing.T, c net.Conn) (net.Conn, error) { return c, nil }

func secure(t *testing.T, c net.Conn) (net.Conn, error) {
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	return s, s.HandshakeContext(t.Context())
}

// websocket makes one of a connection. What is written travels in frames of
// its own.
func websocket(_ *testing.T, c net.Conn) (net.Conn, error) {
	if _, err := io.WriteString(c, upgrade); err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	for n := 0; ; n++ {
		text, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if n == 0 && !strings.Contains(text, " 101 ") {
			return nil, fmt.Errorf("answer %q", text)
		}
		if text == "\r\n" {
			return &framed{Conn: c, r: r}, nil
		}
	}
}

// secureWebsocket makes one within TLS.
func secureWebsocket(t *testing.T, c net.Conn) (net.Conn, error) {
	s, err := secure(t, c)
	if err != nil {
		return nil, err
	}
	return websocket(t, s)
}

// framed is a client's end of a WebSocket, without a mask that would hide
// anything.
type framed struct {
	net.Conn
	r    *bufio.Reader
	left int // of the frame that is read
}

func (f *framed) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	head := []byte{0x82, 0x80 | 126, byte(len(p) >> 8), byte(len(p)), 0, 0, 0, 0}
	if len(p) < 126 {
		head = []byte{0x82, 0x80 | byte(len(p)), 0, 0, 0, 0}
	}
	if _, err := f.Conn.Write(append(head, p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *framed) Read(p []byte) (int, error) {
	for f.left == 0 {
		var head [4]byte
		if _, err := io.ReadFull(f.r, head[:2]); err != nil {
			return 0, err
		}
		switch f.left = int(head[1]); f.left {
		case 127:
			return 0, fmt.Errorf("a frame of more than 64 KiB")
		case 126:
			if _, err := io.ReadFull(f.r, head[2:]); err != nil {
				return 0, err
			}
			f.left = int(head[2])<<8 | int(head[3])
		}
	}
	n, err := f.r.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

// attackerIP is that of the i-th attacker: each has its own.
func attackerIP(i int) net.IP { return net.IPv4(127, 66, byte(i>>8), byte(i)) }

func dialFrom(ctx context.Context, i int, to *net.TCPAddr) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: attackerIP(i)}}
	return d.DialContext(ctx, "tcp", to.String())
}

// Hundreds of connections stop at every stage of their handshake that can be
// reached from outside, on every transport of the TCP port. Meanwhile newcomers
// get in on every transport.
func TestEvil_A9_Q12_HalfOpenOverTCP(t *testing.T) {
	s := newSite(t, roomy)
	for transport, count := range map[string]int{"tcp": 200, "ws": 200, "wss": 120} {
		t.Run(transport, func(t *testing.T) {
			stages := stagesOf[transport]
			s.siege(t, func() {
				for i := range count {
					c, err := dialFrom(t.Context(), i, s.tcp())
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					st := stages[i%len(stages)]
					if err := st.enter(t, c); err != nil {
						t.Errorf("%s: %v", st.name, err)
					}
				}
				s.visit(t)
			})
		})
	}
}
