// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/mr-tron/base58"
	"github.com/multiformats/go-multibase"
)

// The text forms in the peer ID and AutoTLS specifications.
func TestSpecificationIDs(t *testing.T) {
	for _, tt := range []struct{ base58, cid string }{
		{"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe"},
		{"12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA", ""},
	} {
		id, err := Decode(tt.base58)
		if err != nil {
			t.Fatal(err)
		}
		if id.String() != tt.base58 {
			t.Errorf("%s prints as %s", tt.base58, id)
		}
		texts := []string{id.CID()}
		if tt.cid != "" {
			texts = append(texts, tt.cid)
		}
		for _, text := range texts {
			if other, err := Decode(text); err != nil || other != id {
				t.Errorf("Decode(%s) = %v, %v, want %v", text, other, err, id)
			}
		}
		if !strings.HasPrefix(id.CID(), "k") || strings.ToLower(id.CID()) != id.CID() || len(id.CID()) > 63 {
			t.Errorf("CID %s is no base 36 DNS label", id.CID())
		}
	}
}

func TestIDOfKeys(t *testing.T) {
	for _, tt := range []struct {
		kind    KeyType
		inlined bool
		id      string
	}{
		{Ed25519, true, "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"},
		{Secp256k1, true, "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY"},
		{ECDSA, false, "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk"},
		{RSA, false, "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG"},
	} {
		k := vectorKey(t, tt.kind).Public()
		id := FromPublicKey(k)
		if id.String() != tt.id {
			t.Errorf("%v: ID %v, want %v", tt.kind, id, tt.id)
		}
		if err := id.Validate(); err != nil {
			t.Errorf("%v: %v", tt.kind, err)
		}
		if !id.Matches(k) || id.Matches(nil) {
			t.Errorf("%v: matches wrongly", tt.kind)
		}
		for _, other := range allTypes {
			if other != tt.kind && id.Matches(vectorKey(t, other).Public()) {
				t.Errorf("%v: matches the %v key", tt.kind, other)
			}
		}
		got, err := id.PublicKey()
		if tt.inlined && (err != nil || !got.Equal(k)) {
			t.Errorf("%v: key within the ID: %v, %v", tt.kind, got, err)
		}
		if !tt.inlined && !errors.Is(err, ErrNoPublicKey) {
			t.Errorf("%v: key within the ID: error %v, want %v", tt.kind, err, ErrNoPublicKey)
		}
		if short := id.Short(); len(short) != 8 || !strings.HasSuffix(id.String(), short) {
			t.Errorf("%v: short form %q", tt.kind, short)
		}
		if other, err := FromBytes(id.Bytes()); err != nil || other != id {
			t.Errorf("%v: FromBytes(Bytes()) = %v, %v", tt.kind, other, err)
		}
	}
}

func TestDecodeMultibase(t *testing.T) {
	for _, kind := range allTypes {
		id := FromPublicKey(vectorKey(t, kind).Public())
		cid := append([]byte{1, 0x72}, id...)
		tried := 0
		for base := range multibase.EncodingToStr {
			if base == multibase.Identity {
				continue
			}
			text, err := multibase.Encode(base, cid)
			if err != nil {
				continue // listed, but not written
			}
			tried++
			if got, err := Decode(text); err != nil || got != id {
				t.Errorf("Decode(%s) = %v, %v, want %v", text, got, err, id)
			}
		}
		if tried < 15 {
			t.Errorf("%d multibases, want 15 at least", tried)
		}
	}
}

