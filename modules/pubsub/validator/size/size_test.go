// SPDX-License-Identifier: Apache-2.0 OR MIT

package size_test

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/pubsub/validator/size"
)

func TestValidator(t *testing.T) {
	message := func(data string) *core.TopicMessage { return coretest.NewTopicMessage(1, 1, data) }
	coretest.TestTopicValidator(t, coretest.TopicValidatorOptions{
		New: func(t *testing.T) core.TopicValidator {
			return coretest.MustLoad[core.TopicValidator](t, "size", `{"min": "2B", "max": "4B"}`)
		},
		Cases: []coretest.TopicCase{
			{Name: "empty", Message: message(""), Want: core.TopicReject},
			{Name: "too small", Message: message("1"), Want: core.TopicReject},
			{Name: "smallest", Message: message("12"), Want: core.TopicAccept},
			{Name: "largest", Message: message("1234"), Want: core.TopicAccept},
			{Name: "too large", Message: message("12345"), Want: core.TopicReject},
		},
	})
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.TopicValidator](t, "size", []coretest.Config{
		{Name: "max", JSON: `{"max": "1KiB"}`},
		{Name: "nothing", JSON: `{}`, WantErr: "max: want the largest size"},
		{Name: "min above max", JSON: `{"min": "2KiB", "max": "1KiB"}`, WantErr: "min: want 0 to max (1KiB), have 2KiB"},
		{Name: "unknown key", JSON: `{"maximum": 1}`, WantErr: "unknown field"},
	})
}
