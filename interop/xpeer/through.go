// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// throughResult is what became of a connection through a relay.
type throughResult struct {
	RelayedMS     float64 `json:"relayed_ms"` // of the dial
	RelayedRTTMS  float64 `json:"relayed_rtt_ms"`
	Direct        bool    `json:"direct"`
	DirectAfterMS float64 `json:"direct_after_ms,omitempty"` // from the beginning of the dial
	DirectAddr    string  `json:"direct_addr,omitempty"`
	Attempts      int     `json:"attempts"`
}

func dialThroughCommand(flags *flag.FlagSet) body {
	limit := timeout{10 * time.Second}
	flags.Var(&limit, "wait", "how long to wait for a direct connection")
	port := flags.Int("port", 0, "port to listen on, of TCP and of UDP; 0 for any")
	ip := flags.String("ip", "0.0.0.0", "address to listen on")
	return func(ctx context.Context, in *invocation) error {
		target, err := in.target()
		if err != nil {
			return err
		}
		if in.options.transports == nil {
			t, err := transportOf(target.Addrs[0])
			if err != nil {
				return err
			}
			in.options.transports = list{t.name}
		}
		b, err := in.options.serving(*ip, *port) // holes are punched from ports that are listened on
		if err != nil {
			return err
		}
		places := relayFlags{punch: true}
		b.relay = []byte("{}")
		if err := places.apply(&b); err != nil {
			return err
		}
		n, err := b.start(ctx)
		if err != nil {
			return err
		}
		defer n.Close()
		begun := time.Now()
		direct := make(chan time.Time, 1)
		defer core.On(n, func(e core.Connected) {
			if e.Conn.RemotePeer() == target.ID && !relayed(e.Conn.RemoteMultiaddr()) {
				select {
				case direct <- time.Now():
				default:
				}
			}
		})()
		attempts := make(chan core.HolePunched, 64)
		defer core.On(n, func(e core.HolePunched) { attempts <- e })()
		s, err := n.dial(ctx, target)
		if err != nil {
			return err
		}
		result := throughResult{RelayedMS: millis(s.handshake)}
		if result.RelayedRTTMS, err = pingOver(ctx, s.conn); err != nil {
			return err
		}
		over := s.conn
		select {
		case at := <-direct:
			result.Direct, result.DirectAfterMS = true, millis(at.Sub(begun))
			for _, c := range n.ConnsTo(target.ID) {
				if !relayed(c.RemoteMultiaddr()) {
					over, result.DirectAddr = c, c.RemoteMultiaddr().String()
				}
			}
		case <-time.After(limit.limit):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if _, err := pingOver(ctx, over); err != nil {
			return err
		}
		result.Attempts = len(attempts)
		in.out.emit(result)
		return nil
	}
}

// pingOver sends one ping over a connection, relayed or not, and returns how many
// milliseconds it took.
func pingOver(ctx context.Context, c core.Conn) (float64, error) {
	s, err := c.NewStream(core.AllowLimited(ctx), pingID)
	if err != nil {
		return 0, fmt.Errorf("ping: %w", err)
	}
	defer s.Close()
	rtt, err := pingOnce(s)
	if err != nil {
		return 0, fmt.Errorf("ping: %w", err)
	}
	return millis(rtt), nil
}
