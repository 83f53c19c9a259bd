// SPDX-License-Identifier: Apache-2.0 OR MIT

package multistream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
)

// TestBothSides runs dialler against acceptor with every size of read.
func TestBothSides(t *testing.T) {
	long := "/" + strings.Repeat("x", maxLine-2)
	cases := []struct {
		name    string
		propose []string
		serve   []string
		want    string // empty if none is agreed on
	}{
		{"one", []string{"/a/1"}, []string{"/a/1"}, "/a/1"},
		{"one refused", []string{"/a/1"}, []string{"/b/1"}, ""},
		{"second", []string{"/a/2", "/a/1"}, []string{"/a/1"}, "/a/1"},
		{"last of sixteen", names(16), names(16)[15:], "/p/15"},
		{"all refused", names(3), []string{"/b/1"}, ""},
		{"longest", []string{long}, []string{long}, long},
		{"longest second", []string{"/a/2", long}, []string{long}, long},
	}
	for _, c := range cases {
		for _, chunk := range []int{1, 2, 3, 7, 19, 20, 21, 64, 127, 128, 129, 4096} {
			t.Run(fmt.Sprintf("%s/%d", c.name, chunk), func(t *testing.T) {
				bothSides(t, chunk, c.propose, c.serve, c.want)
			})
		}
	}
}

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("/p/%d", i)
	}
	return list
}

func bothSides(t *testing.T, chunk int, propose, served []string, want string) {
	a, b := newPipe(chunk)
	request := bytes.Repeat([]byte("request "), 3000) // beyond one first write
	reply := bytes.Repeat([]byte("reply "), 3000)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer b.out.close()
		var s Stream
		got, err := s.Accept(b, serve(served...))
		if want == "" {
			if err == nil {
				t.Errorf("accepted %q", got)
			}
			return
		}
		if err != nil || got != want {
			t.Errorf("accepted %q, %v", got, err)
			return
		}
		if data, err := io.ReadAll(&s); err != nil || !bytes.Equal(data, request) {
			t.Errorf("request of %d bytes, %v", len(data), err)
		}
		if n, err := s.Write(reply); err != nil || n != len(reply) {
			t.Errorf("wrote %d, %v", n, err)
		}
		if !s.settled() {
			t.Error("acceptor is not settled")
		}
	})
	defer wg.Wait()
	defer a.out.close()
	var s Stream
	got, err := s.Dial(a, propose)
	if err == nil {
		var n int
		if n, err = s.Write(request); err != nil || n != len(request) {
			t.Errorf("wrote %d, %v", n, err)
		}
		a.out.close()
		var data []byte
		data, err = io.ReadAll(&s)
		if want != "" && !bytes.Equal(data, reply) {
			t.Errorf("reply of %d bytes", len(data))
		}
	}
	if want != "" {
		if err != nil || got != want || !s.settled() || s.in != nil {
			t.Errorf("dialled %q, %v, settled %v", got, err, s.settled())
		}
		return
	}
	var refused *core.ProtocolError
	if !errors.As(err, &refused) || !cmp.Equal(refused.Protocols, propose) {
		t.Errorf("error %v", err)
	}
}

// TestReadersFirst has both sides read at the same time before they write: a
// read must send what is waiting, or nobody would ever get anything.
func TestReadersFirst(t *testing.T) {
	for _, chunk := range []int{1, 128} {
		a, b := newPipe(chunk)
		var dialled, accepted Stream
		must[string](t)(dialled.Dial(a, []string{"/a"}))
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := accepted.Accept(b, serve("/a")); err != nil {
				t.Error(err)
				return
			}
			var inner sync.WaitGroup
			inner.Go(func() {
				if data, err := io.ReadAll(&accepted); err != nil || string(data) != "ping" {
					t.Errorf("%q, %v", data, err)
				}
			})
			if _, err := accepted.Write([]byte("pong")); err != nil {
				t.Error(err)
			}
			b.out.close()
			inner.Wait()
		})
		got := make([]byte, 4)
		if _, err := io.ReadFull(&dialled, got); err != nil || string(got) != "pong" {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := dialled.Write([]byte("ping")); err != nil {
			t.Error(err)
		}
		a.out.close()
		wg.Wait()
		if !dialled.settled() || !accepted.settled() {
			t.Error("not settled")
		}
	}
}

// TestConcurrent writes from one side's goroutine while another reads, both
// from the first byte on.
func TestConcurrent(t *testing.T) {
	for range 50 {
		a, b := newPipe(50)
		payload := bytes.Repeat([]byte("0123456789"), 5000)
		var dialled, accepted Stream
		must[string](t)(dialled.Dial(a, []string{"/a"}))
		var wg sync.WaitGroup
		carry := func(s *Stream, e *end) {
			wg.Go(func() {
				if _, err := s.Write(payload); err != nil {
					t.Error(err)
				}
				if err := s.Confirm(); err != nil {
					t.Error(err)
				}
				e.out.close()
			})
			wg.Go(func() {
				if data, err := io.ReadAll(s); err != nil || !bytes.Equal(data, payload) {
					t.Errorf("%d bytes, %v", len(data), err)
				}
			})
		}
		carry(&dialled, a)
		wg.Go(func() {
			if _, err := accepted.Accept(b, serve("/a")); err != nil {
				t.Error(err)
				b.out.close()
				return
			}
			carry(&accepted, b)
		})
		wg.Wait()
	}
}

// blockedWriter fails the test's assumption that a reader never waits for a
// writer that is itself waiting.
type blockedWriter struct {
	script
	entered, leave chan struct{}
}

func (b *blockedWriter) Write(p []byte) (int, error) {
	close(b.entered)
	<-b.leave
	return b.script.Write(p)
}

func TestReadDoesNotWaitForWriter(t *testing.T) {
	rw := &blockedWriter{
		script:  script{pieces: []string{header + line("/a") + "early"}},
		entered: make(chan struct{}), leave: make(chan struct{}),
	}
	var s Stream
	must[string](t)(s.Dial(rw, []string{"/a"}))
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Write([]byte("payload")); err != nil {
			t.Error(err)
		}
	})
	<-rw.entered
	got := make([]byte, 9)
	if n, err := s.Read(got); err != nil || string(got[:n]) != "early" {
		t.Errorf("%q, %v", got[:n], err)
	}
	close(rw.leave)
	wg.Wait()
	if !s.settled() {
		t.Error("not settled")
	}
}
