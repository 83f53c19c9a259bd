// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"

	"github.com/xnode-p2p/xnode/core"
)

const echoID = "/echo/1.0.0"

type echoResult struct {
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
}

func echoCommand(flags *flag.FlagSet) body {
	size := flags.Uint64("size", 1<<20, "bytes to send and to have back")
	return func(ctx context.Context, in *invocation) error {
		s, err := in.open(ctx)
		if err != nil {
			return err
		}
		defer s.Close()
		watch := startWatch()
		stream, err := s.conn.NewStream(ctx, echoID)
		if err != nil {
			return fmt.Errorf("echo: %w", err)
		}
		defer stream.Reset(core.StreamNoError)
		if err := echoAll(stream, *size); err != nil {
			return fmt.Errorf("echo: %w", err)
		}
		in.out.emit(echoResult{OK: true, Seconds: watch.seconds()})
		return nil
	}
}

// echoAll sends size pseudo-random bytes and ends its side of the stream, while
// it checks that the same bytes, and then the end, come back.
func echoAll(stream core.Stream, size uint64) error {
	var wg sync.WaitGroup
	var sendErr error
	wg.Go(func() {
		if sendErr = sendPattern(stream, size); sendErr != nil {
			_ = stream.Reset(core.StreamNoError)
		}
	})
	checkErr := checkPattern(stream, size)
	if checkErr != nil {
		_ = stream.Reset(core.StreamNoError)
	}
	wg.Wait()
	return errors.Join(sendErr, checkErr)
}

// pattern returns a source of bytes that is the same in both directions.
func pattern() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{'e', 'c', 'h', 'o'}) }

func sendPattern(stream core.Stream, size uint64) error {
	source, buf := pattern(), make([]byte, defaultBlock)
	for left := size; left > 0; {
		part := buf[:min(left, uint64(len(buf)))]
		_, _ = source.Read(part) // never fails
		if _, err := stream.Write(part); err != nil {
			return fmt.Errorf("send after %d of %d bytes: %w", size-left, size, err)
		}
		left -= uint64(len(part))
	}
	return stream.CloseWrite()
}

func checkPattern(stream core.Stream, size uint64) error {
	source := pattern()
	want, got := make([]byte, defaultBlock), make([]byte, defaultBlock)
	for left := size; left > 0; {
		n := min(left, uint64(len(got)))
		if _, err := io.ReadFull(stream, got[:n]); err != nil {
			return fmt.Errorf("receive after %d of %d bytes: %w", size-left, size, err)
		}
		_, _ = source.Read(want[:n]) // never fails
		if !bytes.Equal(got[:n], want[:n]) {
			return fmt.Errorf("other bytes came back within the %d from %d", n, size-left)
		}
		left -= n
	}
	if n, err := stream.Read(got[:1]); n != 0 || err != io.EOF {
		return fmt.Errorf("want the end after %d bytes, have %d more and error %v", size, n, err)
	}
	return nil
}
