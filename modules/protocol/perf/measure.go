// SPDX-License-Identifier: Apache-2.0 OR MIT

package perf

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Work is what [Measure] moves.
type Work struct {
	// Upload and Download are how much goes to the peer and comes from it,
	// in bytes.
	Upload, Download uint64
	// Block is how much one write of the upload has, in bytes, up to 65536.
	// Default: 65536.
	Block int
}

// Result is what [Measure] finds.
type Result struct {
	// Upload is how long the upload took: until the peer's answer begins, for
	// by then it has taken every byte.
	Upload time.Duration
	// Download is how long the rest took.
	Download time.Duration
}

// Measure uploads to p and then downloads from it, on one stream. The time to
// open the stream does not count.
func Measure(ctx context.Context, n core.Streams, p peer.ID, w Work) (Result, error) {
	s, err := n.NewStream(ctx, p, ID)
	if err != nil {
		return Result{}, err
	}
	defer context.AfterFunc(ctx, func() { s.Reset(core.StreamNoError) })()
	r, err := measure(s, w)
	if err != nil {
		s.Reset(core.StreamNoError)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return Result{}, err
	}
	return r, s.Close()
}

func measure(s core.Stream, w Work) (Result, error) {
	block := uint64(blockSize)
	if w.Block > 0 && w.Block < blockSize {
		block = uint64(w.Block)
	}
	start := time.Now()
	if _, err := s.Write(binary.BigEndian.AppendUint64(nil, w.Download)); err != nil {
		return Result{}, fmt.Errorf("upload: %w", err)
	}
	if err := send(s, w.Upload, block); err != nil {
		return Result{}, fmt.Errorf("upload: %w", err)
	}
	if err := s.CloseWrite(); err != nil {
		return Result{}, fmt.Errorf("upload: %w", err)
	}
	// The first byte of the answer, or its end if there is none.
	got, err := s.Read(make([]byte, 1))
	if err != nil && err != io.EOF {
		return Result{}, fmt.Errorf("upload: %w", err)
	}
	uploaded := time.Now()
	n := uint64(got)
	if err == nil {
		rest, err := receive(s)
		if err != nil {
			return Result{}, fmt.Errorf("download: %w", err)
		}
		n += rest
	}
	if n != w.Download {
		return Result{}, fmt.Errorf("download: %d bytes came, not %d", n, w.Download)
	}
	return Result{Upload: uploaded.Sub(start), Download: time.Since(uploaded)}, nil
}
