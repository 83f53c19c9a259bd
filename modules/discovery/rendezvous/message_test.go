// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

// The messages byte for byte as rust-libp2p's definitions have them (rpc.proto,
// proto2, every field that it sets, in ascending order), by hand.
func TestGoldenMessages(t *testing.T) {
	h := func(s string) string { return hex.EncodeToString([]byte(s)) }
	for name, tc := range map[string]struct {
		m    message
		want string
	}{
		"register": {
			message{kind: register, namespace: new("foo"), record: []byte{1, 2, 3}, ttl: new(uint64(7200))},
			"0800" + "120d" + "0a03" + h("foo") + "1203010203" + "18a038"},
		"register, for as long as usual": {
			message{kind: register, namespace: new("foo"), record: []byte{1, 2, 3}},
			"0800" + "120a" + "0a03" + h("foo") + "1203010203"},
		"registered": {
			message{kind: registerResponse, ttl: new(uint64(7200))},
			"0801" + "1a05" + "0800" + "18a038"},
		"not registered": {
			message{kind: registerResponse, status: invalidTTL, text: "no"},
			"0801" + "1a06" + "0866" + "1202" + h("no")},
		"unregister": {
			message{kind: unregister, namespace: new("foo")},
			"0802" + "2205" + "0a03" + h("foo")},
		"discover": {
			message{kind: discover, namespace: new("foo"), limit: new(uint64(100)), cookie: []byte("abc")},
			"0803" + "2a0c" + "0a03" + h("foo") + "1064" + "1a03" + h("abc")},
		"discover all": {
			message{kind: discover},
			"0803" + "2a00"},
		"found": {
			message{kind: discoverResponse, cookie: []byte("12345678"), found: []registration{{"foo", []byte{1, 2, 3}, 7200}}},
			"0804" + "321b" + "0a0d" + "0a03" + h("foo") + "1203010203" + "18a038" + "1208" + h("12345678") + "1800"},
		"not found": {
			message{kind: discoverResponse, status: invalidCookie},
			"0804" + "3202" + "1867"},
	} {
		got := tc.m.marshal()
		if hex.EncodeToString(got) != tc.want {
			t.Errorf("%s: %x, want %s", name, got, tc.want)
		}
		back, err := unmarshal(got)
		if err != nil || !reflect.DeepEqual(*back, tc.m) {
			t.Errorf("%s: read back as %+v, %v", name, back, err)
		}
	}
}

func TestMalformedMessages(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":             "",
		"unknown type":        "0805" + "3a00",
		"part of another":     "0800" + "2a00",
		"type is text":        "0a00",
		"part is a number":    "0800" + "1000",
		"namespace: a number": "0800" + "12020801",
		"ttl: text":           "0800" + "12021a00",
		"cut":                 "0800" + "120d0a",
		"limit: text":         "0803" + "2a021200",
		"group":               "0800" + "0b0c",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := unmarshal(b); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	// Without a type it is a registration.
	if m, err := unmarshal([]byte("\x12\x05\x0a\x03foo")); err != nil || m.kind != register || *m.namespace != "foo" {
		t.Errorf("%+v, %v", m, err)
	}
	// Fields that we do not know are left out, as those of py-libp2p.
	b, _ := hex.DecodeString("0802" + "2208" + "0a03666f6f" + "120101" + "f20100")
	if m, err := unmarshal(b); err != nil || *m.namespace != "foo" {
		t.Errorf("%+v, %v", m, err)
	}
}

// More registrations in an answer than a point may send are no answer.
func TestEvil_R11_LongAnswer(t *testing.T) {
	m := message{kind: discoverResponse}
	for range maxRegistrations + 1 {
		m.found = append(m.found, registration{"a", nil, 1})
	}
	if _, err := unmarshal(m.marshal()); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
}

func FuzzMessage(f *testing.F) {
	for _, m := range []message{
		{kind: register, namespace: new("foo"), record: []byte{1}, ttl: new(uint64(1))},
		{kind: registerResponse, text: "x"}, {kind: unregister, namespace: new("")}, {kind: discover, cookie: []byte{}},
		{kind: discoverResponse, found: []registration{{"a", []byte{1}, 2}}},
	} {
		f.Add(m.marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := unmarshal(b)
		if err != nil {
			return
		}
		again, err := unmarshal(m.marshal())
		if err != nil || !bytes.Equal(again.marshal(), m.marshal()) {
			t.Fatalf("%+v, %v", again, err)
		}
	})
}
