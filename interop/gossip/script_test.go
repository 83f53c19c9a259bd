// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFollow(t *testing.T) {
	const (
		in    = `{"type": "subscribeToTopic", "topicID": "a"}`
		parts = `{"type": "subscribeToTopic", "topicID": "a", "partial": true}`
		say   = `{"type": "publish", "messageID": 7, "messageSizeBytes": 8, "topicID": "a"}`
		offer = `{"type": "publishPartial", "topicID": "a", "groupID": 1}`
	)
	at := func(node, what string) string {
		return `{"type": "ifNodeIDEquals", "nodeID": ` + node + `, "instruction": ` + what + `}`
	}
	have := func(bits string) string {
		return `{"type": "addPartialMessage", "topicID": "a", "groupID": 1, "parts": ` + bits + `}`
	}
	for _, tc := range []struct {
		name   string
		script []string
		want   outcome
	}{
		{"to all but who publishes", []string{in, at("2", say)}, outcome{nodes: 3, wants: map[string][]int{"7": {0, 1}}}},
		{"to those who were there", []string{at("0", in), at("1", say), at("2", in)}, outcome{nodes: 3, wants: map[string][]int{"7": {0}}}},
		{"waits", []string{`{"type": "waitUntil", "elapsedSeconds": 30}`, `{"type": "connect", "connectTo": [1]}`},
			outcome{nodes: 2, lasts: 30 * time.Second}},
		{"parts of all", []string{parts, at("0", have("240")), at("1", have("8")), at("1", have("7")), offer},
			outcome{nodes: 2, groups: map[int][]uint64{0: {1}, 1: {1}}}},
		{"parts of some", []string{parts, at("0", have("240")), at("1", have("8")), offer}, outcome{nodes: 2}},
		{"parts that nobody publishes", []string{parts, at("0", have("255")), at("1", have("0"))},
			outcome{nodes: 2, groups: map[int][]uint64{0: {1}}}},
		{"parts for who wants them", []string{at("1", parts), at("2", in), at("0", have("255")), at("0", offer)},
			outcome{nodes: 3, groups: map[int][]uint64{0: {1}, 1: {1}}}},
	} {
		if tc.want.wants == nil {
			tc.want.wants = make(map[string][]int)
		}
		if tc.want.groups == nil {
			tc.want.groups = make(map[int][]uint64)
		}
		got, err := follow([]byte(`{"script": [` + strings.Join(tc.script, ",") + `]}`))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		} else if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
	for _, tc := range []struct{ script, want string }{
		{`{"type": "waitUntil"}, {"type": "dance"}`, `script/1: "dance": no such instruction`},
		{`{"type": "ifNodeIDEquals", "nodeID": 1}`, "script/0: ifNodeIDEquals: no instruction"},
		{`{"type": "addPartialMessage", "parts": 256}`, "parts"},
	} {
		if _, err := follow([]byte(`{"script": [` + tc.script + `]}`)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.script, err, tc.want)
		}
	}
}

// Something arrives, and at many nodes, by all scripts.
func TestScripts(t *testing.T) {
	dir := t.TempDir()
	for _, nodes := range []int{4, 8, 30} {
		files, err := writeScripts(dir, nodes)
		if err != nil || len(files) != 5 {
			t.Fatalf("%q, %v", files, err)
		}
		for _, file := range files {
			s, err := newScenario("x", file)
			if err != nil {
				t.Fatal(err)
			}
			if s.nodes < nodes/2 || s.lasts < 10*time.Second || s.expected < nodes/2 {
				t.Errorf("%s: %d nodes for %s, %d expected", file, s.nodes, s.lasts, s.expected)
			}
			for id, to := range s.wants {
				if len(to) < nodes/2-2 {
					t.Errorf("%s: message %s is for %v", file, id, to)
				}
			}
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	const script = `{"script": [{"type": "subscribeToTopic", "topicID": "a"}, {"type": "connect", "connectTo": [1]},
		{"type": "ifNodeIDEquals", "nodeID": 0, "instruction": {"type": "publish", "messageID": 1, "topicID": "a"}}]}`
	for _, file := range []string{"one.json", "two/params.json", "two/other.txt"} {
		if err := os.MkdirAll(dir+"/two", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+file, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		o         options
		want, err string
	}{
		{options{params: dir}, "one two", ""},
		{options{params: dir, only: "two"}, "two", ""},
		{options{params: dir + "/one.json"}, "one", ""},
		{options{params: dir, only: "three"}, "", "0 scenarios"},
		{options{params: dir + "/none"}, "", "none"},
		{options{params: dir + "/two/other.txt", only: "other.txt"}, "other.txt", ""},
	} {
		all, err := tc.o.scenarios(t.TempDir())
		var names []string
		for _, s := range all {
			names = append(names, s.name)
		}
		if got := strings.Join(names, " "); got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%+v: %s, %v", tc.o, got, err)
		}
	}
}
