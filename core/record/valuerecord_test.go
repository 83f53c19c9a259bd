// SPDX-License-Identifier: Apache-2.0 OR MIT

package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core/wire"
)

// The encoding of each field, by hand from the specification.
func TestValueRecordGolden(t *testing.T) {
	r := &ValueRecord{Key: "/v/hello", Value: []byte("world"),
		TimeReceived: time.Date(2022, 7, 1, 14, 0, 0, 5e6, time.FixedZone("", 7200))}
	want := "0a08" + hex.EncodeToString([]byte("/v/hello")) + "1205" + hex.EncodeToString([]byte("world")) +
		"2a18" + hex.EncodeToString([]byte("2022-07-01T12:00:00.005Z"))
	if got := hex.EncodeToString(r.Marshal()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	var again ValueRecord
	if err := again.Unmarshal(r.Marshal()); err != nil || again.Key != r.Key || !bytes.Equal(again.Value, r.Value) ||
		!again.TimeReceived.Equal(r.TimeReceived) {
		t.Errorf("%v, %v", again, err)
	}
	if b := (&ValueRecord{}).Marshal(); len(b) != 0 {
		t.Errorf("an empty record is %x", b)
	}
}

func TestValueRecordTimes(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2022-07-01T14:00:00.000000000Z":      time.Date(2022, 7, 1, 14, 0, 0, 0, time.UTC),
		"2022-07-01T14:00:00Z":                time.Date(2022, 7, 1, 14, 0, 0, 0, time.UTC),
		"2022-07-01T14:00:00.123456789+02:00": time.Date(2022, 7, 1, 12, 0, 0, 123456789, time.UTC),
		"1656676800.25":                       {}, // what older py-libp2p sends
		"":                                    {},
		"yesterday":                           {},
		"2022-07-01T14:00:00." + strings.Repeat("0", 100) + "Z": {},
	} {
		var r ValueRecord
		if err := r.Unmarshal(appendBytes(nil, valueTimeReceived, []byte(text))); err != nil || !r.TimeReceived.Equal(want) {
			t.Errorf("%s: %v, %v", text, r.TimeReceived, err)
		}
	}
}

func TestEvil_B3_ValueRecord(t *testing.T) {
	key, value := appendBytes(nil, valueKey, []byte("/v/k")), appendBytes(nil, valueValue, []byte("x"))
	received := appendBytes(nil, valueTimeReceived, []byte("2022-07-01T14:00:00Z"))
	all := slices.Concat(key, value, received)
	for name, tt := range map[string]struct {
		b    []byte
		want error
	}{
		"two keys":            {slices.Concat(all, key), ErrInvalid},
		"two values":          {slices.Concat(value, all), ErrInvalid},
		"empty, then a value": {slices.Concat([]byte{0x12, 0}, all), ErrInvalid},
		"two times":           {slices.Concat(all, received), ErrInvalid},
		"key is a varint":     {slices.Concat([]byte{0x08, 1}, value), ErrInvalid},
		"value is fixed32":    {slices.Concat(key, []byte{0x15, 0, 0, 0, 0}), ErrInvalid},
		"group":               {slices.Concat(all, []byte{0x0b, 0x0c}), ErrInvalid},
		"cut":                 {all[:len(all)-1], ErrInvalid},
		"length 2^63-1":       {slices.Concat(all, []byte{0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}), ErrInvalid},
		"longest key":         {appendBytes(nil, valueKey, make([]byte, MaxKey)), nil},
		"longer key":          {appendBytes(nil, valueKey, make([]byte, MaxKey+1)), wire.ErrTooLarge},
		"longest value":       {appendBytes(nil, valueValue, make([]byte, MaxValue)), nil},
		"longer value":        {appendBytes(nil, valueValue, make([]byte, MaxValue+1)), wire.ErrTooLarge},
		"1 MiB":               {appendBytes(nil, valueValue, make([]byte, 1<<20)), wire.ErrTooLarge},
		"author, signature":   {slices.Concat(all, appendBytes(nil, 3, []byte("a")), appendBytes(nil, 4, []byte("s"))), nil},
	} {
		var r ValueRecord
		if err := r.Unmarshal(tt.b); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// numbers is the validator of a namespace whose values are digits; the greatest
// is the best.
type numbers struct{ selects int }

func (numbers) Validate(_ string, value []byte) error {
	if len(value) != 1 || value[0] < '0' || value[0] > '9' {
		return ErrInvalid
	}
	return nil
}

func (n numbers) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, v := range values {
		if bytes.Compare(v, values[best]) > 0 {
			best = i
		}
	}
	return best + n.selects, nil
}

func TestNamespace(t *testing.T) {
	for key, want := range map[string]string{
		"/v/k": "v", "/pk/\x00\x01": "pk", "/a/b/c": "a", "/a//": "a",
		"": "", "a": "", "/": "", "//": "", "///": "", "/a": "", "/a/": "", "//a": "", "v/k": "", "/\xff/k": "", "/a\n/k": "",
	} {
		got, err := Namespace(key)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrNamespace) {
			t.Errorf("%q: %q, %v", key, got, err)
		}
	}
}

