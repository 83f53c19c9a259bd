// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"sync"

	"github.com/xnode-p2p/xnode/core"
)

// identifyResult is what the remote said of itself and of us.
type identifyResult struct {
	Agent            string   `json:"agent"`
	ProtocolVersion  string   `json:"protocol_version"`
	Protocols        []string `json:"protocols"`
	ListenAddrs      []string `json:"listen_addrs"`
	ObservedAddr     string   `json:"observed_addr"`
	SignedPeerRecord bool     `json:"signed_peer_record"` // one came and its signature held
}

func identifyCommand(*flag.FlagSet) body {
	return func(ctx context.Context, in *invocation) error {
		target, err := in.target()
		if err != nil {
			return err
		}
		b, err := in.clientBlueprint(target)
		if err != nil {
			return err
		}
		n, err := b.start(ctx)
		if err != nil {
			return err
		}
		defer n.Close()
		var mu sync.Mutex
		observed := ""
		stop := core.On(n, func(e core.Identified) {
			if e.ObservedAddr != nil {
				mu.Lock()
				defer mu.Unlock()
				observed = e.ObservedAddr.String()
			}
		})
		s, err := n.dial(ctx, target)
		if err != nil {
			return err
		}
		defer s.Close()
		stop() // an event under way is over now

		p := target.ID
		r := identifyResult{
			Agent: n.PeerAgent(p), ProtocolVersion: n.PeerProtocolVersion(p),
			Protocols: n.PeerProtocols(p), ListenAddrs: []string{},
			SignedPeerRecord: n.PeerRecord(p) != nil,
		}
		for _, a := range n.PeerAddrs(p) {
			r.ListenAddrs = append(r.ListenAddrs, a.String())
		}
		mu.Lock()
		defer mu.Unlock()
		r.ObservedAddr = observed
		in.out.emit(r)
		return nil
	}
}
