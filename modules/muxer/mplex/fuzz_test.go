// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// FuzzReadFrame reads a frame, which must be in its bounds and, written again,
// give the same bytes.
func FuzzReadFrame(f *testing.F) {
	for _, b := range [][]byte{
		{0, 0}, []byte("\x10\x00\x12\x05hello"), bytesOf(flagMessageReceiver, 1<<60-1, maxMessage),
		bytesOf(7, 1, 1), {0x80, 0x00}, bytesOf(flagCloseInitiator, 3, 1),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		head, err := readFrame(r)
		if err != nil {
			if err == io.EOF && len(b) > 0 {
				t.Errorf("% x: taken for the end", b)
			}
			return
		}
		if head.length > maxMessage || head.length < 0 || head.flag > flagResetInitiator || head.id > 1<<60-1 {
			t.Errorf("% x: %+v", b, head)
		}
		if again := appendFrame(nil, head); !bytes.Equal(again, b[:len(b)-r.Len()]) {
			t.Errorf("% x: read as %+v, written as % x", b, head, again)
		}
	})
}

// FuzzSession gives a session any bytes. It ends, and has taken no more memory
// than it was given, and gives all of it back.
func FuzzSession(f *testing.F) {
	open := append(bytesOf(flagNewStream, 0, 0), bytesOf(flagMessageInitiator, 0, 3)...)
	f.Add(append(open, "abc\x04\x00\x06\x00"...))
	f.Add(append(bytesOf(flagNewStream, 9, 2), "hi\x4a\x01x\x4e\x00"...))
	f.Add([]byte("\x01\x00\x03\x00\x05\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		memory := coretest.NewMemory(1 << 20)
		conn, evil := memnet.Pipe()
		m := &Muxer{MaxIncomingStreams: 4, AcceptBacklog: 2}
		if err := m.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		s := m.mux(conn, memory)
		st, err := s.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, evil) })
		wg.Go(func() { _, _ = io.Copy(st, st) })
		wg.Go(func() {
			for {
				st, err := s.AcceptStream()
				if err != nil {
					return
				}
				wg.Go(func() {
					_, _ = io.Copy(st, st)
					_ = st.Close()
				})
			}
		})
		_, _ = evil.Write(b)
		_ = evil.Close()
		<-s.Done()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		memory.Check(t)
	})
}
