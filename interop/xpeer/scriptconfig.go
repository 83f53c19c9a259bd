// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(delay)) }

// delay is the xnode.pubsub.validator.delay module: it takes its time and accepts.
type delay struct {
	Delay core.Duration `json:"delay"`
}

// CaddyModule implements [caddy.Module].
func (*delay) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.validator.delay", New: func() caddy.Module { return new(delay) }}
}

// ValidateMessage implements [core.TopicValidator].
func (d *delay) ValidateMessage(ctx context.Context, _ *core.TopicMessage) core.TopicVerdict {
	select {
	case <-time.After(time.Duration(d.Delay)):
		return core.TopicAccept
	case <-ctx.Done():
		return core.TopicIgnore
	}
}

// scriptUnit is what a parameter of scripts is counted in.
type scriptUnit int

const (
	number scriptUnit = iota
	nanoseconds
	heartbeats
	octets
)

// scriptParam is what a parameter of scripts is in a configuration.
type scriptParam struct {
	key  string // empty: nothing
	unit scriptUnit
}

// scriptParams are those that scripts have, by their names there.
var scriptParams = map[string]scriptParam{
	"D": {"d", number}, "Dlo": {"d_low", number}, "Dhi": {"d_high", number}, "Dscore": {"d_score", number}, "Dout": {"d_out", number},
	"HistoryLength": {"history_length", number}, "HistoryGossip": {"history_gossip", number},
	"Dlazy": {"d_lazy", number}, "GossipFactor": {"gossip_factor", number}, "GossipRetransmission": {"gossip_retransmission", number},
	"HeartbeatInterval": {"heartbeat_interval", nanoseconds}, "FanoutTTL": {"fanout_ttl", nanoseconds},
	"PrunePeers": {"prune_peers", number}, "PruneBackoff": {"prune_backoff", nanoseconds}, "UnsubscribeBackoff": {"unsubscribe_backoff", nanoseconds},
	"DirectConnectTicks":      {"direct_connect_interval", heartbeats},
	"OpportunisticGraftTicks": {"opportunistic_graft_interval", heartbeats}, "OpportunisticGraftPeers": {"opportunistic_graft_peers", number},
	"GraftFloodThreshold": {"graft_flood_threshold", nanoseconds},
	"MaxIHaveLength":      {"max_ihave_length", number}, "MaxIHaveMessages": {"max_ihave_messages", number},
	"MaxIDontWantMessages": {"max_idontwant_messages", number}, "IWantFollowupTime": {"iwant_followup_time", nanoseconds},
	"IDontWantMessageThreshold": {"idontwant_threshold", octets}, "IDontWantMessageTTL": {"idontwant_ttl", number},

	// A node beats for the first time at a time of chance, dials no more peers at
	// once than it always does, and takes as many IDs in one IDONTWANT as in all.
	"HeartbeatInitialDelay": {}, "SlowHeartbeatWarning": {}, "Connectors": {}, "MaxPendingConnections": {},
	"ConnectionTimeout": {}, "DirectConnectInitialDelay": {}, "MaxIDontWantLength": {},
}

// config is what the script says of gossipsub.
func (s *script) config() (map[string]json.RawMessage, error) {
	params, topics := map[string]any{}, map[string]any{}
	for i := range s.Script {
		at := &s.Script[i]
		for at.Type == "ifNodeIDEquals" && at.Instruction != nil && at.NodeID == s.id {
			at = at.Instruction
		}
		switch at.Type {
		case "initGossipSub":
			if err := setParams(params, at.Params); err != nil {
				return nil, err
			}
		case "setTopicValidationDelay":
			wait := time.Duration(at.DelaySeconds * float64(time.Second))
			topics[at.TopicID] = map[string]any{"validators": []any{map[string]any{core.InlineKey: "delay", "delay": wait.String()}}}
		}
	}
	config, err := json.Marshal(map[string]any{
		"policy": "strict_no_sign", "message_id": "first_8_bytes", "max_message": "10MiB", "partial_messages": map[string]any{},
		"params": params, "topic_options": topics,
	})
	return map[string]json.RawMessage{"gossipsub": config}, err
}

func setParams(params map[string]any, given map[string]json.RawMessage) error {
	beat := float64(time.Second)
	if text := given["HeartbeatInterval"]; text != nil {
		if err := json.Unmarshal(text, &beat); err != nil {
			return fmt.Errorf("gossipSubParams: HeartbeatInterval: %w", err)
		}
	}
	for name, text := range given {
		p, known := scriptParams[name]
		if !known {
			return fmt.Errorf("gossipSubParams: %s is no parameter", name)
		}
		if p.key == "" || string(text) == "null" {
			continue
		}
		var n float64
		if err := json.Unmarshal(text, &n); err != nil {
			return fmt.Errorf("gossipSubParams: %s: %w", name, err)
		}
		switch p.unit {
		case number:
			params[p.key] = n
		case nanoseconds:
			params[p.key] = time.Duration(n).String()
		case heartbeats:
			params[p.key] = time.Duration(n * beat).String()
		case octets:
			params[p.key] = fmt.Sprintf("%.0fB", n)
		}
	}
	return nil
}
