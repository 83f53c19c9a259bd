// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"os"
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	const (
		hello   = `{"msg":"PeerID","id":"12D3","node_id":1}` + "\n"
		message = `{"msg":"Received Message","id":"7","from":"x"}` + "\n"
		parts   = `{"msg":"All parts received","group id":5}` + "\n"
		other   = `{"msg":"All parts received","group id":6}` + "\n"
	)
	for _, tc := range []struct{ log, want string }{
		{hello + message + "no JSON\n" + message + parts, ""},
		{message + parts, "has not said who it is"},
		{hello + parts, "message 7 has not come"},
		{hello + message, "has not all parts of group 5"},
		{hello + message + other + other, "has not all parts of group 5"},
	} {
		s := &scenario{outcome: outcome{wants: map[string][]int{"7": {0, 1}, "8": {0}}, groups: map[int][]uint64{1: {5}, 0: {6}}}, expected: 2}
		s.count(1, "x", []byte(tc.log))
		err := s.verdict()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.log, err, tc.want)
		}
	}
}

func TestKeep(t *testing.T) {
	s := &scenario{name: "n", logs: t.TempDir()}
	if err := s.keep(3, "peer", []byte("said")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(s.logs + "/n/hosts/node3/peer.stdout"); string(got) != "said" {
		t.Errorf("%q, %v", got, err)
	}
}
