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

// scriptNames are the parameters by the names that they have in scripts. Those
// that are no part of a configuration, which scripts may have too, are empty.
var scriptNames = map[string]string{
	"D": "d", "Dlo": "d_low", "Dhi": "d_high", "Dscore": "d_score", "Dout": "d_out",
	"HistoryLength": "history_length", "HistoryGossip": "history_gossip",
	"Dlazy": "d_lazy", "GossipFactor": "gossip_factor", "GossipRetransmission": "gossip_retransmission",
	"HeartbeatInterval": "heartbeat_interval", "HeartbeatInitialDelay": "", "SlowHeartbeatWarning": "",
	"FanoutTTL": "fanout_ttl", "PrunePeers": "prune_peers", "PruneBackoff": "prune_backoff", "UnsubscribeBackoff": "unsubscribe_backoff",
	"Connectors": "", "MaxPendingConnections": "", "ConnectionTimeout": "", "DirectConnectTicks": "", "DirectConnectInitialDelay": "",
	"OpportunisticGraftTicks": "", "OpportunisticGraftPeers": "opportunistic_graft_peers", "GraftFloodThreshold": "graft_flood_threshold",
	"MaxIHaveLength": "max_ihave_length", "MaxIHaveMessages": "max_ihave_messages",
	"MaxIDontWantLength": "", "MaxIDontWantMessages": "max_idontwant_messages",
	"IWantFollowupTime": "iwant_followup_time", "IDontWantMessageThreshold": "idontwant_threshold", "IDontWantMessageTTL": "idontwant_ttl",
}

// scriptDurations are the keys whose values are times, in nanoseconds.
var scriptDurations = map[string]bool{
	"heartbeat_interval": true, "fanout_ttl": true, "prune_backoff": true, "unsubscribe_backoff": true,
	"graft_flood_threshold": true, "iwant_followup_time": true,
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
	for name, text := range given {
		key, known := scriptNames[name]
		switch {
		case !known:
			return fmt.Errorf("gossipSubParams: %s is no parameter", name)
		case key == "" || string(text) == "null":
		case scriptDurations[key]:
			var nanoseconds float64
			if err := json.Unmarshal(text, &nanoseconds); err != nil {
				return fmt.Errorf("gossipSubParams: %s: %w", name, err)
			}
			params[key] = time.Duration(nanoseconds).String()
		default:
			params[key] = text
		}
	}
	return nil
}
