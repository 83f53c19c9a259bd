// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

const (
	perfID protocol.ID = "/perf/1.0.0"
	echoID protocol.ID = "/echo/1.0.0"

	defaultBlock = 64 << 10 // bytes a read or a write of the application
)

// service answers ping, perf and echo.
type service struct {
	block  int
	blocks sync.Pool // of *[]byte, block long
}

// offer registers the protocols on n.
func offer(n *node, block int) {
	s := &service{block: block}
	s.blocks.New = func() any {
		b := make([]byte, block)
		return &b
	}
	n.SetStreamHandler(perfID, s.handler(s.perf))
	n.SetStreamHandler(echoID, s.handler(s.echo))
	if n.shape != full { // a full host answers ping already
		ping.NewPingService(n.Host)
	}
}

// handler lends a block to serve, closes the stream when it is done and resets it when it fails.
func (s *service) handler(serve func(network.Stream, []byte) error) network.StreamHandler {
	return func(stream network.Stream) {
		block := s.blocks.Get().(*[]byte)
		defer s.blocks.Put(block)
		if err := serve(stream, *block); err != nil {
			_ = stream.Reset()
			return
		}
		_ = stream.Close()
	}
}

// perf reads the size of the answer, drains the upload, then sends the answer.
func (s *service) perf(stream network.Stream, block []byte) error {
	var head [8]byte
	if _, err := io.ReadFull(stream, head[:]); err != nil {
		return err
	}
	for {
		_, err := stream.Read(block)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	return send(stream, block, binary.BigEndian.Uint64(head[:]))
}

// echo sends back what it reads until the other side ends its half.
func (s *service) echo(stream network.Stream, block []byte) error {
	_, err := io.CopyBuffer(stream, stream, block)
	return err
}

// send writes size bytes of whatever block holds, a block at a time.
func send(w io.Writer, block []byte, size uint64) error {
	for size > 0 {
		n := min(size, uint64(len(block)))
		if _, err := w.Write(block[:n]); err != nil {
			return err
		}
		size -= n
	}
	return nil
}
