// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

type streamsResult struct {
	PerSecond float64 `json:"streams_per_second"`
	ClientCPU float64 `json:"client_cpu_seconds"`
	MedianMS  float64 `json:"latency_median_ms"`
	P99MS     float64 `json:"latency_p99_ms"`
	Errors    int     `json:"errors"`
}

func streamsCommand(flags *flag.FlagSet) body {
	var l load
	l.define(flags, 1000, 16)
	size := flags.Int("size", 32, "bytes to have echoed on each stream")
	return func(ctx context.Context, in *invocation) error {
		if err := l.check(); err != nil {
			return err
		}
		if *size < 0 {
			return usagef("--size %d: negative", *size)
		}
		s, err := in.open(ctx)
		if err != nil {
			return err
		}
		defer s.Close()
		payload := make([]byte, *size)
		_, _ = pattern().Read(payload) // never fails
		back := make([][]byte, l.parallel)
		for w := range back {
			back[w] = make([]byte, *size+1)
		}
		r, err := l.run(ctx, func(worker int) (time.Duration, error) {
			start := time.Now()
			err := s.echoOnce(ctx, payload, back[worker])
			return time.Since(start), err
		})
		if err != nil {
			return fmt.Errorf("streams: %w", err)
		}
		if l.first != nil {
			fmt.Fprintf(in.stderr, "streams: %d failed, the first: %v\n", r.Errors, l.first)
		}
		in.out.emit(streamsResult(r))
		return nil
	}
}

// echoOnce opens a stream, sends the payload, ends its side, reads the payload
// and the end, and closes. back has room for one byte more than the payload.
func (s *session) echoOnce(ctx context.Context, payload, back []byte) error {
	stream, err := s.conn.NewStream(ctx, echoID)
	if err != nil {
		return err
	}
	if err := exchange(stream, payload, back); err != nil {
		_ = stream.Reset(core.StreamNoError)
		return err
	}
	return stream.Close()
}

func exchange(stream core.Stream, payload, back []byte) error {
	if _, err := stream.Write(payload); err != nil {
		return err
	}
	if err := stream.CloseWrite(); err != nil {
		return err
	}
	n, err := io.ReadFull(stream, back)
	if err == nil {
		return errors.New("more came back than was sent")
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	if !bytes.Equal(back[:n], payload) {
		return fmt.Errorf("other bytes came back, %d of them for %d", n, len(payload))
	}
	return nil
}
