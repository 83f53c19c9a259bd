// SPDX-License-Identifier: Apache-2.0 OR MIT

package yaml

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAdapt(t *testing.T) {
	for _, tc := range []struct{ name, yaml, want, wantErr string }{
		{"a node", "# mine\napps:\n  xnode:\n    listen: [/ip4/127.0.0.1/tcp/0]\n    muxers:\n      - module: yamux\n    protocols: {ping: {}}\n",
			`{"apps":{"xnode":{"listen":["/ip4/127.0.0.1/tcp/0"],"muxers":[{"module":"yamux"}],"protocols":{"ping":{}}}}}`, ""},
		{"scalars", "[1, 1.5, true, null, text, '1', 2m]", `[1,1.5,true,null,"text","1","2m"]`, ""},
		{"anchors", "a: &x {b: 1}\nc: *x", `{"a":{"b":1},"c":{"b":1}}`, ""},
		{"words that are booleans elsewhere", "a: on\nb: no", `{"a":"on","b":"no"}`, ""},
		{"nothing", "", "", "empty"},
		{"two documents", "a: 1\n---\nb: 2", "", "line 2: there is a second document"},
		{"a number as a key", "1: a", "", `line 1: the key "1" is no string`},
		{"a merge", "a: &x {b: 1}\nc:\n  <<: *x", "", "line 3"},
		{"a time", "a: 2026-01-01", "", "line 1"},
		{"a tab", "a:\n\tb: 1", "", "line 2"},
		{"not a number", "a: .nan", "", "line 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, _, err := Adapter{}.Adapt([]byte(tc.yaml), nil)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("%s, %v, want an error with %q", got, err, tc.wantErr)
				}
				return
			}
			if err != nil || string(got) != tc.want {
				t.Errorf("%s, %v, want %s", got, err, tc.want)
			}
		})
	}
}

// Anchors that make a gigabyte of a few hundred bytes do not.
func TestAnchorsAreBounded(t *testing.T) {
	text := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 10; i++ {
		from, to := string(rune('0'+i-1)), string(rune('0'+i))
		text += "a" + to + ": &a" + to + " [" + strings.TrimSuffix(strings.Repeat("*a"+from+",", 10), ",") + "]\n"
	}
	if _, _, err := (Adapter{}).Adapt([]byte(text), nil); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%v", err)
	}
}

func FuzzAdapt(f *testing.F) {
	f.Add("a: &x {b: 1}\nc: *x")
	f.Add("- 1\n- [a, {b: c}]")
	f.Fuzz(func(t *testing.T, text string) {
		got, _, err := Adapter{}.Adapt([]byte(text), nil)
		if err == nil && !json.Valid(got) {
			t.Errorf("%q: %q", text, got)
		}
	})
}
