// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// SessionOptions leave out cases of [TestMuxer], [TestMuxedTransport] and
// [TestSession], or add some.
type SessionOptions struct {
	// StreamCodes: the code of a reset arrives at the other side.
	StreamCodes bool
	// ConnCodes: the code of CloseWithCode arrives at the other side.
	ConnCodes bool
	// NoBackpressure: writes do not wait for a reader that does not read.
	NoBackpressure bool
}

// TestSession tests what every session must do, for transports whose connections
// [TestMuxedTransport] cannot make. open returns both ends of a new session,
// which last until the test ends.
func TestSession(t *testing.T, open func(t *testing.T) (client, server core.Session), options SessionOptions) {
	s := &sessionSuite{open: open, options: options}
	s.run(t)
}

// sessionSuite tests sessions, of whatever they are made.
type sessionSuite struct {
	// open returns both ends of a new session, which last until the test ends.
	open    func(t *testing.T) (client, server core.Session)
	options SessionOptions
}

func (s *sessionSuite) run(t *testing.T) {
	for _, c := range []struct {
		name string
		skip bool
		test func(t *testing.T, client, server core.Session)
	}{
		{"HalfClose", false, testHalfClose},
		{"HalfCloseLargeAnswer", false, testHalfCloseLargeAnswer},
		{"BothSidesOpen", false, testBothSidesOpen},
		{"ManyStreamsAtOnce", false, testManyStreamsAtOnce},
		{"LeftOpen", false, testLeftOpen},
		{"CloseDelivers", false, testStreamCloseDelivers},
		{"CloseRead", false, testCloseRead},
		{"WriteAfterClose", false, testWriteAfterClose},
		{"Reset", false, s.testReset},
		{"ResetEndsReadAndWrite", s.options.NoBackpressure, testResetEndsReadAndWrite},
		{"ReadDeadline", false, testStreamReadDeadline},
		{"WriteDeadline", s.options.NoBackpressure, testStreamWriteDeadline},
		{"Backpressure", s.options.NoBackpressure, testBackpressure},
		{"OpenCancelled", false, testOpenCancelled},
		{"SessionClose", false, testSessionClose},
		{"SessionCloseEndsEverything", s.options.NoBackpressure, testSessionCloseEndsEverything},
		{"SessionCloseTwice", false, testSessionCloseTwice},
		{"SessionCloseWithCode", !s.options.ConnCodes, testSessionCloseWithCode},
		{"Stress1Stream1Msg", false, stress(1, 1, 100, 100)},
		{"Stress1Stream100Msg", false, stress(1, 100, 100, 100)},
		{"Stress100Stream100Msg", false, stress(100, 100, 100, 100)},
		{"Stress1000Stream10Msg", false, stress(1000, 10, 100, 100)},
		{"Stress100Stream100Msg10MB", false, stress(100, 100, 100, 2000)},
		{"Stress4StreamLarge", false, stress(4, 4, 1<<20, 1<<20)},
		{"OpenStress", false, testOpenStress},
	} {
		if c.skip {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			VerifyNoLeaks(t)
			client, server := s.open(t)
			c.test(t, client, server)
		})
	}
	t.Run("Stress10Conn10Stream50Msg", func(t *testing.T) {
		VerifyNoLeaks(t)
		var wg sync.WaitGroup
		for range 10 {
			client, server := s.open(t)
			wg.Go(func() { stress(10, 50, 100, 100)(t, client, server) })
		}
		wg.Wait()
	})
}

// closeBoth ends a session from both sides.
func closeBoth(client, server core.Session) {
	var wg sync.WaitGroup
	wg.Go(func() { client.Close() })
	wg.Go(func() { server.Close() })
	wg.Wait()
}

// serve accepts streams and calls f for each until the session ends. The returned
// function waits for all of that.
func serve(s core.Session, f func(core.MuxedStream)) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			st, err := s.AcceptStream()
			if err != nil {
				return
			}
			wg.Go(func() { f(st) })
		}
	})
	return wg.Wait
}

