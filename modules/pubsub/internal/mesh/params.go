// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import (
	"errors"
	"fmt"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// Params are gossipsub's parameters, by the names and with the defaults that
// they have everywhere.
type Params struct {
	// D is how many peers a mesh should have.
	// Default: 6.
	D int `json:"d,omitempty"`
	// DLow is how many it has at least: with fewer, peers are grafted up to D.
	// Default: 5.
	DLow int `json:"d_low,omitempty"`
	// DHigh is how many it has at most: with more, peers are pruned down to D.
	// Default: 12.
	DHigh int `json:"d_high,omitempty"`
	// DScore is how many of the best stay when peers are pruned.
	// Default: 4.
	DScore int `json:"d_score,omitempty"`
	// DOut is how many of the mesh the node has dialled itself, at least. It is
	// below DLow and at most half of D.
	// Default: 2.
	DOut *int `json:"d_out,omitempty"`
	// DLazy is how many peers outside the mesh get gossip, at least.
	// Default: 6.
	DLazy *int `json:"d_lazy,omitempty"`
	// GossipFactor is the part of the peers outside the mesh that get gossip, if
	// that is more than DLazy.
	// Default: 0.25.
	GossipFactor *float64 `json:"gossip_factor,omitempty"`
	// HistoryLength is for how many heartbeats messages can be asked for.
	// Default: 5.
	HistoryLength int `json:"history_length,omitempty"`
	// HistoryGossip is for how many heartbeats messages are gossiped about.
	// Default: 3.
	HistoryGossip int `json:"history_gossip,omitempty"`
	// GossipRetransmission is how often a peer may ask for the same message.
	// Default: 3.
	GossipRetransmission int `json:"gossip_retransmission,omitempty"`
	// HeartbeatInterval is how often meshes are looked after.
	// Default: "1s".
	HeartbeatInterval core.Duration `json:"heartbeat_interval,omitempty"`
	// FanoutTTL is how long the peers are kept to which messages of a topic are
	// published that the node does not itself want.
	// Default: "1m".
	FanoutTTL core.Duration `json:"fanout_ttl,omitempty"`
	// PrunePeers is how many other peers a pruned one is told of.
	// Default: 16.
	PrunePeers *int `json:"prune_peers,omitempty"`
	// PruneBackoff is how long a pruned peer may not come back.
	// Default: "1m".
	PruneBackoff core.Duration `json:"prune_backoff,omitempty"`
	// UnsubscribeBackoff is the same after the node has left the topic.
	// Default: "10s".
	UnsubscribeBackoff core.Duration `json:"unsubscribe_backoff,omitempty"`
	// DirectConnectInterval is how often direct peers that are not connected
	// are dialled.
	// Default: "5m".
	DirectConnectInterval core.Duration `json:"direct_connect_interval,omitempty"`
	// OpportunisticGraftInterval is how often a mesh of a low median score gets
	// better peers.
	// Default: "1m".
	OpportunisticGraftInterval core.Duration `json:"opportunistic_graft_interval,omitempty"`
	// OpportunisticGraftPeers is how many it then gets.
	// Default: 2.
	OpportunisticGraftPeers int `json:"opportunistic_graft_peers,omitempty"`
	// GraftFloodThreshold is how soon after a prune a graft counts twice
	// against a peer.
	// Default: "10s".
	GraftFloodThreshold core.Duration `json:"graft_flood_threshold,omitempty"`
	// MaxIHaveLength is how many IDs of messages are gossiped to a peer, and
	// asked for from one, a heartbeat.
	// Default: 5000.
	MaxIHaveLength int `json:"max_ihave_length,omitempty"`
	// MaxIHaveMessages is how many times a peer may gossip in a heartbeat.
	// Default: 10.
	MaxIHaveMessages int `json:"max_ihave_messages,omitempty"`
	// IWantFollowupTime is how long a peer may take to send what it gossiped
	// about.
	// Default: "3s".
	IWantFollowupTime core.Duration `json:"iwant_followup_time,omitempty"`
	// IDontWantThreshold is the size of a message from which on peers are told
	// that it has arrived, so that they need not send it too.
	// Default: "1KiB".
	IDontWantThreshold core.Size `json:"idontwant_threshold,omitempty"`
	// MaxIDontWantMessages is of how many messages a peer may say that in a
	// heartbeat.
	// Default: 1000.
	MaxIDontWantMessages int `json:"max_idontwant_messages,omitempty"`
	// IDontWantTTL is for how many heartbeats that is remembered.
	// Default: 3.
	IDontWantTTL int `json:"idontwant_ttl,omitempty"`
	// FloodPublish sends own messages to all peers of the topic, not only to
	// those of the mesh.
	// Default: true.
	FloodPublish *bool `json:"flood_publish,omitempty"`
	// PeerExchange tells pruned peers of others, see PrunePeers, and dials those
	// that one is told of. It is for bootstrap nodes above all.
	// Default: false.
	PeerExchange bool `json:"peer_exchange,omitempty"`
}

