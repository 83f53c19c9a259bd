// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

const (
	pingID   = "/ipfs/ping/1.0.0"
	pingSize = 32 // bytes of one ping, by the specification
)

type pingResult struct {
	HandshakeMS  float64 `json:"handshake_ms"`
	IdentifiedMS float64 `json:"identified_ms"`
	RTTMinMS     float64 `json:"rtt_min_ms"`
	RTTMedianMS  float64 `json:"rtt_median_ms"`
	RTTP99MS     float64 `json:"rtt_p99_ms"`
	layers
}

func pingCommand(flags *flag.FlagSet) body {
	count := flags.Int("count", 10, "round trips")
	return func(ctx context.Context, in *invocation) error {
		if *count < 1 {
			return usagef("--count %d: want 1 or more", *count)
		}
		s, err := in.open(ctx)
		if err != nil {
			return err
		}
		defer s.Close()
		stream, err := s.conn.NewStream(core.AllowLimited(ctx), pingID)
		if err != nil {
			return fmt.Errorf("ping: %w", err)
		}
		defer stream.Reset(core.StreamNoError)
		rtts := make([]time.Duration, 0, *count)
		for range *count {
			rtt, err := pingOnce(stream)
			if err != nil {
				return fmt.Errorf("ping %d of %d: %w", len(rtts)+1, *count, err)
			}
			rtts = append(rtts, rtt)
		}
		in.out.emit(pingResult{
			HandshakeMS: millis(s.handshake), IdentifiedMS: millis(s.identified),
			RTTMinMS: percentile(rtts, 0), RTTMedianMS: percentile(rtts, 50), RTTP99MS: percentile(rtts, 99),
			layers: layersOf(s.conn),
		})
		return stream.Close()
	}
}

// pingOnce does one round trip.
func pingOnce(stream io.ReadWriter) (time.Duration, error) {
	var sent, back [pingSize]byte
	_, _ = rand.Read(sent[:]) // never fails
	start := time.Now()
	if _, err := stream.Write(sent[:]); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(stream, back[:]); err != nil {
		return 0, err
	}
	rtt := time.Since(start)
	if !bytes.Equal(sent[:], back[:]) {
		return 0, errors.New("other bytes came back")
	}
	return rtt, nil
}
