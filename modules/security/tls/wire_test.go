// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"bytes"
	"context"
	ctls "crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/wire"
)

// TestEvil_A8_PlainRecord has somebody put a record that is not encrypted behind
// the handshake.
func TestEvil_A8_PlainRecord(t *testing.T) {
	for name, record := range map[string]string{
		"data":               "\x17\x03\x03\x00\x05hello",
		"handshake":          "\x16\x03\x03\x00\x04\x00\x00\x00\x00",
		"alert":              "\x15\x03\x03\x00\x02\x01\x00",
		"empty":              "\x17\x03\x03\x00\x00",
		"too long":           "\x17\x03\x03\xff\xff",
		"of another sort":    "\x42\x03\x03\x00\x01x",
		"of another version": "\x17\x03\x01\x00\x05hello",
	} {
		t.Run(name, func(t *testing.T) {
			x, y := memnet.Pipe()
			_, server := pair(t, x, y, core.Handshake{Identity: ourselves}, core.Handshake{Identity: stranger})
			if _, err := io.WriteString(x, record); err != nil {
				t.Fatal(err)
			}
			x.CloseWrite()
			n, err := server.Read(make([]byte, 100))
			if n != 0 || err == nil || err == io.EOF {
				t.Errorf("read %d bytes, %v", n, err)
			}
			if again, err := server.Read(make([]byte, 100)); again != 0 || err == nil {
				t.Errorf("read %d bytes after that, %v", again, err)
			}
		})
	}
}

// TestEvil_A8_EarlyData has data come in the midst of a handshake.
func TestEvil_A8_EarlyData(t *testing.T) {
	x, y := memnet.Pipe()
	var hello bytes.Buffer
	_ = ctls.Client(&recorder{Conn: y, to: &hello}, strangerConfig()).Handshake()
	if _, err := x.Write(append(hello.Bytes(), "\x17\x03\x03\x00\x05hello"...)); err != nil {
		t.Fatal(err)
	}
	x.CloseWrite()
	if _, err := new(TLS).Secure(context.Background(), y, core.Handshake{Identity: ourselves}); err == nil {
		t.Error("accepted")
	}
}

// recorder keeps what is written, and has nothing to read.
type recorder struct {
	net.Conn
	to io.Writer
}

func (r *recorder) Write(p []byte) (int, error) { return r.to.Write(p) }
func (r *recorder) Read([]byte) (int, error)    { return 0, io.EOF }

// TestEvil_A9_EndlessHandshake has a stranger send messages that are as long as
// TLS allows.
func TestEvil_A9_EndlessHandshake(t *testing.T) {
	chain := make([][]byte, 0, 600)
	der := newForgery(t).make(t).Certificate[0]
	for range cap(chain) {
		chain = append(chain, der)
	}
	for _, weInitiate := range []bool{true, false} {
		f := newForgery(t)
		f.chain = chain
		e := meet(t, weInitiate, strangerConfig(f.make(t)), core.Handshake{})
		if !errors.Is(e.err, wire.ErrTooLarge) {
			t.Errorf("initiator %v: %v", weInitiate, e.err)
		}
	}
}

// TestEvil_A9_DeafRemote has a connection closed whose remote does not read: Close
// must not wait for it, and a Write that does must fail.
func TestEvil_A9_DeafRemote(t *testing.T) {
	for name, size := range map[string]int{"small writes": 1000, "large writes": 200_000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, y := memnet.Pipe()
				client, _ := pair(t, x, y, core.Handshake{Identity: ourselves}, core.Handshake{Identity: stranger})
				failed := make(chan error)
				var wg sync.WaitGroup
				wg.Go(func() {
					for {
						if _, err := client.Write(make([]byte, size)); err != nil {
							failed <- err
							return
						}
					}
				})
				synctest.Wait()
				client.Close()
				if err := <-failed; !errors.Is(err, net.ErrClosed) {
					t.Errorf("the write that waited: %v", err)
				}
				wg.Wait()
			})
		})
	}
	t.Run("nothing to write", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x, y := memnet.Pipe()
			client, _ := pair(t, x, y, core.Handshake{Identity: ourselves}, core.Handshake{Identity: stranger})
			fill(x)
			client.Close()
			if _, err := x.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the connection underneath: %v", err)
			}
		})
	})
	t.Run("an alert to send", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x, y := memnet.Pipe()
			client, _ := pair(t, x, y, core.Handshake{Identity: ourselves}, core.Handshake{Identity: stranger})
			fill(x)
			if _, err := io.WriteString(y, "\x17\x03\x03\x00\x20 this is no record of anybody's   "); err != nil {
				t.Fatal(err)
			}
			failed := make(chan error)
			var wg sync.WaitGroup
			wg.Go(func() {
				_, err := client.Read(make([]byte, 1))
				failed <- err
			})
			synctest.Wait()
			client.Close()
			if err := <-failed; err == nil {
				t.Error("rubbish was read")
			}
			wg.Wait()
		})
	})
}

