// SPDX-License-Identifier: Apache-2.0 OR MIT

package ping

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func load(t *testing.T) core.Service {
	t.Helper()
	return coretest.MustLoad[core.Protocol](t, "ping", `{}`)
}

func TestLifecycle(t *testing.T) { coretest.TestLifecycle(t, load) }

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Protocol](t, "ping", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "unknown key", JSON: `{"interval": "1s"}`, WantErr: `unknown field "interval"`},
		{Name: "not an object", JSON: `true`, WantErr: "cannot unmarshal bool"},
	})
}

func open(t *testing.T, client, server *coretest.FakeNode) core.Stream {
	t.Helper()
	s, err := client.NewStream(t.Context(), server.ID(), ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Reset(core.StreamNoError) })
	return s
}

func TestPing(t *testing.T) {
	client, server := coretest.FakePair(t, load(t))
	pings := 0
	for took, err := range Ping(t.Context(), client, server.ID()) {
		if err != nil || took <= 0 {
			t.Errorf("ping %d: %v, %v", pings, took, err)
		}
		if pings++; pings == 10 {
			break
		}
	}
	if pings != 10 {
		t.Errorf("%d pings", pings)
	}
	for _, err := range server.HandlerErrors() {
		if err != nil {
			t.Errorf("handler: %v", err)
		}
	}
}

func TestPingsOverALimitedConn(t *testing.T) {
	client, server := coretest.FakePair(t, load(t))
	if _, err := client.ConnectLimited(t.Context(), server.ID()); err != nil {
		t.Fatal(err)
	}
	for _, err := range Ping(t.Context(), client, server.ID()) {
		if err != nil {
			t.Error(err)
		}
		break
	}
}

// message takes one message and leaves it at that.
func message(s core.Stream) error {
	_, err := io.ReadFull(s, make([]byte, size))
	return err
}

func TestPingFails(t *testing.T) {
	for name, tc := range map[string]struct {
		serve core.StreamHandler
		want  error
	}{
		"another answer": {func(s core.Stream) error {
			_, err := s.Write(make([]byte, size))
			return errors.Join(err, second(io.Copy(io.Discard, s)))
		}, ErrMismatch},
		"half an answer": {func(s core.Stream) error {
			_, err := s.Write(make([]byte, size/2))
			return errors.Join(err, message(s))
		}, io.ErrUnexpectedEOF},
		"no answer": {message, io.EOF},
		"reset":     {func(s core.Stream) error { return errors.Join(message(s), io.EOF) }, core.ErrReset},
		"silence":   {func(s core.Stream) error { return second(io.Copy(io.Discard, s)) }, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := coretest.FakeNodes(t, 2)
				n[1].Handle(ID, tc.serve)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				values := 0
				for _, err := range Ping(ctx, n[0], n[1].ID()) {
					values++
					if !errors.Is(err, tc.want) {
						t.Errorf("%v, want %v", err, tc.want)
					}
				}
				if values != 1 {
					t.Errorf("%d values", values)
				}
			})
		})
	}
}

func second(_ int64, err error) error { return err }

func TestNobodyAnswers(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	for _, err := range Ping(t.Context(), n[0], n[1].ID()) {
		if _, ok := errors.AsType[*core.ProtocolError](err); !ok {
			t.Errorf("%v, want a ProtocolError", err)
		}
	}
}

func TestEvil_E7_MoreThan32Bytes(t *testing.T) {
	client, server := coretest.FakePair(t, load(t))
	s := open(t, client, server)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 6) // three messages
	s.Write(sent[:80])
	got := make([]byte, 64)
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, sent[:64]) {
		t.Errorf("the first two: %q, %v", got, err)
	}
	s.Write(sent[80:])
	if _, err := io.ReadFull(s, got[:32]); err != nil || !bytes.Equal(got[:32], sent[64:]) {
		t.Errorf("the third: %q, %v", got[:32], err)
	}
	s.Write(sent[:10]) // and a part of one
	s.CloseWrite()
	if _, err := s.Read(got); !errors.Is(err, core.ErrReset) {
		t.Errorf("after part of a message: %v, want ErrReset", err)
	}
}

func TestEvil_E7_TwoStreamsPerPeer(t *testing.T) {
	client, server := coretest.FakePair(t, load(t))
	for range maxStreams {
		s := open(t, client, server)
		s.Write(make([]byte, size))
		if _, err := io.ReadFull(s, make([]byte, size)); err != nil {
			t.Error(err)
		}
	}
	s := open(t, client, server)
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, core.ErrReset) {
		t.Errorf("one stream too many: %v, want ErrReset", err)
	}
}

// TestEvil_E7_NeverClosed ends a stream that is silent, and not one that is not.
func TestEvil_E7_NeverClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := coretest.FakePair(t, load(t))
		s := open(t, client, server)
		message := make([]byte, size)
		for range 5 {
			time.Sleep(maxSilence - time.Second)
			s.Write(message)
			if _, err := io.ReadFull(s, message); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		if _, err := s.Read(message); !errors.Is(err, core.ErrReset) || time.Since(start) != maxSilence {
			t.Errorf("%v after %v, want ErrReset after %v", err, time.Since(start), maxSilence)
		}
	})
}

// TestEvil_E7_Flood sends without reading the answers: the handler waits, for a
// while, and takes no more.
func TestEvil_E7_Flood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := coretest.FakePair(t, load(t))
		s := open(t, client, server)
		start, sent := time.Now(), 0
		for {
			n, err := s.Write(make([]byte, 4096))
			sent += n
			if err != nil {
				if !errors.Is(err, core.ErrReset) || time.Since(start) != maxSilence {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				break
			}
		}
		if sent > 1<<20 { // what both directions of a stream hold
			t.Errorf("%d bytes were taken", sent)
		}
	})
}
