// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// The layout of the specification: version, type, flags, stream ID, length.
func TestHeaders(t *testing.T) {
	for want, h := range map[string]header{
		"00 00 0001 00000001 00000005": newHeader(typeData, flagSYN, 1, 5),
		"00 00 0000 01020304 fffefdfc": newHeader(typeData, 0, 0x01020304, 0xfffefdfc),
		"00 01 0002 00000002 00000000": newHeader(typeWindowUpdate, flagACK, 2, 0),
		"00 01 0004 00000003 00000000": newHeader(typeWindowUpdate, flagFIN, 3, 0),
		"00 01 0008 00000003 00001002": newHeader(typeWindowUpdate, flagRST, 3, uint32(core.StreamLimitExceeded)),
		"00 02 0001 00000000 00000007": newHeader(typePing, flagSYN, 0, 7),
		"00 02 0002 00000000 00000007": newHeader(typePing, flagACK, 0, 7),
		"00 03 0000 00000000 00000001": newHeader(typeGoAway, 0, 0, goAwayProtocolError),
	} {
		if want = strings.ReplaceAll(want, " ", ""); hex.EncodeToString(h[:]) != want {
			t.Errorf("%x, want %s", h, want)
		}
	}
}

// transcript is a connection that keeps what is written, write by write.
type transcript struct {
	net.Conn
	mu     sync.Mutex
	writes []string
}

func (c *transcript) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes = append(c.writes, hex.EncodeToString(b))
	return len(b), nil
}

func (c *transcript) SetWriteDeadline(time.Time) error { return nil }

func (c *transcript) want(t *testing.T, what string, writes ...string) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range writes {
		writes[i] = strings.ReplaceAll(w, " ", "")
	}
	if got := strings.Join(c.writes, "\n"); got != strings.Join(writes, "\n") {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, strings.Join(writes, "\n"))
	}
	c.writes = nil
}

// withTranscript runs a test on fake time with a session that does not read, and
// takes frames by hand.
func withTranscript(t *testing.T, initiator bool, f func(t *testing.T, s *session, c *transcript)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		memory, c := coretest.NewMemory(-1), new(transcript)
		s := newSession(coretest.MustLoad[*Muxer](t, "yamux", `{}`), c, initiator, memory)
		f(t, s, c)
		s.mu.Lock()
		s.conclude(new(core.ConnError))
		s.mu.Unlock()
		s.running.Wait()
		memory.Check(t)
	})
}

// take has the session receive a frame.
func take(t *testing.T, s *session, kind byte, flags uint16, id, length uint32) {
	t.Helper()
	h := newHeader(kind, flags, id, length)
	in, err := s.judge(&h)
	if err != nil {
		t.Fatal(err)
	}
	s.conn.(*transcript).Conn = &stub{data: bytes.NewReader(make([]byte, in.body))}
	if err := s.readBody(in); err != nil {
		t.Fatal(err)
	}
	if in.fresh || in.fin {
		s.completed(in)
	}
}

type stub struct {
	net.Conn
	data io.Reader
}

func (c *stub) Read(b []byte) (int, error) { return c.data.Read(b) }