// fill writes until there is no room. It is for bubbles.
func fill(c *memnet.Conn) {
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.Write(make([]byte, 2*memnet.DefaultBuffer))
	_ = c.SetWriteDeadline(time.Time{})
}

// TestEvil_A13_MuxersChanged has somebody in the middle replace the muxers that
// the client offers.
func TestEvil_A13_MuxersChanged(t *testing.T) {
	for name, change := range map[string][2]string{
		"another muxer": {"/yamux/1.0.0", "/mplex/6.7.0"},
		"no muxer":      {"/yamux/1.0.0", "/yamux/0.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, left := memnet.Pipe()
				right, y := memnet.Pipe()
				var wg sync.WaitGroup
				relay := func(to, from *memnet.Conn, change func([]byte) []byte) {
					buf := make([]byte, 64<<10)
					for {
						n, err := from.Read(buf)
						if n > 0 {
							_, _ = to.Write(change(buf[:n]))
						}
						if err != nil {
							to.CloseWrite()
							return
						}
					}
				}
				changed := false
				wg.Go(func() {
					relay(right, left, func(p []byte) []byte {
						changed = changed || bytes.Contains(p, []byte(change[0]))
						return bytes.ReplaceAll(p, []byte(change[0]), []byte(change[1]))
					})
				})
				wg.Go(func() { relay(left, right, func(p []byte) []byte { return p }) })
				both := []string{"/yamux/1.0.0", "/mplex/6.7.0"}
				var cerr, serr error
				wg.Go(func() {
					_, cerr = new(TLS).Secure(t.Context(), x, core.Handshake{Identity: ourselves, Initiator: true, Muxers: both})
					x.Close()
				})
				wg.Go(func() {
					_, serr = new(TLS).Secure(t.Context(), y, core.Handshake{Identity: stranger, Muxers: both})
					y.Close()
				})
				wg.Wait()
				if cerr == nil || serr == nil || !changed {
					t.Errorf("client: %v; server: %v; changed: %v", cerr, serr, changed)
				}
			})
		})
	}
}

// TestEvil_A13_OldVersion has strangers that speak TLS 1.2 at most.
func TestEvil_A13_OldVersion(t *testing.T) {
	for _, weInitiate := range []bool{true, false} {
		config := strangerConfig(newForgery(t).make(t))
		config.MaxVersion = ctls.VersionTLS12
		if e := meet(t, weInitiate, config, core.Handshake{}); e.err == nil {
			t.Errorf("initiator %v: accepted", weInitiate)
		}
	}
}

// TestNoSession has no tickets and no names: none is sent, and a name that a
// stranger sends is ignored.
func TestNoSession(t *testing.T) {
	config := strangerConfig(newForgery(t).make(t))
	cache := new(tickets)
	config.ServerName, config.ClientSessionCache = "example.com", cache
	e := meet(t, false, config, core.Handshake{})
	if e.err != nil || e.other != nil {
		t.Fatal(e.err, e.other)
	}
	if _, err := e.ours.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if cache.put {
		t.Error("the server sends tickets")
	}

	config = strangerConfig(newForgery(t).make(t))
	var name string
	config.GetConfigForClient = func(hello *ctls.ClientHelloInfo) (*ctls.Config, error) {
		name = hello.ServerName
		return nil, nil
	}
	if e := meet(t, true, config, core.Handshake{}); e.err != nil || name != "" {
		t.Errorf("our client: %v, server name %q", e.err, name)
	}
}

type tickets struct{ put bool }

func (*tickets) Get(string) (*ctls.ClientSessionState, bool) { return nil, false }
func (c *tickets) Put(string, *ctls.ClientSessionState)      { c.put = true }

func TestPlainWords(t *testing.T) {
	say := func(bytes string) error {
		x, y := memnet.Pipe()
		defer x.Close()
		defer y.Close()
		if _, err := io.WriteString(y, bytes); err != nil {
			t.Fatal(err)
		}
		y.CloseWrite()
		_, err := new(TLS).Secure(t.Context(), x, core.Handshake{Identity: coretest.NewIdentity(1), Initiator: true})
		return err
	}
	for bytes, want := range map[string]string{
		"\x13/multistream/1.0.0\n":     "does not speak TLS",
		"HTTP/1.1 400 Bad Request\r\n": "does not speak TLS",
		"\x15\x03\x03\x00\x02\x02\x2a": "does not accept our certificate",
		"\x15\x03\x03\x00\x02\x02\x30": "certificate of an authority",
		"\x15\x03\x03\x00\x02\x02\x46": "does not speak TLS 1.3",
		"\x15\x03\x03\x00\x02\x02\x74": "wants a certificate",
		"\x15\x03\x03\x00\x02\x02\x78": "ALPN",
		"\x15\x03\x03\x00\x02\x02\xfe": "remote error",
	} {
		if err := say(bytes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", bytes, err, want)
		}
	}
}
