// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"strings"
	"testing"
)

func TestScenarios(t *testing.T) {
	for _, s := range scenarios(8) {
		if s.nodes < 4 || len(s.script) == 0 || len(s.wants)+s.groups == 0 {
			t.Errorf("%s: %d nodes, %d steps, %d messages, %d groups", s.name, s.nodes, len(s.script), len(s.wants), s.groups)
		}
		for id, to := range s.wants {
			if len(to) < 2 {
				t.Errorf("%s: message %s is for %v", s.name, id, to)
			}
		}
	}
}

func TestCount(t *testing.T) {
	const (
		hello   = `{"msg":"PeerID","id":"12D3","node_id":1}` + "\n"
		message = `{"msg":"Received Message","id":"7","from":"x"}` + "\n"
		parts   = `{"msg":"All parts received","group id":1}` + "\n"
	)
	for _, tc := range []struct{ log, want string }{
		{hello + message + "no JSON\n" + message + parts, ""},
		{message + parts, "has not said who it is"},
		{hello + parts, "message 7 has not come"},
		{hello + message, "has completed 0 of 1 groups"},
	} {
		s := &scenario{wants: map[string][]int{"7": {0, 1}, "8": {0}}, groups: 1, expected: 2}
		s.count(1, "x", []byte(tc.log))
		err := s.verdict()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.log, err, tc.want)
		}
	}
}
