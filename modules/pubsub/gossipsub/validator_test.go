// SPDX-License-Identifier: Apache-2.0 OR MIT

package gossipsub_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/pubsub/validator/json"
	_ "github.com/xnode-p2p/xnode/modules/pubsub/validator/peers"
	_ "github.com/xnode-p2p/xnode/modules/pubsub/validator/seqno"
	_ "github.com/xnode-p2p/xnode/modules/pubsub/validator/size"
)

// stuck is a validator that takes a minute for a message, whatever its context.
type stuck struct{}

// ordered is one that panics while the peer's next message waits.
type ordered struct{}

func init() {
	core.Register(new(stuck))
	core.Register(new(ordered))
}

func (*stuck) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.validator.stuck", New: func() caddy.Module { return new(stuck) }}
}

func (*stuck) ValidateMessage(context.Context, *core.TopicMessage) core.TopicVerdict {
	time.Sleep(time.Minute)
	return core.TopicReject
}

func (*ordered) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.validator.ordered", New: func() caddy.Module { return new(ordered) }}
}

func (*ordered) ValidatesInOrder() {}

func (*ordered) ValidateMessage(_ context.Context, m *core.TopicMessage) core.TopicVerdict {
	if bytes.HasPrefix(m.Data, []byte("panic")) {
		panic("at a message")
	}
	return core.TopicAccept
}

// A validator that does not even end with its context takes no more than its
// topic's share, and messages do not wait for it.
func TestEvil_X10_StuckValidator(t *testing.T) {
	const config = `{
		"validate_throttle": 10,
		"topic_options": {"hard": {"validators": [{"module": "stuck"}], "validator_concurrency": 2, "validator_timeout": "1s"}},
		"score": {"topics": {"hard": {}}}
	}`
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		v := victim(t, n[0], config)
		subs := make(map[string]core.Subscription)
		for _, topic := range []string{"news", "hard"} {
			var err error
			if subs[topic], err = v.Subscribe(topic); err != nil {
				t.Fatal(err)
			}
			defer subs[topic].Close()
		}
		a := attack(t, n[1], n[0], false)
		for i := range uint64(50) {
			a.send(publish(signed(t, n[1], "hard", "x", i)))
		}
		if c := v.Counts(); c.Ignored != 48 {
			t.Errorf("%d messages are ignored at once, want 48", c.Ignored)
		}
		a.send(publish(signed(t, n[1], "news", "through", 99)))
		if got := next(t, subs["news"]); !slices.Equal(got, []string{"through"}) {
			t.Errorf("on the other topic: %q", got)
		}
		time.Sleep(2 * time.Second)
		if c := v.Counts(); c.Ignored != 50 {
			t.Errorf("%d messages are ignored after the timeout, want 50", c.Ignored)
		}
		time.Sleep(time.Minute) // whatever the validator says now is too late
		if c := v.Counts(); c.Ignored != 50 || c.Rejected != 0 || score(t, v, n[1]) != 0 {
			t.Errorf("after the validator has come back: %+v", c)
		}
		a.send(publish(signed(t, n[1], "hard", "x", 100)))
		if c := v.Counts(); c.Ignored != 50 {
			t.Error("then it is not asked again")
		}
	})
}

func TestEvil_X10_PanickingValidator(t *testing.T) {
	const config = `{"validators": [{"module": "ordered"}], "score": {"topics": {"news": {}}}}`
	inBubble(t, config, 1, func(t *testing.T, v core.Topics, news core.Subscription, n []*coretest.FakeNode) {
		a := attack(t, n[1], n[0], false)
		a.send(publish(signed(t, n[1], "news", "panic", 1)), publish(signed(t, n[1], "news", "fine", 2)))
		if got := next(t, news); !slices.Equal(got, []string{"fine"}) {
			t.Errorf("delivered: %q", got)
		}
		if s := score(t, v, n[1]); s != 0 {
			t.Errorf("a module's panic costs its victim %v", s)
		}
		if _, err := v.Publish(t.Context(), "news", []byte("panic")); err == nil || !strings.Contains(err.Error(), "do not accept") {
			t.Errorf("publish: %v", err)
		}
	})
}

// What a node would not take from others it does not send them.
func TestOwnMessagesAreChecked(t *testing.T) {
	const config = `{"topic_options": {"news": {"validators": [{"module": "size", "max": "4B"}]}}}`
	inBubble(t, config, 0, func(t *testing.T, v core.Topics, news core.Subscription, _ []*coretest.FakeNode) {
		if _, err := v.Publish(t.Context(), "news", []byte("12345")); err == nil || !strings.Contains(err.Error(), `"news"`) {
			t.Errorf("too large: %v", err)
		}
		for topic, data := range map[string]string{"news": "1234", "other": "12345"} {
			if _, err := v.Publish(t.Context(), topic, []byte(data)); err != nil {
				t.Error(err)
			}
		}
		if got := next(t, news); !slices.Equal(got, []string{"1234"}) {
			t.Errorf("delivered: %q", got)
		}
	})
}

