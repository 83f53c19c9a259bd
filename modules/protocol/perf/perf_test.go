// SPDX-License-Identifier: Apache-2.0 OR MIT

package perf

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func load(t *testing.T) core.Service {
	t.Helper()
	return coretest.MustLoad[core.Protocol](t, "perf", `{}`)
}

func TestLifecycle(t *testing.T) { coretest.TestLifecycle(t, load) }

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Protocol](t, "perf", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "unknown key", JSON: `{"block": "64KiB"}`, WantErr: `unknown field "block"`},
		{Name: "not an object", JSON: `1`, WantErr: "cannot unmarshal number"},
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

func TestMeasure(t *testing.T) {
	client, server := coretest.FakePair(t, load(t))
	for _, w := range []Work{
		{},
		{Upload: 1},
		{Download: 1},
		{Upload: blockSize, Download: 2 * blockSize},
		{Upload: 10<<20 + 1, Download: 5<<20 + 7},
		{Upload: 100_000, Download: 3, Block: 1000},
		{Upload: 100_000, Block: 1 << 20},
	} {
		r, err := Measure(t.Context(), client, server.ID(), w)
		if err != nil || r.Upload <= 0 || r.Download < 0 {
			t.Errorf("%+v: %+v, %v", w, r, err)
		}
	}
	for _, err := range server.HandlerErrors() {
		if err != nil {
			t.Errorf("handler: %v", err)
		}
	}
}

func TestServesAsTheSpecificationSays(t *testing.T) {
	client, server := coretest.FakePair(t, load(t))
	s := open(t, client, server)
	s.Write(binary.BigEndian.AppendUint64(nil, 1000))
	s.Write(make([]byte, 5000))
	s.CloseWrite()
	got, err := io.ReadAll(s)
	if err != nil || len(got) != 1000 {
		t.Errorf("%d bytes came, %v; want 1000", len(got), err)
	}
	if strings.Trim(string(got), "\x00") != "" {
		t.Error("the bytes are not zeros: they could be anybody's")
	}
}

func TestMeasureFails(t *testing.T) {
	answer := func(n int) core.StreamHandler {
		return func(s core.Stream) error {
			if _, err := io.Copy(io.Discard, s); err != nil {
				return err
			}
			_, err := s.Write(make([]byte, n))
			return err
		}
	}
	for name, tc := range map[string]struct {
		serve core.StreamHandler
		want  string
	}{
		"too little":     {answer(99), "download: 99 bytes came, not 100"},
		"too much":       {answer(101), "download: 101 bytes came, not 100"},
		"nothing":        {answer(0), "download: 0 bytes came, not 100"},
		"reset":          {func(core.Stream) error { return errors.New("no") }, "upload: stream reset by the remote"},
		"does not read":  {func(core.Stream) error { time.Sleep(time.Hour); return nil }, "i/o timeout"},
		"does not write": {func(s core.Stream) error { io.Copy(io.Discard, s); time.Sleep(time.Hour); return nil }, "i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := coretest.FakeNodes(t, 2)
				n[1].Handle(ID, tc.serve)
				_, err := Measure(t.Context(), n[0], n[1].ID(), Work{Upload: 1 << 20, Download: 100})
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%v, want %s", err, tc.want)
				}
			})
		})
	}
}

func TestMeasureEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		n[1].Handle(ID, func(s core.Stream) error {
			time.Sleep(time.Hour)
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Measure(ctx, n[0], n[1].ID(), Work{Upload: 1 << 30}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's error", err)
		}
	})
}

// TestEvil_E7_Silence has peers that stop at each stage; their streams end.
func TestEvil_E7_Silence(t *testing.T) {
	for name, begin := range map[string]func(core.Stream){
		"before the header":       func(core.Stream) {},
		"within the header":       func(s core.Stream) { s.Write([]byte{0, 0, 0}) },
		"within the upload":       func(s core.Stream) { s.Write(make([]byte, 1000)) },
		"instead of the download": func(s core.Stream) { s.Write([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}); s.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := coretest.FakePair(t, load(t))
				s := open(t, client, server)
				start := time.Now()
				begin(s)
				for len(server.HandlerErrors()) == 0 && time.Since(start) < time.Hour {
					time.Sleep(time.Second)
				}
				if d := time.Since(start); d > maxSilence+2*time.Second {
					t.Errorf("the stream lasted %v", d)
				}
				if _, err := io.Copy(io.Discard, s); !errors.Is(err, core.ErrReset) {
					t.Errorf("%v, want ErrReset", err)
				}
			})
		})
	}
}

// TestSlowIsNotSilent has a peer that sends little, but sends.
func TestSlowIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := coretest.FakePair(t, load(t))
		s := open(t, client, server)
		s.Write(make([]byte, 8))
		for range 10 {
			time.Sleep(maxSilence - 2*time.Second)
			if _, err := s.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		s.CloseWrite()
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%v, want EOF", err)
		}
	})
}

func TestEvil_E7_StreamsPerPeer(t *testing.T) {
	client, server := coretest.FakePair(t, load(t))
	for range maxStreams {
		open(t, client, server)
	}
	if _, err := open(t, client, server).Read(make([]byte, 1)); !errors.Is(err, core.ErrReset) {
		t.Errorf("one stream too many: %v, want ErrReset", err)
	}
}
