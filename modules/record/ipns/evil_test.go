// SPDX-License-Identifier: Apache-2.0 OR MIT

package ipns

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

// field is a field of a message.
func field(num protowire.Number, v any) []byte {
	switch v := v.(type) {
	case int:
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), uint64(v))
	case string:
		return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), v)
	case []byte:
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), v)
	}
	panic("no such field")
}

// signedEntry is a record with any document, signed properly.
func signedEntry(t testing.TB, document []byte) []byte {
	t.Helper()
	signature, err := coretest.NewIdentity(1).Sign(append([]byte("ipns-signature:"), document...))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(field(entrySignatureV2, signature), field(entryData, document))
}

const goodEnd = "2000-01-02T00:00:00.000000000Z"

// document is one in CBOR, of pairs of a key and its encoded value.
func document(pairs ...string) []byte {
	b := appendHead(nil, cborMap, uint64(len(pairs)/2))
	for i := 0; i < len(pairs); i += 2 {
		b = appendString(b, cborText, pairs[i])
		b = append(b, pairs[i+1]...)
	}
	return b
}

func text(s string) string { return string(appendString(nil, cborText, s)) }
func data(s string) string { return string(appendString(nil, cborBytes, s)) }

// pairs are those of a good document, with some changed, added or, where the
// value is empty, left out.
func pairs(change ...string) []string {
	list := []string{"TTL", "\x00", "Value", data("/ipfs/x"), "Sequence", "\x01", "Validity", data(goodEnd), "ValidityType", "\x00"}
	for i := 0; i < len(change); i += 2 {
		k := slices.Index(list, change[i])
		switch {
		case k < 0:
			list = append(list, change[i:i+2]...)
		case change[i+1] == "":
			list = slices.Delete(list, k, k+2)
		default:
			list[k+1] = change[i+1]
		}
	}
	return list
}

