// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// maxConns is how many connections listen serves at a time; more wait to be accepted.
const maxConns = 64

// listen serves exchanges until stdin closes.
func listen(s settings, stdin io.Reader, stdout io.Writer) error {
	l, err := s.mode.listen(net.JoinHostPort(s.ip, fmt.Sprint(s.port)))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, stdin)
	})
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	emit(stdout, map[string]any{"mode": s.modeName, "addrs": []string{formatAddr(l.Addr())}})

	slots := make(chan struct{}, maxConns)
	for {
		slots <- struct{}{}
		conn, err := l.accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		wg.Go(func() {
			defer func() { <-slots }()
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			_ = serve(ctx, s, conn) // the client sees what went wrong
		})
	}
}

// serve answers one exchange: it reads the size of the answer, drains the upload and sends the answer.
func serve(ctx context.Context, s settings, from arrival) error {
	conn, err := from.open(ctx)
	if err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	buf := make([]byte, s.block)
	if _, _, err := drain(conn, buf); err != nil {
		return err
	}
	if err := send(conn, buf, binary.BigEndian.Uint64(head[:])); err != nil {
		return err
	}
	return conn.CloseWrite()
}

// result is what the perf command of every interop peer prints.
type result struct {
	UploadBytes     uint64  `json:"upload_bytes"`
	DownloadBytes   uint64  `json:"download_bytes"`
	UploadSeconds   float64 `json:"upload_seconds"`
	DownloadSeconds float64 `json:"download_seconds"`
	ClientCPU       float64 `json:"client_cpu_seconds"`
}

// perf runs one exchange and prints its figures.
func perf(s settings, addr netip.AddrPort, stdout io.Writer) error {
	ctx := context.Background()
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	closer, conn, err := s.mode.dial(ctx, addr.String())
	if err != nil {
		return err
	}
	defer closer.Close()
	r, err := exchange(conn, s)
	if err != nil {
		return fmt.Errorf("perf: %w", err)
	}
	emit(stdout, r)
	return nil
}

// exchange is the client's side. The upload ends when the answer begins, for only then has the
// server taken every byte.
func exchange(conn duplex, s settings) (result, error) {
	r := result{UploadBytes: s.upload, DownloadBytes: s.download}
	buf := make([]byte, s.block)
	start, cpu := time.Now(), process.OwnCPU()
	if _, err := conn.Write(binary.BigEndian.AppendUint64(nil, s.download)); err != nil {
		return r, fmt.Errorf("send the size: %w", err)
	}
	if err := send(conn, buf, s.upload); err != nil {
		return r, fmt.Errorf("upload: %w", err)
	}
	if err := conn.CloseWrite(); err != nil {
		return r, fmt.Errorf("end the upload: %w", err)
	}
	got, begun, err := drain(conn, buf)
	r.UploadSeconds, r.DownloadSeconds = begun.Sub(start).Seconds(), time.Since(begun).Seconds()
	r.ClientCPU = (process.OwnCPU() - cpu).Seconds()
	if err != nil {
		return r, fmt.Errorf("download after %d of %d bytes: %w", got, s.download, err)
	}
	if got != s.download {
		return r, fmt.Errorf("download of %d bytes, asked for %d", got, s.download)
	}
	return r, nil
}

// drain reads to the end and returns how many bytes came and when the first of them did.
func drain(r io.Reader, buf []byte) (got uint64, begun time.Time, err error) {
	for err == nil {
		var n int
		n, err = r.Read(buf)
		if begun.IsZero() {
			begun = time.Now()
		}
		got += uint64(n)
	}
	if err == io.EOF {
		err = nil
	}
	return got, begun, err
}

// send writes size bytes of whatever buf holds, a buffer at a time.
func send(w io.Writer, buf []byte, size uint64) error {
	for size > 0 {
		n := min(size, uint64(len(buf)))
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		size -= n
	}
	return nil
}
