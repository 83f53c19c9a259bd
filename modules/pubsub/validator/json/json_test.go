// SPDX-License-Identifier: Apache-2.0 OR MIT

package json_test

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/pubsub/validator/json"
)

func message(data string) *core.TopicMessage { return coretest.NewTopicMessage(1, 1, data) }

func TestAnyJSON(t *testing.T) {
	coretest.TestTopicValidator(t, coretest.TopicValidatorOptions{
		New: func(t *testing.T) core.TopicValidator {
			return coretest.MustLoad[core.TopicValidator](t, "json", `{}`)
		},
		Cases: []coretest.TopicCase{
			{Name: "number", Message: message(" 1 "), Want: core.TopicAccept},
			{Name: "object", Message: message(`{"a": [null]}`), Want: core.TopicAccept},
			{Name: "empty", Message: message(""), Want: core.TopicReject},
			{Name: "text", Message: message("hello"), Want: core.TopicReject},
			{Name: "two values", Message: message("1 2"), Want: core.TopicReject},
			{Name: "cut off", Message: message(`{"a": 1`), Want: core.TopicReject},
			{Name: "no UTF-8", Message: message("\"\xff\""), Want: core.TopicReject},
		},
	})
}

func TestRequired(t *testing.T) {
	coretest.TestTopicValidator(t, coretest.TopicValidatorOptions{
		New: func(t *testing.T) core.TopicValidator {
			return coretest.MustLoad[core.TopicValidator](t, "json", `{"required": ["id", "text"]}`)
		},
		Cases: []coretest.TopicCase{
			{Name: "all", Message: message(`{"x": {"id": 1}, "text": null, "id": []}`), Want: core.TopicAccept},
			{Name: "twice", Message: message(`{"text": 1, "id": 1, "id": 2}`), Want: core.TopicAccept},
			{Name: "one is missing", Message: message(`{"id": 1}`), Want: core.TopicReject},
			{Name: "within another", Message: message(`{"id": {"text": 1}}`), Want: core.TopicReject},
			{Name: "as a value", Message: message(`{"id": "text"}`), Want: core.TopicReject},
			{Name: "array", Message: message(`["id", "text"]`), Want: core.TopicReject},
			{Name: "number", Message: message(`1`), Want: core.TopicReject},
		},
	})
}