// TestEvil_K1_UnknownNamespace has every door of a store refuse keys that it
// cannot check the records of.
func TestEvil_K1_UnknownNamespace(t *testing.T) {
	v := Validators{"v": Any{}, "": Any{}, "a": Any{}, "\xff": Any{}, "pk": nil}
	for _, key := range []string{"", "a", "/", "//", "/pk", "/pk/", "/pk/x", "\x00", "/a", "/other/k", "/\xff/k", "//k", "v/k", "/V/k"} {
		for door, err := range map[string]error{
			"validate": v.Validate(key, []byte("1")),
			"select":   second(v.Select(key, [][]byte{[]byte("1")})),
			"check":    v.Check(key, &ValueRecord{Key: key, Value: []byte("1")}),
		} {
			if !errors.Is(err, ErrNamespace) {
				t.Errorf("%s %q: %v", door, key, err)
			}
		}
	}
	for _, key := range []string{strings.Repeat("/v/", 1<<20/3), "/v/" + strings.Repeat("k", MaxKey)} {
		if err := v.Validate(key, nil); !errors.Is(err, wire.ErrTooLarge) || len(err.Error()) > 200 {
			t.Errorf("key of %d bytes: %.300v", len(key), err)
		}
	}
	if err := v.Validate("/v/k", make([]byte, MaxValue+1)); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("value: %v", err)
	}
	if err := v.Validate("/v/\xff\x00/k", []byte{0xff}); err != nil {
		t.Errorf("bytes behind the namespace: %v", err)
	}
	if err := (Validators)(nil).Validate("/v/k", nil); !errors.Is(err, ErrNamespace) {
		t.Errorf("no validators: %v", err)
	}
}

func second(_ int, err error) error { return err }

// TestEvil_K2_AnswersAnotherKey is about records that do not answer what was asked.
func TestEvil_K2_AnswersAnotherKey(t *testing.T) {
	v := Validators{"v": numbers{}}
	for _, key := range []string{"/v/b", "/v/", "", "/v/a/", "/V/a"} {
		if err := v.Check("/v/a", &ValueRecord{Key: key, Value: []byte("1")}); !errors.Is(err, ErrWrongKey) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if err := v.Check("/v/a", &ValueRecord{Key: "/v/a", Value: []byte("x")}); !errors.Is(err, ErrInvalid) {
		t.Errorf("not valid: %v", err)
	}
}

// TestEvil_K2_TimeOfAPeer takes the time off that a peer says it received a
// record at.
func TestEvil_K2_TimeOfAPeer(t *testing.T) {
	v := Validators{"v": numbers{}}
	for key, value := range map[string]string{"/v/a": "1", "/v/b": "x", "/w/b": "1"} {
		r := &ValueRecord{Key: key, Value: []byte(value), TimeReceived: time.Now().Add(1e6 * time.Hour)}
		err := v.Check("/v/a", r)
		if (err == nil) != (key == "/v/a") || !r.TimeReceived.IsZero() {
			t.Errorf("%s: %v, received %v", key, err, r.TimeReceived)
		}
	}
}

func TestReplaces(t *testing.T) {
	v := Validators{"v": numbers{}, "any": Any{}}
	for _, tt := range []struct {
		key, value string
		old        []byte
		want       error
	}{
		{"/v/k", "2", nil, nil},
		{"/v/k", "2", []byte("1"), nil},
		{"/v/k", "2", []byte("2"), nil},
		{"/v/k", "2", []byte("3"), ErrWorse},
		{"/v/k", "2", []byte("no longer valid"), nil},
		{"/v/k", "2", []byte{}, nil},
		{"/any/k", "1", []byte("2"), nil},
		{"/any/k", "", []byte("2"), nil},
	} {
		if err := v.Replaces(tt.key, []byte(tt.value), tt.old); !errors.Is(err, tt.want) {
			t.Errorf("%s: %s for %s: %v, want %v", tt.key, tt.value, tt.old, err, tt.want)
		}
	}
}

func TestSelect(t *testing.T) {
	values := [][]byte{[]byte("1"), []byte("3"), []byte("2"), []byte("3")}
	if i, err := (Validators{"v": numbers{}}).Select("/v/k", values); i != 1 || err != nil {
		t.Errorf("%d, %v", i, err)
	}
	for _, broken := range []int{-2, 3, 1 << 40} {
		if i, err := (Validators{"v": numbers{broken}}).Select("/v/k", values); i != 0 || err == nil {
			t.Errorf("out of range: %d, %v", i, err)
		}
	}
	if _, err := (Validators{"v": numbers{}}).Select("/v/k", nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("none: %v", err)
	}
	// Validators are one themselves: a namespace of namespaces, if somebody wants it.
	nested := Validators{"v": Validators{"v": numbers{}}}
	if err := nested.Validate("/v/k", []byte("7")); err != nil {
		t.Error(err)
	}
}

func FuzzUnmarshalValueRecord(f *testing.F) {
	r := &ValueRecord{Key: "/v/k", Value: []byte("1"), TimeReceived: time.Date(2022, 7, 1, 14, 0, 0, 0, time.UTC)}
	f.Add(r.Marshal())
	f.Add([]byte{0x0a, 0x00, 0x12, 0x00, 0x2a, 0x00})
	v := Validators{"v": numbers{}}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again ValueRecord
		if r.Unmarshal(b) != nil {
			return
		}
		if len(r.Key) > MaxKey || len(r.Value) > MaxValue {
			t.Fatalf("key of %d, value of %d bytes", len(r.Key), len(r.Value))
		}
		enc := r.Marshal()
		if len(enc) > MaxValueRecord {
			t.Fatalf("encodes to %d bytes", len(enc))
		}
		if err := again.Unmarshal(enc); err != nil || again.Key != r.Key || !bytes.Equal(again.Value, r.Value) {
			t.Fatalf("%v becomes %v, %v", r, again, err)
		}
		if y := r.TimeReceived.UTC().Year(); y >= 0 && y < 1e4 && !again.TimeReceived.Equal(r.TimeReceived) {
			t.Fatal(cmp.Diff(r, again))
		}
		key := r.Key
		if err := v.Check(key, &r); err == nil && !strings.HasPrefix(key, "/v/") {
			t.Fatalf("%q is in the namespace v", key)
		}
	})
}
