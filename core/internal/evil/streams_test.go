// SPDX-License-Identifier: Apache-2.0 OR MIT

package evil_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/evil"
)

func lines(texts ...string) []byte {
	var b []byte
	for _, t := range texts {
		b = append(b, evil.Line(t)...)
	}
	return b
}

func open(id uint32, body []byte) evil.Frame {
	return evil.Frame{Kind: evil.Data, Flags: evil.SYN, ID: id, Body: body}
}

func TestEvil_B4_StreamNegotiation(t *testing.T) {
	many := func(name string, n int) []byte {
		return append(evil.Line(evil.Header), bytes.Repeat(evil.Line(name), n)...)
	}
	for name, tc := range map[string]struct {
		body  []byte
		after time.Duration // until the stream is reset
	}{
		"nothing":          {[]byte{}, 10 * time.Second},
		"half a header":    {evil.Line(evil.Header)[:7], 10 * time.Second},
		"header only":      {evil.Line(evil.Header), 10 * time.Second},
		"half a line":      {append(evil.Line(evil.Header), 30, '/', 'e'), 10 * time.Second},
		"unknown":          {lines(evil.Header, "/unknown"), 10 * time.Second},
		"ls":               {lines(evil.Header, "ls"), 10 * time.Second},
		"16 unknown":       {many("/unknown", 16), 10 * time.Second},
		"17 unknown":       {many("/unknown", 17), 0},
		"17 ls":            {many("ls", 17), 0},
		"17 na":            {many("na", 17), 0},
		"10,000 unknown":   {many("/unknown", 10000), 0},
		"line of 1025":     {append(evil.Line(evil.Header), append([]byte{0x81, 8}, make([]byte, 1025)...)...), 0},
		"length of 2^63":   {append(evil.Line(evil.Header), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), 0},
		"empty line":       {append(evil.Line(evil.Header), 0), 0},
		"no newline":       {append(evil.Line(evil.Header), 3, 'a', 'b', 'c'), 0},
		"another protocol": {[]byte("GET / HTTP/1.0\r\n\r\n"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := overMemory(t, "")
				evil.Run(t, v, func(a *evil.Attacker) {
					c := a.Muxed()
					defer c.Close()
					begin := time.Now()
					c.Frames(open(1, tc.body))
					if _, err := c.Until(evil.ResetOf(1)); err != nil {
						t.Fatalf("no reset: %v", err)
					}
					if d := time.Since(begin); d != tc.after {
						t.Errorf("reset after %v, want %v", d, tc.after)
					}
					// The connection lives.
					c.Frames(open(3, lines(evil.Header, "/ipfs/id/1.0.0")))
					if _, err := c.Until(func(f evil.Frame) bool { return f.ID == 3 && len(f.Body) > 0 }); err != nil {
						t.Errorf("the connection is gone: %v", err)
					}
				}, evil.Budget{})
			})
		})
	}
}

// A remote that never answers a proposal bounds nothing of ours: what waits has
// a deadline, and Close does not wait.
func TestEvil_B4_AnswerWithheld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := overMemory(t, "")
		evil.Run(t, v, func(a *evil.Attacker) {
			c := a.Muxed()
			defer c.Close()
			var drain sync.WaitGroup
			drain.Go(c.Drain)
			defer drain.Wait()
			defer c.Close()
			synctest.Wait()
			begin := time.Now()
			_, err := v.Node.NewStream(core.NoDial(t.Context()), c.ID, "/a", "/b")
			if d := time.Since(begin); err == nil || d != 10*time.Second {
				t.Errorf("two proposals: %v after %v, want a timeout after 10s", err, d)
			}
			if e := net.Error(nil); !errors.As(err, &e) || !e.Timeout() {
				t.Errorf("%v is no timeout", err)
			}
			s, err := v.Node.NewStream(core.NoDial(t.Context()), c.ID, "/a")
			if err != nil {
				t.Fatal(err)
			}
			s.Write([]byte("hello"))
			begin = time.Now()
			s.CloseWrite()
			s.Close()
			if d := time.Since(begin); d != 0 {
				t.Errorf("closed after %v", d)
			}
		}, evil.Budget{})
	})
}

// Everything one byte at a time, up to a thousand ahead of the echo.
func TestEvil_B6_OneByteFrames(t *testing.T) {
	v := overMemory(t, "")
	defer v.Node.Handle(echoID, echo)()
	evil.Run(t, v, func(a *evil.Attacker) {
		c := a.Muxed()
		defer c.Close()
		c.Frames(open(1, []byte{}))
		sent, back := 0, 0
		for _, part := range slices.Collect(slices.Chunk(append(lines(evil.Header, echoID), make([]byte, 1<<14)...), 1000)) {
			for _, b := range part {
				c.Frames(evil.Frame{Kind: evil.Data, ID: 1, Body: []byte{b}})
			}
			sent += len(part)
			if _, err := c.Until(func(f evil.Frame) bool {
				if f.ID == 1 { // the node opens streams of its own
					back += len(f.Body)
				}
				return back == sent
			}); err != nil {
				t.Fatalf("after %d bytes of %d: %v", back, sent, err)
			}
		}
	}, evil.Budget{})
}