// What a stream sends that this side opens, write by write. The first frame of
// a session goes with a ping.
func TestWritesOfWhoOpens(t *testing.T) {
	withTranscript(t, true, func(t *testing.T, s *session, c *transcript) {
		st, err := s.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.want(t, "opened")
		mustWrite(t, st, "hello")
		c.want(t, "written", "00 02 0001 00000000 00000001  00 00 0001 00000001 00000005"+hex.EncodeToString([]byte("hello")))
		mustWrite(t, st, "x")
		c.want(t, "written again", "00 00 0000 00000001 00000001 78")
		take(t, s, typePing, flagSYN, 0, 99)
		c.want(t, "pinged", "00 02 0002 00000000 00000063")
		take(t, s, typeData, flagACK, 1, initialWindow)
		if _, err := io.CopyN(io.Discard, st, initialWindow/2); err != nil {
			t.Fatal(err)
		}
		c.want(t, "read", "00 01 0000 00000001 00020000")
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		c.want(t, "closed", "00 01 0004 00000001 00000000")

		if st, err = s.OpenStream(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := st.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err = st.Read(make([]byte, 1))
		wantTimeout(t, "Read", err)
		c.want(t, "read first", "00 01 0001 00000003 00000000")
		if err := st.Reset(core.StreamRateLimited); err != nil {
			t.Error(err)
		}
		c.want(t, "reset", "00 01 0008 00000003 00001003")

		if st, err = s.OpenStream(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		c.want(t, "closed at once", "00 01 0005 00000005 00000000")

		if st, err = s.OpenStream(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := st.Reset(0); err != nil {
			t.Error(err)
		}
		c.want(t, "reset at once")
	})
}

// What a stream sends that the remote opened.
func TestWritesOfWhoAccepts(t *testing.T) {
	withTranscript(t, true, func(t *testing.T, s *session, c *transcript) {
		accept := func(id uint32) core.MuxedStream {
			take(t, s, typeData, flagSYN, id, 3)
			st, err := s.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(st, make([]byte, 3)); err != nil {
				t.Fatal(err)
			}
			c.want(t, "accepted and read")
			return st
		}
		st := accept(2)
		mustWrite(t, st, "yes")
		c.want(t, "answered", "00 02 0001 00000000 00000001  00 00 0002 00000002 00000003"+hex.EncodeToString([]byte("yes")))
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		c.want(t, "closed", "00 01 0004 00000002 00000000")

		a, b := accept(10), accept(12)
		time.Sleep(ackDelay)
		c.want(t, "not answered", "00 01 0002 0000000a 00000000  00 01 0002 0000000c 00000000")
		mustWrite(t, a, "a")
		c.want(t, "answered late", "00 00 0000 0000000a 00000001 61")
		if err := a.Reset(0); err != nil {
			t.Error(err)
		}
		c.want(t, "reset", "00 01 0008 0000000a 00000000")
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		c.want(t, "closed late", "00 01 0004 0000000c 00000000")

		st = accept(4)
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		c.want(t, "closed without an answer", "00 01 0002 00000004 00000000  00 01 0004 00000004 00000000")

		st = accept(6)
		if err := st.Reset(core.StreamGated); err != nil {
			t.Error(err)
		}
		c.want(t, "reset without an answer", "00 01 0008 00000006 00001008")
	})
}

// What is ready at the same time goes out in one write.
func TestWritesOfManyAreOne(t *testing.T) {
	withTranscript(t, false, func(t *testing.T, s *session, c *transcript) {
		var streams []core.MuxedStream
		for range 3 {
			streams = append(streams, open(t, s))
		}
		synctest.Wait()
		c.writes = nil
		s.takeTurn()
		for _, st := range streams {
			mustWrite(t, st, "x")
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		}
		take(t, s, typePing, flagSYN, 0, 5)
		s.giveTurn()
		c.want(t, "together", ""+
			"00 00 0000 00000002 00000001 78 00 01 0004 00000002 00000000"+
			"00 00 0000 00000004 00000001 78 00 01 0004 00000004 00000000"+
			"00 00 0000 00000006 00000001 78 00 01 0004 00000006 00000000"+
			"00 02 0002 00000000 00000005")
	})
}

// FuzzFrames has a session judge any headers. Whatever they say, what is kept of
// them is bounded and the books are right.
func FuzzFrames(f *testing.F) {
	frames := func(list ...header) (b []byte) {
		for _, h := range list {
			b = append(b, h[:]...)
		}
		return b
	}
	open := newHeader(typeWindowUpdate, flagSYN, 1, 0)
	f.Add(frames(open, newHeader(typeData, 0, 1, 5), newHeader(typeWindowUpdate, flagFIN, 1, 0)))
	f.Add(frames(open, newHeader(typeWindowUpdate, flagRST, 1, 7), newHeader(typeData, 0, 1, 9)))
	f.Add(frames(newHeader(typeData, flagACK|flagFIN, 2, 100), newHeader(typePing, flagSYN, 0, 1)))
	f.Add(frames(newHeader(typeData, flagSYN, 3, initialWindow), newHeader(typeGoAway, 0, 0, 0)))
	f.Add(frames(newHeader(typeWindowUpdate, 0, 2, maxCredit), newHeader(9, 0, 0, 0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		memory := coretest.NewMemory(6 * initialWindow)
		m := coretest.MustLoad[*Muxer](t, "yamux", `{"accept_backlog": 4, "max_incoming_streams": 5}`)
		s := newSession(m, discard{}, false, memory)
		own := openQuiet(t, s)
		s.takeTurn() // nothing is written
		for len(data) >= headerSize {
			h := header(data[:headerSize])
			data = data[headerSize:]
			s.mu.Lock()
			in, err := s.received(&h)
			s.mu.Unlock()
			if err != nil {
				break
			}
			if in.body != int(h.body()) || in.body > int(m.MaxWindow) {
				t.Fatalf("%x: a body of %d bytes", h, in.body)
			}
			if in.fin || in.fresh {
				s.completed(in)
			}
			if n := len(s.streams); n > 6+maxLingering || s.backlog.len > 4 || s.inbound > 5 {
				t.Fatalf("%d streams, %d wait, %d of the remote are open", n, s.backlog.len, s.inbound)
			}
			for id, st := range s.streams {
				if st.window > st.size || st.id != id {
					t.Fatalf("stream %d has the ID %d and a window of %d of %d bytes", id, st.id, st.window, st.size)
				}
			}
		}
		if s.unaccepted < 0 || s.unaccepted > 1 || s.unaccepted == 1 && own.acked {
			t.Errorf("%d streams are not accepted", s.unaccepted)
		}
		s.conclude(new(core.ConnError))
		memory.Check(t)
	})
}
