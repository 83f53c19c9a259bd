// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xnode-p2p/xnode/core"
)

// stress returns a case with many streams, of which up to 100 are open at once;
// on each, messages of minSize to maxSize bytes go to the server and come back.
func stress(streams, messages, minSize, maxSize int) func(*testing.T, core.Session, core.Session) {
	return func(t *testing.T, client, server core.Session) {
		wait := serve(server, echo)
		var next atomic.Int64
		var wg sync.WaitGroup
		for range min(streams, 100) {
			wg.Go(func() {
				for i := next.Add(1); int(i) <= max(1, streams/scale); i = next.Add(1) {
					if err := echoMessages(t, client, uint64(i), messages, minSize, maxSize); err != nil {
						t.Errorf("stream %d: %v", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
		closeBoth(client, server)
		wait()
	}
}

func echoMessages(t *testing.T, client core.Session, seed uint64, messages, minSize, maxSize int) error {
	s, err := client.OpenStream(t.Context())
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(seed, 0))
	var wg sync.WaitGroup
	defer wg.Wait()
	for range messages {
		want := random(byte(r.Uint32()), minSize+r.IntN(maxSize-minSize+1))
		written := make(chan error, 1)
		wg.Go(func() {
			_, err := s.Write(want)
			written <- err
		})
		got := make([]byte, len(want))
		if _, err := io.ReadFull(s, got); err != nil {
			s.Reset(core.StreamNoError)
			return err
		}
		if err := <-written; err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			s.Reset(core.StreamNoError)
			return fmt.Errorf("a message of %d bytes comes back as another one", len(want))
		}
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return fmt.Errorf("at the end: %d bytes, %v; want EOF", n, err)
	}
	return s.Close()
}

// testOpenStress opens streams as fast as it can, with up to maxWaiting that are
// not served yet; all must be served.
func testOpenStress(t *testing.T, client, server core.Session) {
	const workers, each, maxWaiting = 5, 2000 / scale, 200
	wait := serve(server, func(s core.MuxedStream) {
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			t.Errorf("served stream: %v", err)
		}
		s.Close()
	})
	waiting := make(chan struct{}, maxWaiting)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				waiting <- struct{}{}
				s, err := client.OpenStream(t.Context())
				if err != nil {
					t.Errorf("open stream: %v", err)
					return
				}
				wg.Go(func() {
					defer func() { <-waiting }()
					s.Write([]byte{1})
					if _, err := s.Read(make([]byte, 1)); err != io.EOF {
						t.Errorf("opened stream: read: %v, want EOF", err)
					}
					s.Close()
				})
			}
		})
	}
	wg.Wait()
	closeBoth(client, server)
	wait()
}
