// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"time"
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
		result, err := s.perf(ctx, *upload, *download, *block)
		if err != nil {
			return fmt.Errorf("perf: %w", err)
		}
		in.out.emit(result)
		return nil
	}
}

// perf runs one exchange of /perf/1.0.0. The upload ends when the answer begins, for only then has
// the server taken every byte; the download lasts from there to the end of the stream.
func (s *session) perf(ctx context.Context, upload, download uint64, block int) (perfResult, error) {
	r := perfResult{UploadBytes: upload, DownloadBytes: download}
	stream, err := s.NewStream(ctx, s.remote, perfID)
	if err != nil {
		return r, err
	}
	defer stream.Reset()
	buf := make([]byte, block)
	watch := startWatch()
	var head [8]byte
	binary.BigEndian.PutUint64(head[:], download)
	if _, err := stream.Write(head[:]); err != nil {
		return r, fmt.Errorf("send the size: %w", err)
	}
	if err := send(stream, buf, upload); err != nil {
		return r, fmt.Errorf("upload: %w", err)
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