func fill[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

func fillPointer[T any](v **T, to T) {
	if *v == nil {
		*v = &to
	}
}

// Provision fills in what is not given.
func (p *Params) Provision() {
	fill(&p.D, 6)
	fill(&p.DLow, min(5, p.D))
	fill(&p.DHigh, max(12, p.D))
	fill(&p.DScore, min(4, p.D))
	fillPointer(&p.DOut, max(0, min(2, p.DLow-1, p.D/2)))
	fillPointer(&p.DLazy, 6)
	fillPointer(&p.GossipFactor, 0.25)
	fill(&p.HistoryLength, 5)
	fill(&p.HistoryGossip, min(3, p.HistoryLength))
	fill(&p.GossipRetransmission, 3)
	fill(&p.HeartbeatInterval, core.Duration(time.Second))
	fill(&p.FanoutTTL, core.Duration(time.Minute))
	fillPointer(&p.PrunePeers, 16)
	fill(&p.PruneBackoff, core.Duration(time.Minute))
	fill(&p.UnsubscribeBackoff, core.Duration(10*time.Second))
	fill(&p.DirectConnectInterval, core.Duration(5*time.Minute))
	fill(&p.OpportunisticGraftInterval, core.Duration(time.Minute))
	fill(&p.OpportunisticGraftPeers, 2)
	fill(&p.GraftFloodThreshold, core.Duration(10*time.Second))
	fill(&p.MaxIHaveLength, 5000)
	fill(&p.MaxIHaveMessages, 10)
	fill(&p.IWantFollowupTime, core.Duration(3*time.Second))
	fill(&p.IDontWantThreshold, 1<<10)
	fill(&p.MaxIDontWantMessages, 1000)
	fill(&p.IDontWantTTL, 3)
	fillPointer(&p.FloodPublish, true)
}

// Validate says what cannot be meant.
func (p *Params) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !(0 < p.DLow && p.DLow <= p.D && p.D <= p.DHigh) {
		add("d: want 1 <= d_low <= d <= d_high, have d_low %d, d %d, d_high %d", p.DLow, p.D, p.DHigh)
	}
	if p.DScore < 0 || p.DScore > p.D {
		add("d_score: want 0 to d (%d), have %d", p.D, p.DScore)
	}
	if *p.DOut < 0 || *p.DOut >= p.DLow || *p.DOut > p.D/2 {
		add("d_out: want 0 or more, less than d_low (%d), and at most half of d (%d), have %d", p.DLow, p.D, *p.DOut)
	}
	if !(*p.GossipFactor >= 0 && *p.GossipFactor <= 1) {
		add("gossip_factor: want 0 to 1, have %v", *p.GossipFactor)
	}
	if p.HistoryLength < 1 || p.HistoryLength > 100 {
		add("history_length: want 1 to 100, have %d", p.HistoryLength)
	}
	if p.HistoryGossip < 1 || p.HistoryGossip > p.HistoryLength {
		add("history_gossip: want 1 to history_length (%d), have %d", p.HistoryLength, p.HistoryGossip)
	}
	for _, d := range []struct {
		key       string
		v         core.Duration
		low, high time.Duration
	}{
		{"heartbeat_interval", p.HeartbeatInterval, 10 * time.Millisecond, time.Hour},
		{"fanout_ttl", p.FanoutTTL, 0, 24 * time.Hour},
		{"prune_backoff", p.PruneBackoff, time.Second, time.Hour},
		{"unsubscribe_backoff", p.UnsubscribeBackoff, time.Second, time.Hour},
		{"direct_connect_interval", p.DirectConnectInterval, time.Second, 24 * time.Hour},
		{"opportunistic_graft_interval", p.OpportunisticGraftInterval, time.Second, 24 * time.Hour},
		{"graft_flood_threshold", p.GraftFloodThreshold, 0, time.Hour},
		{"iwant_followup_time", p.IWantFollowupTime, 0, time.Hour},
	} {
		if v := time.Duration(d.v); v < d.low || v > d.high {
			add("%s: want %v to %v, have %v", d.key, d.low, d.high, v)
		}
	}
	for _, n := range []struct {
		key       string
		v         int
		low, high int
	}{
		{"d_lazy", *p.DLazy, 0, 1000},
		{"gossip_retransmission", p.GossipRetransmission, 0, 100},
		{"prune_peers", *p.PrunePeers, 0, 100},
		{"opportunistic_graft_peers", p.OpportunisticGraftPeers, 0, 100},
		{"max_ihave_length", p.MaxIHaveLength, 1, 100_000},
		{"max_ihave_messages", p.MaxIHaveMessages, 1, 10_000},
		{"max_idontwant_messages", p.MaxIDontWantMessages, 1, 100_000},
		{"idontwant_ttl", p.IDontWantTTL, 1, 100},
	} {
		if n.v < n.low || n.v > n.high {
			add("%s: want %d to %d, have %d", n.key, n.low, n.high, n.v)
		}
	}
	return errors.Join(errs...)
}
