// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
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

		var rtts []time.Duration
		pinging, stop := context.WithCancel(ctx)
		defer stop()
		for r := range ping.Ping(pinging, s.Host, s.remote) {
			if r.Error != nil {
				return fmt.Errorf("ping %d of %d: %w", len(rtts)+1, *count, r.Error)
			}
			if rtts = append(rtts, r.RTT); len(rtts) == *count {
				break
			}
		}
		if len(rtts) < *count {
			return fmt.Errorf("ping ended after %d of %d round trips", len(rtts), *count)
		}
		in.out.emit(pingResult{
			HandshakeMS: millis(s.handshake), IdentifiedMS: millis(s.identified),
			RTTMinMS: percentile(rtts, 0), RTTMedianMS: percentile(rtts, 50), RTTP99MS: percentile(rtts, 99),
			layers: layersOf(s.conn),
		})
		return nil
	}
}