// echo sends back what comes, and ends when that ends.
func echo(s core.MuxedStream) {
	if _, err := io.Copy(s, s); err != nil {
		s.Reset(core.StreamNoError)
		return
	}
	s.Close()
}

// openStream opens a stream that is reset when the test ends.
func openStream(t *testing.T, s core.Session) core.MuxedStream {
	t.Helper()
	st, err := s.OpenStream(t.Context())
	if err != nil {
		t.Fatalf("open stream: %v", err)
	}
	t.Cleanup(func() { st.Reset(core.StreamNoError) })
	return st
}

// connectStream returns both ends of a stream. As the remote of some muxers
// learns of a stream with its first bytes only, a few are sent first.
func connectStream(t *testing.T, client, server core.Session) (opened, accepted core.MuxedStream) {
	t.Helper()
	opened = openStream(t, client)
	if _, err := opened.Write([]byte("hi")); err != nil {
		t.Fatalf("write: %v", err)
	}
	accepted, err := server.AcceptStream()
	if err != nil {
		t.Fatalf("accept stream: %v", err)
	}
	t.Cleanup(func() { accepted.Reset(core.StreamNoError) })
	if _, err := io.ReadFull(accepted, make([]byte, 2)); err != nil {
		t.Fatalf("read: %v", err)
	}
	return opened, accepted
}

// echoed sends b and fails unless it comes back, and nothing else.
func echoed(s core.MuxedStream, b []byte) error {
	var wg sync.WaitGroup
	var writeErr error
	wg.Go(func() {
		if _, writeErr = s.Write(b); writeErr == nil {
			writeErr = s.CloseWrite()
		}
	})
	got, err := io.ReadAll(s)
	wg.Wait()
	if err != nil || writeErr != nil {
		return errors.Join(err, writeErr)
	}
	if !bytes.Equal(got, b) {
		return fmt.Errorf("%d bytes came back, of %d, or other ones", len(got), len(b))
	}
	return s.Close()
}

func testHalfClose(t *testing.T, client, server core.Session) {
	const question, answer = "this is some data", "and this is what I say to it"
	wait := serve(server, func(s core.MuxedStream) {
		got, err := io.ReadAll(s)
		if err != nil || string(got) != question {
			t.Errorf("the server reads %q, %v", got, err)
		}
		io.WriteString(s, answer)
		s.Close()
	})
	s := openStream(t, client)
	io.WriteString(s, question)
	if err := s.CloseWrite(); err != nil {
		t.Error(err)
	}
	got, err := io.ReadAll(s)
	if err != nil || string(got) != answer {
		t.Errorf("the client reads %q, %v", got, err)
	}
	if _, err := s.Write([]byte("more")); err == nil {
		t.Error("wrote after CloseWrite")
	}
	closeBoth(client, server)
	wait()
}

// testHalfCloseLargeAnswer has more come on a stream whose sending side is closed
// than any window lets through at first.
func testHalfCloseLargeAnswer(t *testing.T, client, server core.Session) {
	want := random(3, 20<<20/scale)
	wait := serve(server, func(s core.MuxedStream) {
		io.Copy(io.Discard, s)
		if n, err := s.Write(want); err != nil {
			t.Errorf("wrote %d of %d bytes: %v", n, len(want), err)
		}
		s.Close()
	})
	s := openStream(t, client)
	io.WriteString(s, "much, please")
	s.CloseWrite()
	// A stall is an error, not a test without end.
	s.SetReadDeadline(time.Now().Add(stalled))
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes arrived (%v)", len(got), len(want), err)
	}
	closeBoth(client, server)
	wait()
}

