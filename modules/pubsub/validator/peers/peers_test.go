// SPDX-License-Identifier: Apache-2.0 OR MIT

package peers_test

import (
	"fmt"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/pubsub/validator/peers"
)

func TestValidator(t *testing.T) {
	one, two := coretest.NewIdentity(1).ID(), coretest.NewIdentity(2).ID()
	message := func(author uint64) *core.TopicMessage { return coretest.NewTopicMessage(author, 1, "x") }
	for name, c := range map[string]struct {
		config           string
		one, two, nobody core.TopicVerdict
	}{
		"allow":          {fmt.Sprintf(`{"allow": [%q]}`, one), core.TopicAccept, core.TopicReject, core.TopicReject},
		"allow, ignore":  {fmt.Sprintf(`{"allow": [%q], "verdict": "ignore"}`, one), core.TopicAccept, core.TopicIgnore, core.TopicIgnore},
		"deny":           {fmt.Sprintf(`{"deny": [%q]}`, two), core.TopicAccept, core.TopicReject, core.TopicAccept},
		"allow and deny": {fmt.Sprintf(`{"allow": [%q, %q], "deny": [%q]}`, one, two, two), core.TopicAccept, core.TopicReject, core.TopicReject},
	} {
		t.Run(name, func(t *testing.T) {
			coretest.TestTopicValidator(t, coretest.TopicValidatorOptions{
				New: func(t *testing.T) core.TopicValidator {
					return coretest.MustLoad[core.TopicValidator](t, "peers", c.config)
				},
				Cases: []coretest.TopicCase{
					{Name: "one", Message: message(1), Want: c.one},
					{Name: "two", Message: message(2), Want: c.two},
					{Name: "nobody", Message: message(0), Want: c.nobody},
				},
			})
		})
	}
}

func TestConfig(t *testing.T) {
	id := coretest.NewIdentity(1).ID()
	coretest.TestConfigs[core.TopicValidator](t, "peers", []coretest.Config{
		{Name: "nobody", JSON: `{}`, WantErr: "want peers in at least one of them"},
		{Name: "no ID", JSON: `{"allow": ["alice"]}`, WantErr: "allow/0: "},
		{Name: "no ID to deny", JSON: fmt.Sprintf(`{"deny": [%q, "bob"]}`, id), WantErr: "deny/1: "},
		{Name: "verdict", JSON: fmt.Sprintf(`{"deny": [%q], "verdict": "kill"}`, id), WantErr: `want reject or ignore, have "kill"`},
	})
}