// A message that has been forgotten is not taken a second time, whoever sends it,
// and nobody is blamed: the behaviour of go-libp2p-pubsub's validator of sequence
// numbers.
func TestEvil_G8_SeqnoReplay(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		again  int
	}{
		"without": {`{"seen_ttl": "1s", "score": {"topics": {"news": {}}}}`, 1},
		"with":    {`{"seen_ttl": "1s", "score": {"topics": {"news": {}}}, "validators": [{"module": "seqno"}]}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.config, 2, func(t *testing.T, v core.Topics, news core.Subscription, n []*coretest.FakeNode) {
				a, b := attack(t, n[1], n[0], false), attack(t, n[2], n[0], false)
				old := publish(signed(t, n[1], "news", "old", 1))
				a.send(old, publish(signed(t, n[1], "news", "new", 2)))
				if got := next(t, news); !slices.Equal(got, []string{"old", "new"}) {
					t.Fatalf("delivered: %q", got)
				}
				for number := range uint64(4) { // makes the node forget
					time.Sleep(2 * time.Second)
					b.send(publish(signed(t, n[2], "news", "other", 1+number)))
				}
				next(t, news)
				b.send(old)
				if got := next(t, news); len(got) != c.again {
					t.Errorf("delivered again: %q", got)
				}
				if s := score(t, v, n[2]); s < 0 {
					t.Errorf("who sent it again has a score of %v", s)
				}
			})
		})
	}
}

// Validators of all topics and of one, from JSON, each with its verdict.
func TestValidators(t *testing.T) {
	author := coretest.NewIdentity(2).ID()
	config := fmt.Sprintf(`{
		"validators": [{"module": "size", "max": "40B"}],
		"topic_options": {
			"objects": {"validators": [{"module": "json", "required": ["id"]}]},
			"official": {"validators": [{"module": "peers", "allow": [%q], "verdict": "ignore"}]}
		},
		"score": {"topics": {"objects": {}, "official": {}, "news": {}}}
	}`, author)
	for _, c := range []struct {
		topic, data         string
		delivered, punished bool
	}{
		{"news", "short", true, false},
		{"news", strings.Repeat("x", 41), false, true},
		{"objects", `{"id": 1}`, true, false},
		{"objects", `{"x": 1}`, false, true},
		{"objects", `{"id": "` + strings.Repeat("x", 41) + `"}`, false, true},
		{"official", "x", false, false}, // of node 3
	} {
		inBubble(t, config, 2, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
			sub, err := v.Subscribe(c.topic)
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Close()
			a := attack(t, n[2], n[0], false)
			a.send(publish(signed(t, n[2], c.topic, c.data, 1)))
			if got := len(next(t, sub)) == 1; got != c.delivered {
				t.Errorf("%s %s: delivered: %v", c.topic, c.data, got)
			}
			if got := score(t, v, n[2]) < 0; got != c.punished {
				t.Errorf("%s %s: punished: %v", c.topic, c.data, got)
			}
		})
	}
	inBubble(t, config, 2, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		sub, err := v.Subscribe("official")
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		attack(t, n[2], n[0], false).send(publish(signed(t, n[1], "official", "passed on", 1)))
		if got := next(t, sub); !slices.Equal(got, []string{"passed on"}) {
			t.Errorf("by the author that is allowed, delivered: %q", got)
		}
	})
}

func TestValidatorConfig(t *testing.T) {
	coretest.TestConfigs[core.PubSub](t, "gossipsub", []coretest.Config{
		{Name: "throttle", JSON: `{"validate_throttle": -1}`, WantErr: "validate_throttle: want 1 to"},
		{Name: "concurrency", JSON: `{"validator_concurrency": -1}`, WantErr: "validator_concurrency: want 1 to"},
		{Name: "timeout", JSON: `{"validator_timeout": "1h"}`, WantErr: "validator_timeout: want 1ms to 10m"},
		{Name: "of a topic", JSON: `{"topic_options": {"news": {"validator_timeout": "1h"}}}`, WantErr: "topic_options/news/validator_timeout"},
		{Name: "unknown", JSON: `{"validators": [{"module": "none"}]}`, WantErr: "validators: 0: none: unknown module: xnode.pubsub.validator.none; this binary has "},
		{Name: "in a topic", JSON: `{"topic_options": {"news": {"validators": [{"module": "size"}]}}}`, WantErr: "topic_options/news/validators: 0: size: "},
	})
}
