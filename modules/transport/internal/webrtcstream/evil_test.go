// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/pion/logging"
	"github.com/pion/sctp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func quiet() logging.LoggerFactory {
	f := logging.NewDefaultLoggerFactory()
	f.DefaultLogLevel = logging.LogLevelDisabled
	return f
}

// against returns a session, which is the DTLS server's, and the association of
// somebody who may do anything. The pipe keeps packets apart.
func against(t *testing.T, maxIncoming int) (*Session, *sctp.Association, *coretest.Memory) {
	t.Helper()
	coretest.VerifyNoLeaks(t)
	x, y := net.Pipe()
	memory := coretest.NewMemory(-1)
	var wg sync.WaitGroup
	var s *Session
	var err error
	wg.Go(func() {
		s, err = New(t.Context(), x, Config{
			Memory: memory, MaxIncoming: maxIncoming, ReceiveBuffer: 256 << 10, Logs: quiet(),
		})
	})
	a, err2 := sctp.ClientContext(t.Context(), sctp.WithNetConn(y), sctp.WithLoggerFactory(quiet()))
	wg.Wait()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	s.Serve()
	t.Cleanup(func() {
		var both sync.WaitGroup
		both.Go(func() { s.Close() })
		both.Go(func() { a.Close() })
		both.Wait()
		memory.Check(t)
	})
	return s, a, memory
}

