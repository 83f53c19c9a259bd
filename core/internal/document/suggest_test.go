// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"strings"
	"testing"
)

func TestEditDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"abc", "xabc", 1},
		{"tpc", "tcp", 1}, {"kitten", "sitting", 3}, {"keepalife", "keepalive", 1}, {"flaw", "lawn", 2}, {"a", "b", 1}, {"ab", "ba", 1},
	} {
		if got := editDistance(tc.a, tc.b); got != tc.want {
			t.Errorf("%q, %q: %d, want %d", tc.a, tc.b, got, tc.want)
		}
		if got := editDistance(tc.b, tc.a); got != tc.want {
			t.Errorf("%q, %q: %d, want %d", tc.b, tc.a, got, tc.want)
		}
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"listen", "muxers", "nat", "tcp", "transports"}
	list := "it has: listen, muxers, nat, tcp, transports"
	for _, tc := range []struct{ name, want string }{
		{"transport", `did you mean "transports"?`}, {"TRANSPORTS", `did you mean "transports"?`}, {"listne", `did you mean "listen"?`},
		{"muxer", `did you mean "muxers"?`}, {"tpc", `did you mean "tcp"?`}, {"tcpp", `did you mean "tcp"?`}, {"nta", `did you mean "nat"?`}, {"", list}, {"x", list},
		{"quite-another-thing", list}, {strings.Repeat("transports", 1e6), list},
	} {
		if got := suggest(tc.name, known, "it has"); got != tc.want {
			t.Errorf("%.40q: got %q, want %q", tc.name, got, tc.want)
		}
	}
	if got := suggest("x", nil, "it has"); got != "remove it" {
		t.Errorf("nothing known: %q", got)
	}
}

func TestSplitRemedy(t *testing.T) {
	for _, tc := range []struct{ text, problem, remedy string }{
		{"", "", ""},
		{"bad", "bad", ""},
		{"bad; remove it", "bad", "remove it"},
		{"a; b; remove it", "a; b", "remove it"},
		{"; odd", "; odd", ""},
		{`3 is no duration; write "3s"`, "3 is no duration", `write "3s"`},
		{`3 is no duration: write "3s"`, "3 is no duration", `write "3s"`},
		{"x is no rule: write a peer ID: or not", "x is no rule", "write a peer ID: or not"},
		{"file: write /x: no space left on device", "file: write /x: no space left on device", ""},
	} {
		if problem, remedy := splitRemedy(tc.text); problem != tc.problem || remedy != tc.remedy {
			t.Errorf("%q: got %q and %q, want %q and %q", tc.text, problem, remedy, tc.problem, tc.remedy)
		}
	}
}
