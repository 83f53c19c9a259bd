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

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	msmux "github.com/multiformats/go-multistream"
)

// throughResult is what became of a connection through a relay.
type throughResult struct {
	RelayedMS     float64 `json:"relayed_ms"` // of the dial
	RelayedRTTMS  float64 `json:"relayed_rtt_ms"`
	Direct        bool    `json:"direct"`
	DirectAfterMS float64 `json:"direct_after_ms,omitempty"` // from the beginning of the dial
	DirectAddr    string  `json:"direct_addr,omitempty"`
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
		if len(in.options.transports) == 0 {
			return usagef("--transport: what to listen on, for holes are punched from there")
		}
		n, err := in.startListening(*ip, *port, false, relayFlags{dials: true, punch: true}, "")
		if err != nil {
			return err
		}
		defer n.Close()
		begun := time.Now()
		direct := make(chan time.Time, 1)
		n.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
			if c.RemotePeer() == target.ID && !isRelayed(c.RemoteMultiaddr()) {
				select {
				case direct <- time.Now():
				default:
				}
			}
		}})
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
			for _, c := range n.Network().ConnsToPeer(target.ID) {
				if !isRelayed(c.RemoteMultiaddr()) {
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
		in.out.emit(result)
		return nil
	}
}

// pingOver sends one ping over a connection, relayed or not, and returns how many milliseconds it took.
func pingOver(ctx context.Context, c network.Conn) (float64, error) {
	s, err := c.NewStream(network.WithAllowLimitedConn(ctx, "ping"))
	if err != nil {
		return 0, fmt.Errorf("ping: %w", err)
	}
	defer s.Close()
	begun := time.Now()
	if err := msmux.SelectProtoOrFail(ping.ID, s); err != nil {
		return 0, fmt.Errorf("ping: %w", err)
	}
	sent, got := make([]byte, ping.PingSize), make([]byte, ping.PingSize)
	rand.Read(sent)
	if _, err = s.Write(sent); err == nil {
		_, err = io.ReadFull(s, got)
	}
	if err == nil && !bytes.Equal(sent, got) {
		err = errors.New("another answer")
	}
	if err != nil {
		return 0, fmt.Errorf("ping: %w", err)
	}
	return millis(time.Since(begun)), nil
}
