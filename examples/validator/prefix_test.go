// SPDX-License-Identifier: Apache-2.0 OR MIT

package prefix

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestContract(t *testing.T) {
	coretest.TestTopicValidator(t, coretest.TopicValidatorOptions{
		New: func(t *testing.T) core.TopicValidator {
			return coretest.MustLoad[core.TopicValidator](t, "prefix", `{"prefix": "v1:"}`)
		},
		Cases: []coretest.TopicCase{
			{Name: "good", Message: coretest.NewTopicMessage(1, 1, "v1:hello"), Want: core.TopicAccept},
			{Name: "bad", Message: coretest.NewTopicMessage(1, 1, "v2:hello"), Want: core.TopicReject},
			{Name: "empty", Message: coretest.NewTopicMessage(0, 0, ""), Want: core.TopicReject},
		},
	})
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.TopicValidator](t, "prefix", []coretest.Config{
		{Name: "a prefix", JSON: `{"prefix": "v1:"}`},
		{Name: "none", JSON: `{}`, WantErr: "prefix: it is missing"},
		{Name: "unknown key", JSON: `{"prefx": "x"}`, WantErr: `unknown field "prefx"`},
	})
}
