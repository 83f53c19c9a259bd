// SPDX-License-Identifier: Apache-2.0 OR MIT

package gossipsub_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// second is a validator that takes a second for a message.
type second struct{}

func init() { core.Register(new(second)) }

func (*second) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.validator.second", New: func() caddy.Module { return new(second) }}
}

func (*second) ValidateMessage(ctx context.Context, m *core.TopicMessage) core.TopicVerdict {
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	if strings.HasPrefix(string(m.Data), "bad") {
		return core.TopicReject
	}
	return core.TopicAccept
}

// While validators are overloaded, those whose messages are of no use get less of
// them, and their control messages still through.
func TestEvil_G10_PeerGater(t *testing.T) {
	const config = `{
		"topic_options": {"hard": {"validators": [{"module": "second"}], "validator_concurrency": 4}},
		"score": {"behaviour_weight": 0}%s
	}`
	delivered := make(map[string]uint64)
	for name, gater := range map[string]string{"with": `, "peer_gater": {}`, "without": ""} {
		inBubble(t, fmt.Sprintf(config, gater), 2, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
			hard, err := v.Subscribe("hard")
			if err != nil {
				t.Fatal(err)
			}
			defer hard.Close()
			good, bad := attack(t, n[1], n[0], false), attack(t, n[2], n[0], false)
			for i := range uint64(300) {
				for j := range uint64(8) { // first come, first served
					bad.send(publish(signed(t, n[2], "hard", "bad", 100*i+j)))
				}
				good.send(publish(signed(t, n[1], "hard", "good", i)))
				time.Sleep(time.Second)
			}
			delivered[name] = v.Counts().Delivered
			bad.send(subscribe("hard"), control(&rpc.Control{Graft: []string{"hard"}}))
			if got := len(v.TopicPeers("hard")); got != 1 {
				t.Errorf("%s a gater: %d peers are in the topic", name, got)
			}
		})
	}
	t.Logf("of 300 good messages %d are delivered with a gater, %d without", delivered["with"], delivered["without"])
	if delivered["with"] < 200 || delivered["without"] > 20 {
		t.Error("want at least 200, and at most 20")
	}
}

func TestGaterConfig(t *testing.T) {
	coretest.TestConfigs[core.PubSub](t, "gossipsub", []coretest.Config{
		{Name: "usual", JSON: `{"peer_gater": {}}`},
		{Name: "all", JSON: `{"peer_gater": {"threshold": 0.5, "global_decay": 0.9, "source_decay": 0.99, "decay_interval": "2s",
			"decay_to_zero": 0.1, "retain_stats": "1h", "quiet": "30s", "duplicate_weight": 0.5, "ignore_weight": 2, "reject_weight": 3,
			"topic_delivery_weights": {"news": 2}}}`},
		{Name: "bad", JSON: `{"peer_gater": {"threshold": -1}}`, WantErr: "peer_gater: threshold: want a number above 0"},
	})
}