func TestEvil_C3_StreamFlood(t *testing.T) {
	v := overMemory(t, "")
	evil.Run(t, v, func(a *evil.Attacker) {
		c := a.Muxed()
		defer c.Close()
		const flood = 20000
		var sending sync.WaitGroup
		sending.Go(func() {
			for i := range uint32(flood) {
				c.Frames(evil.Frame{Kind: evil.WindowUpdate, Flags: evil.SYN, ID: 2*i + 1})
			}
		})
		resets := 0
		_, err := c.Until(func(f evil.Frame) bool {
			if f.Flags&evil.RST != 0 {
				resets++
			}
			return resets == flood-1000
		})
		sending.Wait()
		if err != nil {
			t.Errorf("after %d resets: %v", resets, err)
		}
		if n := v.Node.Limits().InboundStreams; n > 1000+10 {
			t.Errorf("%d inbound streams", n)
		}
	}, evil.Budget{Heap: 2 << 20})
}

// Handlers are counted while they run, not while their streams are open: neither
// resets nor new connections get anybody more of them.
func TestEvil_C4_HandlersAreBounded(t *testing.T) {
	const most = 10
	for name, reconnect := range map[string]bool{"resets": false, "connections": true} {
		t.Run(name, func(t *testing.T) {
			v := overMemory(t, `{"limits": {"streams_per_protocol_per_peer": 10}}`)
			release := make(chan struct{})
			var running, peak atomic.Int64
			remove := v.Node.Handle("/slow", func(s core.Stream) error {
				defer running.Add(-1)
				n := running.Add(1)
				for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
				}
				<-release // deaf to its stream
				return nil
			})
			defer remove()
			evil.Run(t, v, func(a *evil.Attacker) {
				key := a.Key()
				connect := func() *evil.Conn {
					c := a.Raw()
					c.Propose(evil.NoiseID)
					if err := c.Noise(key, evil.YamuxID); err != nil {
						t.Fatal(err)
					}
					return c
				}
				c := connect()
				for i := range uint32(200) {
					if reconnect && i%40 == 39 {
						c.Close()
						c = connect()
					}
					id := 2*i + 1
					if c.Frames(open(id, lines(evil.Header, "/slow"))) != nil {
						break
					}
					// Accepted or refused, or the connection was not let in.
					if _, err := c.Until(func(f evil.Frame) bool { return f.ID == id }); err != nil {
						break
					}
					c.Frames(evil.Frame{Kind: evil.WindowUpdate, Flags: evil.RST, ID: id})
				}
				c.Close()
				close(release)
			}, evil.Budget{})
			if n := peak.Load(); n == 0 || n > most {
				t.Errorf("%d handlers ran at once, limit %d", n, most)
			}
		})
	}
}

// A protocol that serves many names is one protocol.
func TestEvil_C4_NamesDoNotMultiplyLimits(t *testing.T) {
	v := overMemory(t, "")
	var running, peak atomic.Int64
	defer v.Node.Handle("/many", func(s core.Stream) error {
		defer running.Add(-1)
		peak.Store(max(peak.Load(), running.Add(1)))
		_, err := io.Copy(io.Discard, s)
		return err
	}, core.HandleAtMost(5), core.HandleMatching(func(string) bool { return true }))()
	evil.Run(t, v, func(a *evil.Attacker) {
		c := a.Muxed()
		defer c.Close()
		for i := range uint32(100) {
			id := 2*i + 1
			c.Frames(open(id, lines(evil.Header, "/name/"+string(rune('A'+i)))))
			if _, err := c.Until(func(f evil.Frame) bool { return f.ID == id }); err != nil {
				t.Fatal(err)
			}
		}
	}, evil.Budget{})
	if n := peak.Load(); n != 5 {
		t.Errorf("%d streams were served at once, want 5", n)
	}
}

func TestEvil_X10_PanicsOfHandlers(t *testing.T) {
	v := overMemory(t, "")
	defer v.Node.Handle("/panic", func(s core.Stream) error { panic("in a handler") })()
	defer v.Node.Handle("/nil", func(s core.Stream) error { return *(*error)(nil) })()
	defer v.Node.Handle("/match", echo, core.HandleMatching(func(p string) bool { panic("in a match: " + p) }))()
	defer core.On(v.Node, func(core.Connected) { panic("in a subscriber") })()
	evil.Run(t, v, func(a *evil.Attacker) {
		c := a.Muxed()
		defer c.Close()
		for i, name := range []string{"/panic", "/nil", "/panic", "/anything"} {
			id := uint32(2*i + 1)
			body := lines(evil.Header, name)
			if name == "/anything" {
				body = append(body, bytes.Repeat(evil.Line(name), 16)...)
			}
			c.Frames(open(id, body))
			if _, err := c.Until(evil.ResetOf(id)); err != nil {
				t.Errorf("%s: no reset: %v", name, err)
			}
		}
	}, evil.Budget{})
}
