// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package ping measures how long a message to a peer and back takes:
// /ipfs/ping/1.0.0.
//
// Spec: https://github.com/libp2p/specs/blob/master/ping/ping.md
//
//	"protocols": {"ping": {}}
//
// The module answers; [Ping] asks. A peer may have two streams, and one that is
// silent for half a minute ends.
package ping

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func init() { core.Register(new(Service), core.Beta) }

const (
	// ID is the protocol's ID.
	ID = "/ipfs/ping/1.0.0"

	// size is that of a message, in bytes.
	size = 32
	// maxStreams is how many streams a peer may have.
	maxStreams = 2
	// maxSilence is how long a stream waits for a message, or for the peer to
	// take the answer.
	maxSilence = 30 * time.Second
)

// ErrMismatch means that a peer answered with other bytes than it was sent.
var ErrMismatch = errors.New("the answer is not what was sent")

// Service is the xnode.protocol.ping module.
type Service struct{ remove func() }

// CaddyModule implements [caddy.Module].
func (*Service) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.ping", New: func() caddy.Module { return new(Service) }}
}

// Start implements [core.Service].
func (s *Service) Start(_ context.Context, n core.Node) error {
	s.remove = n.Handle(ID, serve, core.HandleAtMost(maxStreams), core.HandleLimited())
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

// serve implements [core.StreamHandler].
func serve(s core.Stream) error {
	var message [size]byte
	for {
		if err := s.SetDeadline(time.Now().Add(maxSilence)); err != nil {
			return err
		}
		if _, err := io.ReadFull(s, message[:]); err == io.EOF {
			return nil // the end between two messages
		} else if err != nil {
			return err
		}
		if _, err := s.Write(message[:]); err != nil {
			return err
		}
	}
}

// Ping pings p each time it is asked for the next value, which is the time that
// the message and its answer took together. All pings use one stream; the first
// opens it, which does not count. An error, such as the end of ctx, is the last
// value. It works over limited connections too.
func Ping(ctx context.Context, n core.Streams, p peer.ID) iter.Seq2[time.Duration, error] {
	return func(yield func(time.Duration, error) bool) {
		s, err := n.NewStream(core.AllowLimited(ctx), p, ID)
		if err != nil {
			yield(0, err)
			return
		}
		defer s.Close()
		defer context.AfterFunc(ctx, func() { s.Reset(core.StreamNoError) })()
		for {
			took, err := ping(s)
			if err != nil && ctx.Err() != nil {
				err = ctx.Err()
			}
			if !yield(took, err) || err != nil {
				return
			}
		}
	}
}

// ping sends one message and waits for its answer.
func ping(s core.Stream) (time.Duration, error) {
	var message, answer [size]byte
	rand.Read(message[:])
	start := time.Now()
	if _, err := s.Write(message[:]); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(s, answer[:]); err != nil {
		return 0, err
	}
	took := time.Since(start)
	if answer != message {
		s.Reset(core.StreamProtocolViolation)
		return 0, ErrMismatch
	}
	return took, nil
}

var _ core.Protocol = (*Service)(nil)