// TestEvil_K2_Record is about records that a name's holder did not sign, or that
// are not records.
func TestEvil_K2_Record(t *testing.T) {
	own, other := coretest.NewIdentity(1), coretest.NewIdentity(2)
	good := signedEntry(t, document(pairs()...))
	v1 := slices.Concat(field(entryValue, "/ipfs/x"), field(entryValidityType, 0), field(entryValidity, goodEnd), field(entrySequence, 1))
	ownKey, otherKey := peer.MarshalPublicKey(own.PublicKey()), peer.MarshalPublicKey(other.PublicKey())
	signature := bytes.Repeat([]byte{1}, 64)
	for name, tt := range map[string]struct {
		b    []byte
		want error
	}{
		"good":                     {good, nil},
		"with its key":             {slices.Concat(good, field(entryPublicKey, ownKey)), nil},
		"with the old fields":      {slices.Concat(v1, good), nil},
		"old signature is nothing": {slices.Concat(v1, field(entrySignatureV1, signature), good), nil},
		"field of the future":      {slices.Concat(good, field(77, "x")), nil},

		"key of another":             {slices.Concat(good, field(entryPublicKey, otherKey)), record.ErrWrongPeer},
		"signed by another":          {seal(t, 2, Record{}), record.ErrSignature},
		"signed by another, says so": {slices.Concat(seal(t, 2, Record{}), field(entryPublicKey, otherKey)), record.ErrWrongPeer},
		"key is no key":              {slices.Concat(good, field(entryPublicKey, "key")), record.ErrInvalid},
		"signature is cut":           {slices.Concat(field(entrySignatureV2, signature[:63]), field(entryData, document(pairs()...))), record.ErrSignature},
		"no signature":               {field(entryData, document(pairs()...)), record.ErrInvalid},
		"old signature alone":        {slices.Concat(v1, field(entrySignatureV1, signature)), record.ErrInvalid},
		"no document":                {slices.Concat(v1, field(entrySignatureV2, signature)), record.ErrInvalid},
		"empty":                      {nil, record.ErrInvalid},

		"other value outside":    {slices.Concat(field(entryValue, "/ipfs/y"), v1[len(field(entryValue, "/ipfs/x")):], good), record.ErrInvalid},
		"other end outside":      {slices.Concat(field(entryValue, "/ipfs/x"), field(entryValidity, "2001"), field(entrySequence, 1), good), record.ErrInvalid},
		"other sequence outside": {slices.Concat(field(entryValue, "/ipfs/x"), field(entryValidity, goodEnd), field(entrySequence, 2), good), record.ErrInvalid},
		"other TTL outside":      {slices.Concat(v1, field(entryTTL, 5), good), record.ErrInvalid},
		"other type outside":     {slices.Concat(field(entryValue, "/ipfs/x"), field(entryValidityType, 1), field(entryValidity, goodEnd), field(entrySequence, 1), good), record.ErrInvalid},
		"old signature, no more": {slices.Concat(field(entrySignatureV1, signature), good), record.ErrInvalid},

		"two documents":        {slices.Concat(good, field(entryData, document(pairs()...))), record.ErrInvalid},
		"two signatures":       {slices.Concat(good, field(entrySignatureV2, signature)), record.ErrInvalid},
		"two keys":             {slices.Concat(good, field(entryPublicKey, ownKey), field(entryPublicKey, ownKey)), record.ErrInvalid},
		"document is a varint": {slices.Concat(field(entrySignatureV2, signature), field(entryData, 1)), record.ErrInvalid},
		"cut":                  {good[:len(good)-1], record.ErrInvalid},
		"10 KiB":               {slices.Concat(good, field(77, make([]byte, MaxSize-len(good)-5))), nil},
		"more than 10 KiB":     {slices.Concat(good, field(77, make([]byte, MaxSize-len(good)))), wire.ErrTooLarge},
	} {
		if _, err := Open(own.ID(), tt.b); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	rsa := coretest.GenerateIdentity(t, peer.RSA)
	if _, err := Open(rsa.ID(), good); !errors.Is(err, peer.ErrNoPublicKey) {
		t.Errorf("a name without key, and a record without: %v", err)
	}
}

// TestEvil_K2_Document is about documents that are signed, and nonsense.
func TestEvil_K2_Document(t *testing.T) {
	own := coretest.NewIdentity(1)
	deep := func(n int) string { return strings.Repeat("\x81", n) + "\x00" }
	for name, tt := range map[string]struct {
		document []byte
		ok       bool
	}{
		"good":                     {document(pairs()...), true},
		"in another order":         {document(append([]string{"Sequence", "\x01"}, pairs("Sequence", "")...)...), true},
		"without TTL":              {document(pairs("TTL", "")...), true},
		"without sequence":         {document(pairs("Sequence", "")...), true},
		"greatest TTL":             {document(pairs("TTL", "\x1b\xff\xff\xff\xff\xff\xff\xff\xff")...), true},
		"of others":                {document(pairs("_x", "\xa1\x61a\x82\xf5\xfb\x40\x09\x21\xfb\x54\x44\x2d\x18")...), true},
		"a link":                   {document(pairs("_x", "\xd8\x2a"+data("\x00\x01"))...), true},
		"16 levels":                {document(pairs("_x", deep(16))...), true},
		"17 levels":                {document(pairs("_x", deep(17))...), false},
		"5000 levels":              {document(pairs("_x", deep(5000))...), false},
		"no value":                 {document(pairs("Value", "")...), false},
		"value is text":            {document(pairs("Value", text("/ipfs/x"))...), false},
		"no end":                   {document(pairs("Validity", "")...), false},
		"end is no time":           {document(pairs("Validity", data("tomorrow"))...), false},
		"end is a number":          {document(pairs("Validity", "\x01")...), false},
		"no type of end":           {document(pairs("ValidityType", "")...), false},
		"another type of end":      {document(pairs("ValidityType", "\x01")...), false},
		"sequence below zero":      {document(pairs("Sequence", "\x20")...), false},
		"sequence is a float":      {document(pairs("Sequence", "\xfb\x00\x00\x00\x00\x00\x00\x00\x00")...), false},
		"TTL below zero":           {document(pairs("TTL", "\x20")...), false},
		"two sequences":            {document(append(pairs(), "Sequence", "\x02")...), false},
		"two of others":            {document(append(pairs("_x", "\x00"), "_x", "\x00")...), false},
		"long number":              {document(pairs("Sequence", "\x18\x01")...), false},
		"long number of 16 bits":   {document(pairs("Sequence", "\x19\x00\xff")...), false},
		"long number of 32 bits":   {document(pairs("Sequence", "\x1a\x00\x00\xff\xff")...), false},
		"long number of 64 bits":   {document(pairs("Sequence", "\x1b\x00\x00\x00\x00\xff\xff\xff\xff")...), false},
		"reserved length":          {document(pairs("_x", "\x1c")...), false},
		"indefinite bytes":         {document(pairs("Value", "\x5f\x41x\xff")...), false},
		"half a float":             {document(pairs("_x", "\xf9\x00\x00")...), false},
		"undefined":                {document(pairs("_x", "\xf7")...), false},
		"another tag":              {document(pairs("_x", "\xc0\x00")...), false},
		"text that is not UTF-8":   {document(pairs("_x", "\x61\xff")...), false},
		"key is a number":          {document(pairs("_x", "\xa1\x00\x00")...), false},
		"list of 2^64-1":           {document(pairs("_x", "\x9b\xff\xff\xff\xff\xff\xff\xff\xff")...), false},
		"map of 2^64-1":            {document(pairs("_x", "\xbb\xff\xff\xff\xff\xff\xff\xff\xff")...), false},
		"bytes of 2^64-1":          {document(pairs("_x", "\x5b\xff\xff\xff\xff\xff\xff\xff\xff")...), false},
		"document of 2^64-1":       {[]byte("\xbb\xff\xff\xff\xff\xff\xff\xff\xff"), false},
		"document is a list":       {[]byte("\x81\x00"), false},
		"document is indefinite":   {append([]byte{0xbf}, append(document(pairs()...)[1:], 0xff)...), false},
		"more behind the document": {append(document(pairs()...), 0), false},
		"key of document no text":  {[]byte("\xa1\x00\x00"), false},
		"5000 keys of others":      {document(append(pairs(), strings.Split(strings.Repeat("k,\x00,", 2000)+"k,\x00", ",")...)...), false},
	} {
		_, err := Open(own.ID(), signedEntry(t, tt.document))
		if tt.ok && err != nil || !tt.ok && !errors.Is(err, record.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEvil_K2_Expired refuses a record at the moment after its end, and not before.
func TestEvil_K2_Expired(t *testing.T) {
	v := validators(t)
	synctest.Test(t, func(t *testing.T) {
		key := "/ipns/" + string(coretest.NewIdentity(1).ID())
		b := seal(t, 1, Record{Validity: now.Add(time.Hour)})
		time.Sleep(time.Hour)
		if err := v.Validate(key, b); err != nil {
			t.Errorf("at its end: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := v.Validate(key, b); !errors.Is(err, record.ErrExpired) {
			t.Errorf("after its end: %v", err)
		}
		if err := v.Replaces(key, seal(t, 1, Record{Sequence: 0}), b); err != nil {
			t.Errorf("in the place of one that has ended: %v", err)
		}
	})
}

func TestEvil_K2_Older(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := validators(t)
		key := "/ipns/" + string(coretest.NewIdentity(1).ID())
		if err := v.Replaces(key, seal(t, 1, Record{Sequence: 4}), seal(t, 1, Record{Sequence: 5})); !errors.Is(err, record.ErrWorse) {
			t.Error(err)
		}
	})
}

// TestEvil_A2_FlippedBits flips each bit of a record: none but those of the field
// that the signature does not cover may remain valid.
func TestEvil_A2_FlippedBits(t *testing.T) {
	own := coretest.NewIdentity(1)
	good := seal(t, 1, Record{Value: []byte("/ipfs/bafkqaaa"), Sequence: 7})
	want, err := Open(own.ID(), good)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if got, err := Open(own.ID(), bad); err == nil {
			t.Errorf("bit %d: %v for %v", bit, got, want)
		}
	}
	for n := range good {
		if _, err := Open(own.ID(), good[:n]); err == nil {
			t.Errorf("opens cut to %d bytes", n)
		}
	}
}

func TestEvil_K2_Name(t *testing.T) {
	v := validators(t)
	b := seal(t, 1, Record{})
	id := coretest.NewIdentity(1).ID()
	for _, key := range []string{"/ipns/" + id.String(), "/ipns/" + id.CID(), "/ipns/" + string(id)[:20], "/ipns/" + string(id) + "x",
		"/ipns/\x12\x20", "/ipns/\xff"} {
		if err := v.Validate(key, b); !errors.Is(err, record.ErrInvalid) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if err := new(Validator).Validate("/pk/"+string(id), b); !errors.Is(err, record.ErrInvalid) {
		t.Errorf("another namespace: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	for _, vec := range vectors(f) {
		f.Add(string(vec.name), vec.b)
	}
	f.Add(string(coretest.NewIdentity(1).ID()), seal(f, 1, Record{Sequence: 5}))
	v := new(Validator)
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		r, err := Open(peer.ID(name), b)
		fresh, end, also := v.Lifetime(b)
		if err != nil {
			return
		}
		if also != nil || fresh != r.TTL || !end.Equal(r.Validity) {
			t.Errorf("lifetime %v, %v, %v of %v", fresh, end, also, r)
		}
		if i, err := v.Select(name, [][]byte{b, b}); i != 0 || err != nil {
			t.Errorf("selected %d, %v", i, err)
		}
	})
}

// FuzzReadMap signs whatever it is given, so that the decoder is what decides.
func FuzzReadMap(f *testing.F) {
	f.Add(document(pairs()...))
	f.Add(document(pairs("_x", "\xa1\x61a\x82\xf5\xfb\x40\x09\x21\xfb\x54\x44\x2d\x18")...))
	f.Add([]byte("\xbb\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys := make(map[string]bool)
		err := readMap(b, func(key string, value item) error {
			if keys[key] || len(value.data) > len(b) {
				return fmt.Errorf("%q again, or of %d bytes", key, len(value.data))
			}
			keys[key] = true
			return nil
		})
		if err != nil && !errors.Is(err, errCBOR) {
			t.Error(err)
		}
	})
}
