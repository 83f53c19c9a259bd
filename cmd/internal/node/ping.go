// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// The ping protocol, https://github.com/libp2p/specs/blob/master/ping/ping.md.
// The commands ask; the module of that name answers.
const (
	pingProtocol = "/ipfs/ping/1.0.0"
	pingSize     = 32 // bytes
)

// Pong is the answer to one ping.
type Pong struct {
	// Peer is who answered.
	Peer string `json:"peer"`
	// Seq counts the answers from 1.
	Seq int `json:"seq"`
	// RTT is how long the message and its answer took together.
	RTT time.Duration `json:"rtt_ns"`
}

// Ping sends n pings to p, each an interval after the one before, over one
// stream, and calls each with every answer. It connects first if need be.
func Ping(ctx context.Context, h core.Node, p peer.AddrInfo, n int, interval time.Duration, each func(Pong) error) error {
	if _, err := h.Connect(core.AllowLimited(ctx), p); err != nil {
		return err
	}
	s, err := h.NewStream(core.AllowLimited(ctx), p.ID, pingProtocol)
	if err != nil {
		return fmt.Errorf("ping %s: %w", p.ID.Short(), err)
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { s.Reset(core.StreamNoError) })()
	wait := time.NewTimer(0)
	defer wait.Stop()
	for seq := 1; seq <= n; seq++ {
		select {
		case <-wait.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait.Reset(interval)
		rtt, err := ping(s)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("ping %s: %w", p.ID.Short(), err)
		}
		if err := each(Pong{p.ID.String(), seq, rtt}); err != nil {
			return err
		}
	}
	return nil
}

// ping sends one message and waits for its answer.
func ping(s io.ReadWriter) (time.Duration, error) {
	var message, answer [pingSize]byte
	rand.Read(message[:])
	begin := time.Now()
	if _, err := s.Write(message[:]); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(s, answer[:]); err != nil {
		return 0, err
	}
	rtt := time.Since(begin)
	if answer != message {
		return 0, errors.New("the answer is not what was sent")
	}
	return rtt, nil
}
