// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

const (
	perfID       = "/perf/1.0.0"
	defaultBlock = 64 << 10 // bytes a read or a write of the application
)

type perfResult struct {
	UploadBytes     uint64  `json:"upload_bytes"`
	DownloadBytes   uint64  `json:"download_bytes"`
	UploadSeconds   float64 `json:"upload_seconds"`
	DownloadSeconds float64 `json:"download_seconds"`
	ClientCPU       float64 `json:"client_cpu_seconds"`
}

func perfCommand(flags *flag.FlagSet) body {
	upload := flags.Uint64("upload", 0, "bytes to send")
	download := flags.Uint64("download", 0, "bytes to ask for")
	block := flags.Int("block", defaultBlock, "bytes a read or a write")
	return func(ctx context.Context, in *invocation) error {
		if *block < 1 {
			return usagef("--block %d: want 1 or more", *block)
		}
		s, err := in.open(ctx)
		if err != nil {
			return err
		}
		defer s.Close()
		stream, err := s.conn.NewStream(ctx, perfID)
		if err != nil {
			return fmt.Errorf("perf: %w", err)
		}
		defer stream.Reset(core.StreamNoError)
		result, err := perf(stream, *upload, *download, *block)
		if err != nil {
			return fmt.Errorf("perf: %w", err)
		}
		in.out.emit(result)
		return nil
	}
}

// perf runs one exchange. The upload ends when the answer begins, for only then
// has the server taken every byte; the download lasts from there to the end of
// the stream.
func perf(stream core.Stream, upload, download uint64, block int) (perfResult, error) {
	r := perfResult{UploadBytes: upload, DownloadBytes: download}
	buf := make([]byte, block)
	watch := startWatch()
	if _, err := stream.Write(binary.BigEndian.AppendUint64(nil, download)); err != nil {
		return r, fmt.Errorf("send the size: %w", err)
	}
	for left := upload; left > 0; {
		n, err := stream.Write(buf[:min(left, uint64(len(buf)))])
		if err != nil {
			return r, fmt.Errorf("upload: %w", err)
		}
		left -= uint64(n)
	}
	if err := stream.CloseWrite(); err != nil {
		return r, fmt.Errorf("end the upload: %w", err)
	}
	var got uint64
	var begun time.Time
	for {
		n, err := stream.Read(buf)
		if begun.IsZero() {
			begun = time.Now()
		}
		got += uint64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return r, fmt.Errorf("download after %d of %d bytes: %w", got, download, err)
		}
	}
	r.DownloadSeconds = time.Since(begun).Seconds()
	r.UploadSeconds = begun.Sub(watch.start).Seconds()
	r.ClientCPU = watch.cpuSeconds()
	if got != download {
		return r, fmt.Errorf("download of %d bytes, asked for %d", got, download)
	}
	return r, nil
}
