// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// TestMuxer tests what every muxer must do.
func TestMuxer(t *testing.T, m core.Muxer, options ...SessionOptions) {
	if m.Protocol() == "" || m.Protocol()[0] != '/' {
		t.Errorf("protocol %q: want an ID with a slash in front", m.Protocol())
	}
	s := &sessionSuite{open: func(t *testing.T) (client, server core.Session) { return mux(t, m) }}
	if len(options) > 0 {
		s.options = options[0]
	}
	s.run(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, core.Muxer)
	}{
		{"ConnLost", testConnLost},
		{"MemoryRefused", testMemoryRefused},
		{"MemoryTight", testMemoryTight},
		{"MemoryOfStreams", testMemoryOfStreams},
		{"Evil_C5_Garbage", testMuxGarbage},
		{"Evil_C5_Truncated", testMuxTruncated},
	} {
		t.Run(c.name, func(t *testing.T) {
			VerifyNoLeaks(t)
			c.test(t, m)
		})
	}
}

// mux makes both ends of a session, which last until the test ends; by then, all
// memory must have been given back.
func mux(t *testing.T, m core.Muxer) (client, server core.Session) {
	t.Helper()
	a, b := memnet.Pipe()
	return muxOn(t, m, a, true, NewMemory(-1)), muxOn(t, m, b, false, NewMemory(-1))
}

func muxOn(t *testing.T, m core.Muxer, conn net.Conn, initiator bool, memory *Memory) core.Session {
	t.Helper()
	s, err := m.Mux(conn, initiator, memory)
	if err != nil {
		t.Fatalf("mux: %v", err)
	}
	t.Cleanup(func() {
		s.Close()
		memory.Check(t)
	})
	return s
}

// testConnLost ends the connection under a session.
func testConnLost(t *testing.T, m core.Muxer) {
	conn, remote := memnet.Pipe()
	client := muxOn(t, m, conn, true, NewMemory(-1))
	server := muxOn(t, m, remote, false, NewMemory(-1))
	a, b := connectStream(t, client, server)
	lost := errors.New("the cable is cut")
	conn.Abort(lost, lost)
	for name, s := range map[string]core.Session{"client": client, "server": server} {
		if _, err := s.AcceptStream(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: accept stream: %v, want net.ErrClosed", name, err)
		}
		<-s.Done()
	}
	for name, s := range map[string]core.MuxedStream{"client": a, "server": b} {
		if _, err := s.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("%s: read: %v, want an error other than EOF", name, err)
		}
	}
}

// testMemoryRefused has a budget of nothing: there is no session, or one
// without streams; what there is can be closed.
func testMemoryRefused(t *testing.T, m core.Muxer) {
	conn, remote := memnet.Pipe()
	defer conn.Close()
	server := muxOn(t, m, remote, false, NewMemory(-1))
	memory := NewMemory(0)
	client, err := m.Mux(conn, true, memory)
	if err == nil {
		if s, err := client.OpenStream(t.Context()); err == nil {
			s.Reset(core.StreamNoError)
			if memory.Peak() == 0 {
				t.Error("a stream was opened that took no memory")
			}
		} else if _, ok := errors.AsType[*core.LimitError](err); !ok {
			t.Errorf("open stream: %v, want a LimitError", err)
		}
		client.Close()
	} else if _, ok := errors.AsType[*core.LimitError](err); !ok {
		t.Errorf("mux: %v, want a LimitError", err)
	}
	memory.Check(t)
	server.Close()
}

// testMemoryTight has a budget on the server for a few streams of many that the
// client opens: whatever becomes of them, nothing is left of any.
func testMemoryTight(t *testing.T, m core.Muxer) {
	conn, remote := memnet.Pipe()
	client := muxOn(t, m, conn, true, NewMemory(-1))
	server := muxOn(t, m, remote, false, NewMemory(2<<20))
	wait := serve(server, echo)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			s, err := client.OpenStream(t.Context())
			if err != nil {
				return
			}
			defer s.Reset(core.StreamNoError)
			_ = echoed(s, random(byte(i), 10_000)) // or not: there is no room for all
		})
	}
	wg.Wait()
	closeBoth(client, server)
	wait()
}

