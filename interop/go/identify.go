// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// identifyResult is what the remote said of itself and of us.
type identifyResult struct {
	Agent            string        `json:"agent"`
	ProtocolVersion  string        `json:"protocol_version"`
	Protocols        []protocol.ID `json:"protocols"`
	ListenAddrs      []string      `json:"listen_addrs"`
	ObservedAddr     string        `json:"observed_addr"`
	SignedPeerRecord bool          `json:"signed_peer_record"` // one came and its signature held
}

func identifyCommand(*flag.FlagSet) body {
	return func(ctx context.Context, in *invocation) error {
		target, err := in.target()
		if err != nil {
			return err
		}
		p, err := in.clientPlan(target, full)
		if err != nil {
			return err
		}
		n, err := p.start()
		if err != nil {
			return err
		}
		defer n.Close()
		answers, err := n.EventBus().Subscribe([]any{
			new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerIdentificationFailed),
		})
		if err != nil {
			return err
		}
		defer answers.Close()
		s, err := n.dial(ctx, target)
		if err != nil {
			return err
		}
		defer s.Close()

		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case e := <-answers.Out():
				switch e := e.(type) {
				case event.EvtPeerIdentificationFailed:
					if e.Peer == target.ID {
						return fmt.Errorf("identify %s: %w", target.Addrs[0], e.Reason)
					}
				case event.EvtPeerIdentificationCompleted:
					if e.Conn == s.conn {
						in.out.emit(identified(e))
						return nil
					}
				}
			}
		}
	}
}

func identified(e event.EvtPeerIdentificationCompleted) identifyResult {
	r := identifyResult{
		Agent: e.AgentVersion, ProtocolVersion: e.ProtocolVersion,
		Protocols: e.Protocols, ListenAddrs: []string{}, SignedPeerRecord: e.SignedPeerRecord != nil,
	}
	if r.Protocols == nil {
		r.Protocols = []protocol.ID{}
	}
	for _, a := range e.ListenAddrs {
		r.ListenAddrs = append(r.ListenAddrs, a.String())
	}
	if e.ObservedAddr != nil {
		r.ObservedAddr = e.ObservedAddr.String()
	}
	return r
}
