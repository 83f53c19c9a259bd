// SPDX-License-Identifier: Apache-2.0 OR MIT

package multistream

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func seed(f *testing.F) {
	for _, c := range malformed {
		f.Add([]byte(c.sent), uint8(7))
	}
	for _, sent := range []string{
		header + line("/a") + "payload", header + line("na"), header + line("ls") + line("/a"),
		header + line("/b") + line("/a") + "payload", "", header,
	} {
		f.Add([]byte(sent), uint8(1))
		f.Add([]byte(sent), uint8(255))
	}
}

// payload returns what must be readable behind an accepted negotiation: the
// end of what was sent, whatever the size of the reads.
func payload(t *testing.T, s *Stream, sent []byte) {
	data, err := io.ReadAll(s)
	if err != nil && !errors.Is(err, errWait) || !bytes.HasSuffix(sent, data) {
		t.Fatalf("read %q of %q: %v", data, sent, err)
	}
	if s.in != nil {
		t.Fatal("still holds an inbox")
	}
}

func FuzzAccept(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, sent []byte, chunk uint8) {
		rw := chunked(string(sent), int(chunk)+1)
		var s Stream
		got, err := s.Accept(rw, serve("/a"))
		if len(rw.writes) > maxTries+1 {
			t.Fatalf("%d writes", len(rw.writes))
		}
		if err != nil {
			if s.in != nil || !s.settled() {
				t.Fatal("failed, and not at rest")
			}
			return
		}
		if got != "/a" || !bytes.Contains(sent, []byte(line("/a"))) {
			t.Fatalf("accepted %q", got)
		}
		payload(t, &s, sent)
	})
}

func FuzzDialAnswer(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, sent []byte, chunk uint8) {
		var s Stream
		must[string](t)(s.Dial(chunked(string(sent), int(chunk)+1), []string{"/a"}))
		accepted := bytes.HasPrefix(sent, []byte(header+line("/a")))
		if err := s.Confirm(); (err == nil) != accepted {
			t.Fatalf("answer %q: %v", sent, err)
		}
		if accepted {
			payload(t, &s, sent)
		}
		var several Stream
		got, err := several.Dial(chunked(string(sent), int(chunk)+1), []string{"/b", "/a"})
		if err == nil && !bytes.Contains(sent, []byte(line(got))) {
			t.Fatalf("agreed on %q in %q", got, sent)
		}
	})
}
