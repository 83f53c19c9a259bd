// SPDX-License-Identifier: Apache-2.0 OR MIT

package multistream

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
)

const greeting = "\x13/multistream/1.0.0\n"

// TestGoldenDial is what a dialler puts on the wire, write by write.
func TestGoldenDial(t *testing.T) {
	cases := []struct {
		name    string
		propose []string
		remote  []string
		use     func(*testing.T, *Stream)
		writes  []string
		reads   int
		settled bool
	}{
		{
			name: "payload travels along", propose: []string{"/ipfs/ping/1.0.0"},
			use:    func(t *testing.T, s *Stream) { must[int](t)(s.Write([]byte("data"))) },
			writes: []string{greeting + "\x11/ipfs/ping/1.0.0\ndata"},
		}, {
			name: "flush, then payload", propose: []string{"/ipfs/ping/1.0.0"},
			use: func(t *testing.T, s *Stream) {
				must[any](t)(nil, s.Flush())
				must[any](t)(nil, s.Flush())
				must[int](t)(s.Write([]byte("data")))
			},
			writes: []string{greeting + "\x11/ipfs/ping/1.0.0\n", "data"},
		}, {
			name: "answer and payload in one read", propose: []string{"/ipfs/ping/1.0.0"},
			remote: []string{greeting + "\x11/ipfs/ping/1.0.0\npong"},
			use: func(t *testing.T, s *Stream) {
				must[int](t)(s.Write([]byte("ping")))
				p := make([]byte, 32)
				if n := must[int](t)(s.Read(p)); string(p[:n]) != "pong" {
					t.Errorf("read %q", p[:n])
				}
			},
			writes: []string{greeting + "\x11/ipfs/ping/1.0.0\nping"}, reads: 1, settled: true,
		}, {
			name: "read first", propose: []string{"/ipfs/id/1.0.0"},
			remote: []string{greeting, "\x0f/ipfs/id/1.0.0\n", "identity"},
			use: func(t *testing.T, s *Stream) {
				p := make([]byte, 32)
				if n := must[int](t)(s.Read(p)); string(p[:n]) != "identity" {
					t.Errorf("read %q", p[:n])
				}
			},
			writes: []string{greeting + "\x0f/ipfs/id/1.0.0\n"}, reads: 3, settled: true,
		}, {
			name: "confirm", propose: []string{"/a"}, remote: []string{greeting + "\x03/a\n"},
			use: func(t *testing.T, s *Stream) {
				must[any](t)(nil, s.Confirm())
				must[any](t)(nil, s.Confirm())
			},
			writes: []string{greeting + "\x03/a\n"}, reads: 1, settled: true,
		}, {
			name: "several", propose: []string{"/b", "/a"}, remote: []string{greeting + "\x03na\n", "\x03/a\n"},
			use:    func(t *testing.T, s *Stream) { must[int](t)(s.Write([]byte("data"))) },
			writes: []string{greeting + "\x03/b\n", "\x03/a\n", "data"}, reads: 2, settled: true,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rw := &script{pieces: c.remote}
			var s Stream
			must[string](t)(s.Dial(rw, c.propose))
			c.use(t, &s)
			if diff := cmp.Diff(c.writes, rw.writes); diff != "" {
				t.Error(diff)
			}
			if rw.reads != c.reads || s.settled() != c.settled {
				t.Errorf("%d reads, settled %v", rw.reads, s.settled())
			}
		})
	}
}

