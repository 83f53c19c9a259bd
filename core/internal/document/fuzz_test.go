// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// seeds are documents with the mistakes that the tables know.
var seeds = []string{
	``, `{}`, `[1,]`, "{\"a\": 1\r\n\t\"b\": 2}", `{"a":1,"a":2}`, `nul`, `{"a":"\x"}`, "\xef\xbb\xbf{}", "\"\xff\"", nested(70),
	`{"apps": {"xnode": {}}, "admin": {"listen": "0.0.0.0:1"}, "@id": 1}`,
	`{"apps": {"probe": {"sections": {"kinds": {"bool": 1, "int8": 300, "@id": "x"}, "kindz": {}}}}}`,
	`{"apps": {"probe": {"list": [{"module": "kinds"}, {"Module": "x"}, {"module": 3}, null], "one": {"module": "own", "n": "x"}}}}`,
	`{"apps": {"probe": {"pointer": {"module": "own"}, "sections": null, "list": {}}, "probé": null}}`,
}

// checkPlaces fails unless every mistake lies within the text.
func checkPlaces(t *testing.T, text []byte, err error) {
	t.Helper()
	lines := bytes.Split(text, []byte("\n"))
	for _, e := range mistakes(err) {
		if len(text) > maxSize && e.Line == 0 {
			continue
		}
		if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > len(lines[e.Line-1])+1 {
			t.Errorf("%q: line %d, column %d is outside: %v", text, e.Line, e.Column, e)
		}
		if e.Problem == "" {
			t.Errorf("%q: no problem: %v", text, e)
		}
	}
}

func mistakes(err error) []*Error {
	if one := new(Error); errors.As(err, &one) && error(one) == err {
		return []*Error{one}
	}
	var list []*Error
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			list = append(list, mistakes(e)...)
		}
	}
	return list
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Parse(text)
		if err == nil {
			if !json.Valid(text) {
				t.Errorf("%q is no JSON but parses", text)
			}
			return
		}
		if d != nil || len(mistakes(err)) != 1 {
			t.Errorf("%q: got %v, %v, want one mistake", text, d, err)
		}
		checkPlaces(t, text, err)
	})
}

func FuzzCheck(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), "loading new config: loading xnode app module: provision xnode: transports: tcp: x; y")
	}
	f.Add([]byte(`{"apps": {"xnode": {"listen": ["/memory/1"]}}}`), "listen /memory/1: a: b\nstarting caddy administration endpoint: c")
	f.Fuzz(func(t *testing.T, text []byte, message string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		checkPlaces(t, text, d.Check())
		located := d.Locate(errors.New(message))
		if len(bytes.TrimSpace([]byte(message))) > 0 && located == nil {
			t.Errorf("%q vanished", message)
		}
		checkPlaces(t, text, located)
	})
}