func testBothSidesOpen(t *testing.T, client, server core.Session) {
	waitClient, waitServer := serve(client, echo), serve(server, echo)
	var wg sync.WaitGroup
	for i := range 20 {
		for name, side := range map[string]core.Session{"client": client, "server": server} {
			wg.Go(func() {
				s, err := side.OpenStream(t.Context())
				if err == nil {
					err = echoed(s, fmt.Appendf(nil, "%s %d", name, i))
				}
				if err != nil {
					t.Errorf("%s, stream %d: %v", name, i, err)
				}
			})
		}
	}
	wg.Wait()
	closeBoth(client, server)
	waitClient()
	waitServer()
}

func testManyStreamsAtOnce(t *testing.T, client, server core.Session) {
	wait := serve(server, echo)
	const streams = 128
	var open []core.MuxedStream
	for i := range streams {
		s := openStream(t, client)
		fmt.Fprintf(s, "%5d", i)
		open = append(open, s)
	}
	for i, s := range open {
		got := make([]byte, 5)
		if _, err := io.ReadFull(s, got); err != nil || string(got) != fmt.Sprintf("%5d", i) {
			t.Errorf("stream %d: %q, %v", i, got, err)
		}
	}
	for _, s := range open {
		s.CloseWrite()
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read: %v, want EOF", err)
		}
	}
	closeBoth(client, server)
	wait()
}

// testLeftOpen has streams that nobody accepts for a while.
func testLeftOpen(t *testing.T, client, server core.Session) {
	var left []core.MuxedStream
	for range 10 {
		s := openStream(t, client)
		io.WriteString(s, "wait")
		left = append(left, s)
	}
	wait := serve(server, echo)
	for i, s := range left {
		got := make([]byte, 4)
		if _, err := io.ReadFull(s, got); err != nil || string(got) != "wait" {
			t.Errorf("stream %d: %q, %v", i, got, err)
		}
	}
	closeBoth(client, server)
	wait()
}

func testOpenCancelled(t *testing.T, client, server core.Session) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := client.OpenStream(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("open with a cancelled context: %v, %v", s, err)
	}
	a, b := connectStream(t, client, server) // no harm is done
	exchange(t, a, b)
}

func testSessionClose(t *testing.T, client, server core.Session) {
	a, b := connectStream(t, client, server)
	if err := client.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	<-client.Done()
	<-server.Done()
	for name, s := range map[string]core.Session{"client": client, "server": server} {
		if _, err := s.AcceptStream(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: accept stream: %v, want net.ErrClosed", name, err)
		}
		if _, err := s.OpenStream(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: open stream: %v, want net.ErrClosed", name, err)
		}
	}
	for name, s := range map[string]core.MuxedStream{"client": a, "server": b} {
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: read: %v, want net.ErrClosed", name, err)
		}
		if _, err := s.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: write: %v, want net.ErrClosed", name, err)
		}
	}
}

func testSessionCloseTwice(t *testing.T, client, server core.Session) {
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { client.Close() })
		wg.Go(func() { server.Close() })
		wg.Go(func() { server.CloseWithCode(core.ConnShutdown) })
	}
	wg.Wait()
	<-client.Done()
	<-server.Done()
}

func testSessionCloseWithCode(t *testing.T, client, server core.Session) {
	a, b := connectStream(t, client, server)
	client.CloseWithCode(core.ConnGated)
	<-server.Done()
	check := func(what string, err error, remote bool) {
		ce, ok := errors.AsType[*core.ConnError](err)
		if !ok || ce.Code != core.ConnGated || ce.Remote != remote {
			t.Errorf("%s: %v, want a ConnError with code %#x, remote %v", what, err, uint32(core.ConnGated), remote)
		}
	}
	_, err := server.AcceptStream()
	check("accept on the server", err, true)
	_, err = client.AcceptStream()
	check("accept on the client", err, false)
	_, err = b.Read(make([]byte, 1))
	check("read on the server", err, true)
	_, err = a.Read(make([]byte, 1))
	check("read on the client", err, false)
}