// TestGoldenAccept is what an acceptor puts on the wire, write by write.
func TestGoldenAccept(t *testing.T) {
	reply := func(t *testing.T, s *Stream) { must[int](t)(s.Write([]byte("reply"))) }
	cases := []struct {
		name    string
		remote  []string
		use     func(*testing.T, *Stream)
		writes  []string
		settled bool
	}{
		{
			name: "all in one read", remote: []string{greeting + "\x03/a\nrequest"},
			use: func(t *testing.T, s *Stream) {
				p := make([]byte, 32)
				if n := must[int](t)(s.Read(p)); string(p[:n]) != "request" {
					t.Errorf("read %q", p[:n])
				}
				reply(t, s)
			},
			writes: []string{greeting + "\x03/a\nreply"}, settled: true,
		}, {
			name: "read that waits", remote: []string{greeting + "\x03/a\n"},
			use: func(t *testing.T, s *Stream) {
				if _, err := s.Read(make([]byte, 9)); err != errWait {
					t.Errorf("error %v", err)
				}
				reply(t, s)
			},
			writes: []string{greeting + "\x03/a\n", "reply"}, settled: true,
		}, {
			name: "header alone is answered", remote: []string{greeting, "\x03/a\n"}, use: reply,
			writes: []string{greeting, "\x03/a\nreply"}, settled: true,
		}, {
			name: "half a proposal", remote: []string{greeting + "\x03/", "a\n"}, use: reply,
			writes: []string{greeting, "\x03/a\nreply"}, settled: true,
		}, {
			name: "refusals are sent at once", remote: []string{greeting + "\x03/b\n", "\x03ls\n", "\x03/a\n"}, use: reply,
			writes: []string{greeting + "\x03na\n", "\x03na\n", "\x03/a\nreply"}, settled: true,
		}, {
			name: "nothing written yet", remote: []string{greeting + "\x03/a\n"},
			use:    func(*testing.T, *Stream) {},
			writes: nil,
		}, {
			name: "confirm", remote: []string{greeting + "\x03/a\n"},
			use: func(t *testing.T, s *Stream) {
				must[any](t)(nil, s.Confirm())
				must[any](t)(nil, s.Confirm())
			},
			writes: []string{greeting + "\x03/a\n"}, settled: true,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rw := &script{pieces: c.remote}
			var s Stream
			must[string](t)(s.Accept(rw, serve("/a")))
			c.use(t, &s)
			if diff := cmp.Diff(c.writes, rw.writes); diff != "" {
				t.Error(diff)
			}
			if s.settled() != c.settled {
				t.Errorf("settled %v", s.settled())
			}
		})
	}
}

// stutter writes at most so many bytes before each of its errors.
type stutter struct {
	script
	limits []int
	wire   strings.Builder
}

func (s *stutter) Write(p []byte) (int, error) {
	if len(s.limits) == 0 {
		return s.wire.Write(p)
	}
	n := min(s.limits[0], len(p))
	s.limits = s.limits[1:]
	s.wire.Write(p[:n])
	if n == len(p) {
		return n, nil
	}
	return n, errWait
}

// TestRepeatedWrite ends the first writes at every byte: a write that is
// repeated goes on where it ended.
func TestRepeatedWrite(t *testing.T) {
	want := greeting + "\x03/a\npayload"
	for first := range len(want) {
		for second := range len(want) - first {
			rw := &stutter{limits: []int{first, second}}
			var s Stream
			must[string](t)(s.Dial(rw, []string{"/a"}))
			rest := []byte("payload")
			for len(rest) > 0 {
				n, err := s.Write(rest)
				rest = rest[n:]
				if err != nil && !errors.Is(err, errWait) {
					t.Fatal(err)
				}
			}
			if rw.wire.String() != want {
				t.Fatalf("%d, %d: %q", first, second, rw.wire.String())
			}
		}
	}
}

// TestRepeatedRead lets every read of the answer end early: a read that is
// repeated goes on where it ended.
func TestRepeatedRead(t *testing.T) {
	answer := greeting + "\x03/a\nx"
	for cut := range len(answer) {
		rw := &script{pieces: []string{answer[:cut]}}
		var s Stream
		must[string](t)(s.Dial(rw, []string{"/a"}))
		p := make([]byte, 1)
		if _, err := s.Read(p); !errors.Is(err, errWait) {
			t.Fatalf("%d: %v", cut, err)
		}
		rw.pieces = []string{answer[cut:]}
		if n, err := s.Read(p); n != 1 || p[0] != 'x' || err != nil {
			t.Fatalf("%d: %q, %v", cut, p[:n], err)
		}
	}
}

func TestLazyRefusal(t *testing.T) {
	rw := &script{pieces: []string{greeting + "\x03na\n"}}
	var s Stream
	must[string](t)(s.Dial(rw, []string{"/a"}))
	must[int](t)(s.Write([]byte("data")))
	for range 2 {
		_, err := s.Read(make([]byte, 1))
		if refused := (*core.ProtocolError)(nil); !errors.As(err, &refused) || refused.Protocols[0] != "/a" {
			t.Fatalf("error %v", err)
		}
	}
	if err := s.Confirm(); err == nil || s.in != nil {
		t.Errorf("confirm: %v", err)
	}
}

func TestEnds(t *testing.T) {
	if _, err := new(Stream).Accept(&script{end: io.EOF}, serve()); !errors.Is(err, io.EOF) {
		t.Errorf("silent remote: %v", err)
	}
	for _, sent := range []string{greeting[:1], greeting, greeting + "\x03/a"} {
		if _, err := new(Stream).Accept(&script{pieces: []string{sent}, end: io.EOF}, serve()); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %q: %v", sent, err)
		}
	}
	var s Stream
	must[string](t)(s.Dial(&script{end: io.EOF}, []string{"/a"}))
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "/a") {
		t.Errorf("dialler: %v", err)
	}
}