// rawChannel opens a channel and sends messages on it.
func rawChannel(t *testing.T, a *sctp.Association, id uint16, open []byte, messages ...[]byte) *sctp.Stream {
	t.Helper()
	c, err := a.OpenStream(id, sctp.PayloadTypeWebRTCBinary)
	if err != nil {
		t.Fatal(err)
	}
	if open != nil {
		if _, err := c.WriteSCTP(open, sctp.PayloadTypeWebRTCDCEP); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range messages {
		if _, err := c.WriteSCTP(m, sctp.PayloadTypeWebRTCBinary); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// wantReset reads from a raw channel until the other side resets the stream with
// a code, or closes it.
func wantReset(t *testing.T, c *sctp.Stream, want core.StreamCode) {
	t.Helper()
	b := make([]byte, maxMessage)
	for {
		n, kind, err := c.ReadSCTP(b)
		if err != nil {
			t.Errorf("channel %d: %v, want a reset", c.StreamIdentifier(), err)
			return
		}
		if kind == sctp.PayloadTypeWebRTCDCEP {
			continue
		}
		if f, _, err := parseFrame(b[:n]); err == nil && f.flag == flagReset {
			if f.code != want {
				t.Errorf("channel %d: reset with code %#x, want %#x", c.StreamIdentifier(), uint32(f.code), uint32(want))
			}
			return
		}
	}
}

// canary fails the test unless a stream of an honest remote works.
func canary(t *testing.T, s *Session, a *sctp.Association, id uint16) {
	t.Helper()
	rawChannel(t, a, id, openMessage(), appendFrame(nil, frame{data: []byte("honest")}), appendFrame(nil, frame{flag: flagFIN}))
	for {
		st, err := s.AcceptStream()
		if err != nil {
			t.Fatalf("accept: %v", err)
		}
		got, err := io.ReadAll(st)
		if string(got) == "honest" && err == nil {
			st.Close()
			return
		}
	}
}

func TestEvil_Q10_FramesEndTheirStreamAlone(t *testing.T) {
	for name, messages := range map[string][][]byte{
		"oversize":         {appendFrame(nil, frame{data: make([]byte, maxFrame)})},
		"garbage":          {[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
		"length only":      {{0xff, 0xff, 0x03}},
		"group":            {{2, 0x0b, 0x0c}},
		"longest and more": {append([]byte{0x80, 0x7f}, make([]byte, maxMessage-100)...)},
	} {
		t.Run(name, func(t *testing.T) {
			s, a, _ := against(t, 10)
			c := rawChannel(t, a, 2, openMessage(), messages...)
			wantReset(t, c, core.StreamProtocolViolation)
			canary(t, s, a, 4)
		})
	}
}

func TestEvil_Q10_NotAnOpening(t *testing.T) {
	unordered := openMessage()
	unordered[1] = 0x80
	label := openMessage()
	label[9] = 200
	for name, open := range map[string][]byte{
		"unordered": unordered, "short": {channelOpen}, "label cut off": label, "acknowledged": {channelAck},
	} {
		t.Run(name, func(t *testing.T) {
			s, a, _ := against(t, 10)
			wantReset(t, rawChannel(t, a, 2, open), core.StreamProtocolViolation)
			canary(t, s, a, 4)
		})
	}
	t.Run("none", func(t *testing.T) {
		s, a, _ := against(t, 10)
		wantReset(t, rawChannel(t, a, 2, nil, appendFrame(nil, frame{data: []byte("x")})), core.StreamProtocolViolation)
		canary(t, s, a, 4)
	})
}

// Flags that make no sense where they come harm no other stream.
func TestEvil_Q10_FlagsOutOfOrder(t *testing.T) {
	fin, ack := appendFrame(nil, frame{flag: flagFIN}), appendFrame(nil, frame{flag: flagFINACK})
	stop, reset := appendFrame(nil, frame{flag: flagStopSending}), appendFrame(nil, frame{flag: flagReset})
	data := appendFrame(nil, frame{data: []byte("data")})
	for name, messages := range map[string][][]byte{
		"ack of nothing":    {ack, ack, ack, fin},
		"data after fin":    {fin, data, data},
		"fin twice":         {fin, fin, fin},
		"reset, then data":  {reset, data, fin, ack},
		"all in one":        {[]byte(strings.Join([]string{string(stop), string(fin), string(reset), string(ack)}, ""))},
		"stop after reset":  {reset, stop, reset, stop},
		"fin after stop":    {stop, stop, fin, ack},
		"fin, ack and data": {fin, ack, data, reset},
	} {
		t.Run(name, func(t *testing.T) {
			s, a, _ := against(t, 10)
			rawChannel(t, a, 2, openMessage(), messages...)
			st, err := s.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(st); len(got) > 0 && err == nil {
				t.Errorf("read %q", got)
			}
			st.Close()
			canary(t, s, a, 4)
		})
	}
}

func TestEvil_Q10_TooManyStreams(t *testing.T) {
	const limit = 5
	s, a, memory := against(t, limit)
	for i := range uint16(limit) {
		rawChannel(t, a, 2+2*i, openMessage(), appendFrame(nil, frame{data: []byte("x")}))
		if _, err := s.AcceptStream(); err != nil {
			t.Fatal(err)
		}
	}
	taken := memory.Reserved()
	wantReset(t, rawChannel(t, a, 2+2*limit, openMessage()), core.StreamLimitExceeded)
	if now := memory.Reserved(); now > taken {
		t.Errorf("a stream that is refused takes %d bytes", now-taken)
	}
	for i := range uint16(maxChannels * limit) { // without ever closing one
		rawChannel(t, a, 100+2*i, openMessage())
	}
	<-s.Done()
	var end *core.ConnError
	if _, err := s.AcceptStream(); !errors.As(err, &end) || end.Code != core.ConnProtocolViolation {
		t.Errorf("the session ends with %v", err)
	}
}

// Streams that are over take no place of others, nor memory, while their channels
// wait for the remote to close them: its answer may be lost.
func TestStreamsThatAreOver(t *testing.T) {
	const limit = 5
	s, a, memory := against(t, limit)
	before := memory.Reserved()
	for i := range uint16(3 * limit) {
		c := rawChannel(t, a, 2+2*i, openMessage(), appendFrame(nil, frame{flag: flagFIN}), appendFrame(nil, frame{flag: flagStopSending}))
		st, err := s.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("stream %d: %v", i, err)
		}
		st.Close()
		for b := make([]byte, maxMessage); err == nil; { // until this side has closed it
			_, _, err = c.ReadSCTP(b)
		}
	}
	if now := memory.Reserved(); now != before {
		t.Errorf("they take %d bytes", now-before)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.incoming != 0 || s.channels < limit {
		t.Errorf("%d streams, %d channels", s.incoming, s.channels)
	}
}

// The numbers of the other side's channels are not the remote's to use.
func TestEvil_Q10_ForeignNumber(t *testing.T) {
	s, a, _ := against(t, 10)
	rawChannel(t, a, 3, openMessage())
	<-s.Done()
	if _, err := s.OpenStream(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("open: %v", err)
	}
}

// Frames may be cut anywhere.
func TestFramesInPieces(t *testing.T) {
	s, a, _ := against(t, 10)
	all := appendFrame(nil, frame{data: []byte("one")})
	all = appendFrame(all, frame{data: []byte(strings.Repeat("two", 3000))})
	all = appendFrame(all, frame{flag: flagFIN})
	var pieces [][]byte
	for i, b := 0, all; len(b) > 0; i++ {
		n := min(len(b), []int{1, 2, 70, 1, 4000, 3}[i%6])
		pieces, b = append(pieces, b[:n]), b[n:]
	}
	rawChannel(t, a, 2, openMessage(), pieces...)
	st, err := s.AcceptStream()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(st)
	if want := "one" + strings.Repeat("two", 3000); string(got) != want || err != nil {
		t.Errorf("%d bytes arrive, %v; want %d", len(got), err, len(want))
	}
}

// Closing a stream whose channel the remote is closing at the same time is no
// error, and writing to it is one.
func TestCloseOfAClosedChannel(t *testing.T) {
	s, _, _ := against(t, 10)
	for name, end := range map[string]func(*Stream) error{
		"Close": (*Stream).Close, "CloseWrite": (*Stream).CloseWrite, "CloseRead": (*Stream).CloseRead,
	} {
		opened, err := s.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		st := opened.(*Stream)
		// As when the remote's reset has come and the pump has not seen it.
		if err := st.channel.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Write([]byte("hello")); err == nil {
			t.Errorf("%s: a write goes to a closed channel", name)
		}
		if err := end(st); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