func TestEvil_B5_ID(t *testing.T) {
	id := FromPublicKey(vectorKey(t, RSA).Public())
	cid := func(b ...byte) string {
		text, err := multibase.Encode(multibase.Base32, b)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, text := range map[string]string{
		"empty":               "",
		"one":                 "1",
		"Qm":                  "Qm",
		"not base58":          "Qm0OIl" + id.String()[6:],
		"cut":                 id.String()[:len(id.String())-1],
		"extended":            id.String() + "1",
		"space":               " " + id.String(),
		"newline":             id.String() + "\n",
		"long base58":         "1" + strings.Repeat("z", 1<<20),
		"long multibase":      "b" + strings.Repeat("a", 1<<20),
		"long unknown base":   strings.Repeat("!", 1<<20),
		"base58 CID, no z":    base58.Encode(append([]byte{1, 0x72}, id...)),
		"no multibase":        "/ip4/127.0.0.1",
		"identity multibase":  "\x00\x01\x72" + string(id),
		"empty multibase":     "b",
		"CID version 0":       cid(append([]byte{0, 0x72}, id...)...),
		"CID version 2":       cid(append([]byte{2, 0x72}, id...)...),
		"dag-pb":              cid(append([]byte{1, 0x70}, id...)...),
		"raw":                 cid(append([]byte{1, 0x55}, id...)...),
		"codec not minimal":   cid(append([]byte{1, 0xf2, 0x00}, id...)...),
		"CID with nothing":    cid(1, 0x72),
		"CID extended":        cid(append(append([]byte{1, 0x72}, id...), 0)...),
		"long identity":       cid(append([]byte{1, 0x72, 0, 43}, make([]byte, 43)...)...),
		"SHA-1":               cid(append([]byte{1, 0x72, 0x11, 20}, make([]byte, 20)...)...),
		"SHA-512":             cid(append([]byte{1, 0x72, 0x13, 64}, make([]byte, 64)...)...),
		"SHA-256, cut":        cid(append([]byte{1, 0x72, 0x12, 20}, make([]byte, 20)...)...),
		"empty identity hash": cid(1, 0x72, 0, 0),
	} {
		if got, err := Decode(text); !errors.Is(err, ErrInvalidID) || len(err.Error()) > 500 {
			t.Errorf("%s: Decode = %q, error %.300v, want %v", name, string(got), err, ErrInvalidID)
		}
		var un ID
		if err := un.UnmarshalText([]byte(text)); text != "" && !errors.Is(err, ErrInvalidID) {
			t.Errorf("%s: UnmarshalText: error %v", name, err)
		}
	}
	for name, b := range map[string]string{
		"nothing":           "",
		"one byte":          "\x00",
		"two bytes":         "\x00\x00",
		"length too great":  "\x00\x05abcd",
		"length too small":  "\x00\x03abcd",
		"SHA-256 of 31":     "\x12\x1f" + strings.Repeat("a", 31),
		"SHA-256 of 33":     "\x12\x21" + strings.Repeat("a", 33),
		"identity of 43":    "\x00\x2b" + strings.Repeat("a", 43),
		"length not a byte": "\x00\x80\x01" + strings.Repeat("a", 128),
		"megabyte":          "\x00" + strings.Repeat("a", 1<<20),
	} {
		if _, err := FromBytes([]byte(b)); !errors.Is(err, ErrInvalidID) {
			t.Errorf("%s: FromBytes: error %v", name, err)
		}
		if _, err := ID(b).PublicKey(); !errors.Is(err, ErrInvalidID) {
			t.Errorf("%s: PublicKey: error %v", name, err)
		}
		if b != "" && ID(b).String() == "" {
			t.Errorf("%s: prints as nothing", name)
		}
	}
	// The form is right, the key within is not.
	for name, b := range map[string]string{
		"no key":         "\x00\x04abcd",
		"zero key":       "\x00\x24\x08\x01\x12\x20" + strings.Repeat("\x00", 32),
		"tiny RSA key":   "\x00\x05\x08\x00\x12\x01\x00",
		"type 0, no DER": "\x00\x24\x08\x00\x12\x20" + strings.Repeat("\x01", 32),
	} {
		id, err := FromBytes([]byte(b))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := id.PublicKey(); !errors.Is(err, ErrInvalidKey) {
			t.Errorf("%s: PublicKey: error %v, want %v", name, err, ErrInvalidKey)
		}
	}
}

func TestIDText(t *testing.T) {
	id := FromPublicKey(vectorKey(t, Ed25519).Public())
	type doc struct {
		Peer  ID
		None  ID
		Names []ID
	}
	want := doc{Peer: id, Names: []ID{id}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if text := `{"Peer":"` + id.String() + `","None":"","Names":["` + id.String() + `"]}`; string(b) != text {
		t.Errorf("JSON %s, want %s", b, text)
	}
	var got doc
	if err := json.Unmarshal(b, &got); err != nil || got.Peer != id || got.None != "" || got.Names[0] != id {
		t.Errorf("JSON back: %v, %v", got, err)
	}
	var none ID
	if none.String() != "" || none.CID() != "" || none.Short() != "" || none.Validate() == nil {
		t.Error("the zero ID is not empty")
	}
	if ID("\x00\x01a").Short() == "" {
		t.Error("no short form of a short ID")
	}
}

func BenchmarkID(b *testing.B) {
	k := vectorKey(b, Ed25519).Public()
	id := FromPublicKey(k)
	text, raw := id.String(), id.Bytes()
	for name, f := range map[string]func(){
		"FromPublicKey": func() { FromPublicKey(k) },
		"FromBytes":     func() { _, _ = FromBytes(raw) },
		"String":        func() { _ = id.String() },
		"Decode":        func() { _, _ = Decode(text) },
		"PublicKey":     func() { _, _ = id.PublicKey() },
		"Matches":       func() { id.Matches(k) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