// testMemoryOfStreams has what streams buffer charged to their own accounts, if
// they have some, and given back when both sides are done with them, however
// they ended, while the session goes on.
func testMemoryOfStreams(t *testing.T, m core.Muxer) {
	conn, remote := memnet.Pipe()
	memories := [2]*Memory{NewMemory(-1), NewMemory(-1)}
	client := muxOn(t, m, conn, true, memories[0])
	server := muxOn(t, m, remote, false, memories[1])
	idle := [2]int{memories[0].Reserved(), memories[1].Reserved()}
	for name, end := range map[string]func(a, b core.MuxedStream){
		"closed": func(a, b core.MuxedStream) { a.Close(); b.Close() },
		"closed side by side": func(a, b core.MuxedStream) {
			for _, s := range []core.MuxedStream{a, b, a, b} {
				s.CloseWrite()
				s.CloseRead()
			}
		},
		"reset here":  func(a, b core.MuxedStream) { a.Reset(core.StreamNoError); b.Close() },
		"reset there": func(a, b core.MuxedStream) { b.Reset(core.StreamNoError); a.Close() },
		"reset by both": func(a, b core.MuxedStream) {
			a.Reset(core.StreamNoError)
			b.Reset(core.StreamNoError)
		},
	} {
		a, b := connectStream(t, client, server)
		exchange(t, a, b)
		var accounts [2]*StreamMemory
		for i, s := range []core.MuxedStream{a, b} {
			accounted, ok := s.(core.Accounted)
			if !ok {
				continue
			}
			if accounts[i], ok = accounted.Memory().(*StreamMemory); !ok || accounts[i].memory != memories[i] {
				t.Fatalf("%s: the account is a %T, and not one of those opened for the session's streams", name, accounted.Memory())
			}
			if all, one := memories[i].Reserved()-idle[i], accounts[i].Reserved(); all != one {
				t.Errorf("%s: the only stream takes %d bytes and its account has %d", name, all, one)
			}
		}
		if _, err := a.Write(random(1, 10_000)); err != nil { // which nobody reads
			t.Errorf("%s: write: %v", name, err)
		}
		end(a, b)
		for i, account := range accounts {
			if account == nil {
				continue
			}
			<-account.Ended()
			if got := memories[i].Reserved(); got != idle[i] {
				t.Errorf("%s: the session has %d bytes after the stream, %d before it", name, got, idle[i])
			}
		}
	}
	closeBoth(client, server)
}

// testMuxGarbage sends what no muxer sends. The session ends, and nothing else.
func testMuxGarbage(t *testing.T, m core.Muxer) {
	for seed := range byte(20) {
		conn, evil := memnet.Pipe()
		s := muxOn(t, m, conn, seed%2 == 0, NewMemory(-1))
		wait := serve(s, echo)
		var wg sync.WaitGroup
		wg.Go(func() { io.Copy(io.Discard, evil) })
		evil.Write(random(seed, 4096))
		evil.Close()
		<-s.Done()
		s.Close()
		wait()
		wg.Wait()
	}
}

// testMuxTruncated ends the connection after each byte of what a session sends:
// the other one must never take that for the end of a stream.
func testMuxTruncated(t *testing.T, m core.Muxer) {
	recorded := recordStream(t, m)
	for n := range len(recorded) {
		conn, evil := memnet.Pipe()
		s := muxOn(t, m, conn, false, NewMemory(-1))
		var wg sync.WaitGroup
		wg.Go(func() { io.Copy(io.Discard, evil) })
		wait := serve(s, func(st core.MuxedStream) {
			if got, err := io.ReadAll(st); err == nil && len(got) < len(recordedMessage) {
				t.Errorf("after %d bytes, a stream ends with %q", n, got)
			}
			st.Close()
		})
		evil.Write(recorded[:n])
		evil.Close()
		<-s.Done()
		s.Close()
		wait()
		wg.Wait()
	}
}

const recordedMessage = "a message and its end"

// recordStream returns the bytes with which a client opens a stream, sends a message
// on it and closes it.
func recordStream(t *testing.T, m core.Muxer) []byte {
	t.Helper()
	conn, tap := memnet.Pipe()
	forward, remote := memnet.Pipe()
	var recorded []byte
	var wg sync.WaitGroup
	wg.Go(func() { recorded = tee(forward, tap) })
	wg.Go(func() { tee(tap, forward) })
	client := muxOn(t, m, conn, true, NewMemory(-1))
	server := muxOn(t, m, remote, false, NewMemory(-1))
	s := openStream(t, client)
	io.WriteString(s, recordedMessage)
	s.CloseWrite()
	accepted, err := server.AcceptStream()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(accepted); err != nil || string(got) != recordedMessage {
		t.Fatalf("%q, %v", got, err)
	}
	closeBoth(client, server)
	wg.Wait()
	return recorded[:min(len(recorded), 200)]
}

// tee copies until the end, which it passes on, and returns what it copied.
func tee(to, from *memnet.Conn) (all []byte) {
	p := make([]byte, 4096)
	for {
		n, err := from.Read(p)
		all = append(all, p[:n]...)
		if _, werr := to.Write(p[:n]); err != nil || werr != nil {
			to.CloseWrite()
			return all
		}
	}
}
