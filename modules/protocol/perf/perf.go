// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package perf moves bytes to and from a peer, to see how fast that is:
// /perf/1.0.0.
//
// Spec: https://github.com/libp2p/specs/blob/master/perf/perf.md
//
//	"protocols": {"perf": {}}
//
// The module sends and takes as much as any peer asks for: do not load it on a
// node whose bandwidth costs something. [Measure] asks. It does not run over
// limited connections.
package perf

import (
	"context"
	"encoding/binary"
	"io"
	"time"

	"github.com/caddyserver/caddy/v2"
	pool "github.com/libp2p/go-buffer-pool"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Service), core.Beta) }

const (
	// ID is the protocol's ID.
	ID = "/perf/1.0.0"

	// blockSize is how much one read or write moves at most, in bytes.
	blockSize = 64 << 10
	// maxStreams is how many streams a peer may have.
	maxStreams = 16
	// maxSilence is how long a stream may be without progress.
	maxSilence = 30 * time.Second
)

// zeros is what is sent. Nothing writes to it.
var zeros [blockSize]byte

// Service is the xnode.protocol.perf module.
type Service struct{ remove func() }

// CaddyModule implements [caddy.Module].
func (*Service) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.perf", New: func() caddy.Module { return new(Service) }}
}

// Start implements [core.Service].
func (s *Service) Start(_ context.Context, n core.Node) error {
	s.remove = n.Handle(ID, serve, core.HandleAtMost(maxStreams))
	return nil
}

// Close implements [core.Service].
func (s *Service) Close() error {
	if s.remove != nil {
		s.remove()
		s.remove = nil
	}
	return nil
}

// serve implements [core.StreamHandler]: it reads how much to send, then all
// that the peer sends, and then sends.
func serve(s core.Stream) error {
	if err := s.SetDeadline(time.Now().Add(maxSilence)); err != nil {
		return err
	}
	var header [8]byte
	if _, err := io.ReadFull(s, header[:]); err != nil {
		return err
	}
	if _, err := receive(s); err != nil {
		return err
	}
	return send(s, binary.BigEndian.Uint64(header[:]), blockSize)
}

// send writes n bytes, in blocks.
func send(s core.Stream, n, block uint64) error {
	var idle idler
	for n > 0 {
		if err := idle.renew(s); err != nil {
			return err
		}
		k := min(n, block)
		if _, err := s.Write(zeros[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// receive reads until the end and returns how much came.
func receive(s core.Stream) (n uint64, err error) {
	b := pool.Get(blockSize)
	defer pool.Put(b)
	var idle idler
	for {
		if err := idle.renew(s); err != nil {
			return n, err
		}
		k, err := s.Read(b)
		n += uint64(k)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// idler keeps the deadline of a stream maxSilence away, give or take a second:
// to set it for every block would cost more.
type idler struct{ renewed time.Time }

func (i *idler) renew(s core.Stream) error {
	now := time.Now()
	if now.Sub(i.renewed) < time.Second {
		return nil
	}
	i.renewed = now
	return s.SetDeadline(now.Add(maxSilence))
}

var _ core.Protocol = (*Service)(nil)
