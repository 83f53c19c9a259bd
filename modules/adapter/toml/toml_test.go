// SPDX-License-Identifier: Apache-2.0 OR MIT

package toml

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAdapt(t *testing.T) {
	for _, tc := range []struct{ name, toml, want, wantErr string }{
		{"a node", "[apps.xnode]\nlisten = ['/ip4/127.0.0.1/tcp/0']\n[[apps.xnode.muxers]]\nmodule = 'yamux'\n[apps.xnode.protocols.ping]\n",
			`{"apps":{"xnode":{"listen":["/ip4/127.0.0.1/tcp/0"],"muxers":[{"module":"yamux"}],"protocols":{"ping":{}}}}}`, ""},
		{"scalars", "a = [1, 1.5, true, 'x']", `{"a":[1,1.5,true,"x"]}`, ""},
		{"a time", "[a]\nb = 2026-01-01", "", "a: b: 2026-01-01"},
		{"a mistake", "a = \n", "", "line 1"},
		{"twice", "a = 1\na = 2", "", "line 2"},
		{"not a number", "a = nan", "", "unsupported value"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, _, err := Adapter{}.Adapt([]byte(tc.toml), nil)
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

func FuzzAdapt(f *testing.F) {
	f.Add("[a]\nb = [1, {c = 'd'}]")
	f.Fuzz(func(t *testing.T, text string) {
		got, _, err := Adapter{}.Adapt([]byte(text), nil)
		if err == nil && !json.Valid(got) {
			t.Errorf("%q: %q", text, got)
		}
	})
}
