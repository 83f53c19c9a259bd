// SPDX-License-Identifier: Apache-2.0 OR MIT

package record

import (
	"strings"
	"testing"
)

func TestKeyText(t *testing.T) {
	id := newSigner(1).id()
	ipns, pk := "/ipns/"+string(id), "/pk/"+string(id)
	for text, want := range map[string]string{
		"/ipns/" + id.CID():                 ipns,
		"/ipns/" + id.String():              ipns,
		"/pk/" + id.String():                pk,
		"/pk/" + id.CID():                   pk,
		"/v/hello":                          "/v/hello",
		"/ipns/example.org":                 "",
		"/ipns/" + string(id):               "",
		"/pk/" + id.String() + "/":          "",
		"/v":                                "",
		"":                                  "",
		"/v/" + strings.Repeat("k", MaxKey): "",
	} {
		got, err := ParseKey(text)
		if want == "" && err == nil || want != "" && (err != nil || got != want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for key, want := range map[string]string{
		ipns:           "/ipns/" + id.CID(),
		pk:             "/pk/" + id.String(),
		"/v/hello":     "/v/hello",
		"/v/\x1b[2J":   `/v/\x1b[2J`,
		"/pk/\x00\x01": `/pk/\x00\x01`,
		"":             "",
	} {
		if got := KeyText(key); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

func FuzzKeyText(f *testing.F) {
	f.Add("/ipns/" + string(newSigner(1).id()))
	f.Add("/pk/" + newSigner(1).id().String())
	f.Add("/v/k")
	f.Fuzz(func(t *testing.T, key string) {
		_, _ = ParseKey(key)
		text := KeyText(key)
		again, err := ParseKey(text)
		if text != key && err == nil && !strings.Contains(text, `\`) && again != key && len(key) <= MaxKey {
			t.Errorf("%q is shown as %q, which is %q", key, text, again)
		}
	})
}
