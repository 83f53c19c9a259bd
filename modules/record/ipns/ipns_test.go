// SPDX-License-Identifier: Apache-2.0 OR MIT

package ipns

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

// now is when tests in a bubble begin.
var now = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.RecordValidator](t, "ipns", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "unknown key", JSON: `{"max": 1}`, WantErr: `unknown field "max"`},
	})
}

// validators are those of a store with the module loaded as a node loads it.
func validators(t testing.TB) record.Validators {
	t.Helper()
	return record.Validators{"ipns": coretest.MustLoad[core.RecordValidator](t, "ipns", `{}`)}
}

type vector struct {
	what  string
	name  peer.ID
	value string // or "invalid"
	b     []byte
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		word := strings.Fields(line)
		name, err := peer.Decode(word[1])
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(word[3])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, vector{word[0], name, word[2], b})
	}
	return list
}

// TestVectors has the verdicts of the specification, at a time when none of the
// records has ended.
func TestVectors(t *testing.T) {
	list := vectors(t)
	if len(list) != 7 {
		t.Fatalf("%d vectors", len(list))
	}
	v := validators(t)
	synctest.Test(t, func(t *testing.T) {
		for _, vec := range list {
			err := v.Validate("/ipns/"+string(vec.name), vec.b)
			if (err == nil) != (vec.value != "invalid") {
				t.Errorf("%s: %v", vec.what, err)
			}
			if r, err := Open(vec.name, vec.b); vec.value != "invalid" && (err != nil || string(r.Value) != vec.value) {
				t.Errorf("%s: %v, %v, want %s", vec.what, r, err, vec.value)
			}
		}
	})
	// The one that kubo made is over by the clock of today.
	kubo := list[6]
	if err := v.Validate("/ipns/"+string(kubo.name), kubo.b); !errors.Is(err, record.ErrExpired) {
		t.Errorf("record of 2024: %v", err)
	}
}

// TestSealIsCanonical seals the content of each vector again: the document is the
// same to the byte, keys in order and numbers in their shortest form.
func TestSealIsCanonical(t *testing.T) {
	for _, vec := range vectors(t) {
		if vec.value == "invalid" {
			continue
		}
		r, err := Open(vec.name, vec.b)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := Seal(coretest.NewIdentity(1), *r)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := decode(vec.b)
		got, err := decode(sealed)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.data, want.data) {
			t.Errorf("%s:\n%x, want\n%x", vec.what, got.data, want.data)
		}
	}
}

func TestSeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := validators(t)
		for _, kind := range []peer.KeyType{peer.RSA, peer.Ed25519, peer.Secp256k1, peer.ECDSA} {
			id := coretest.GenerateIdentity(t, kind)
			want := Record{Value: []byte("/ipfs/bafkqaaa"), Validity: now.Add(time.Hour + 1), Sequence: 1 << 40, TTL: 5 * time.Minute}
			b, err := Seal(id, want)
			if err != nil {
				t.Fatal(err)
			}
			key := "/ipns/" + string(id.ID())
			if err := v.Validate(key, b); err != nil {
				t.Errorf("%v: %v", kind, err)
			}
			got, err := Open(id.ID(), b)
			if diff := cmp.Diff(&want, got); err != nil || diff != "" {
				t.Errorf("%v: %v %s", kind, err, diff)
			}
			if fresh, end, err := v.Lifetime(key, b); fresh != want.TTL || !end.Equal(want.Validity) || err != nil {
				t.Errorf("%v: lifetime %v, %v, %v", kind, fresh, end, err)
			}
			if e, _ := decode(b); (len(e.publicKey) > 0) != (kind == peer.RSA || kind == peer.ECDSA) {
				t.Errorf("%v: key of %d bytes", kind, len(e.publicKey))
			}
		}
		id := coretest.NewIdentity(1)
		for name, r := range map[string]Record{
			"too large":    {Value: make([]byte, MaxSize), Validity: now},
			"no end":       {},
			"negative TTL": {Validity: now, TTL: -1},
		} {
			if _, err := Seal(id, r); err == nil {
				t.Errorf("%s: sealed", name)
			}
		}
	})
}

// seal makes records that are as they should be but for what a test changes.
func seal(t testing.TB, seed uint64, r Record) []byte {
	t.Helper()
	if r.Validity.IsZero() {
		r.Validity = now.Add(48 * time.Hour)
	}
	b, err := Seal(coretest.NewIdentity(seed), r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSelect(t *testing.T) {
	v := validators(t)
	day := func(n int) time.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
	oldest := seal(t, 1, Record{Sequence: 1, Validity: day(9)})
	older := seal(t, 1, Record{Sequence: 2, Validity: day(1)})
	newest := seal(t, 1, Record{Sequence: 2, Validity: day(2)})
	huge := seal(t, 1, Record{Sequence: math.MaxUint64, Validity: day(1)})
	for name, tt := range map[string]struct {
		values [][]byte
		want   int
	}{
		"one":                  {[][]byte{oldest}, 0},
		"greatest sequence":    {[][]byte{oldest, older}, 1},
		"the other way":        {[][]byte{older, oldest}, 0},
		"then the latest end":  {[][]byte{older, newest, oldest}, 1},
		"first of the same":    {[][]byte{newest, newest}, 0},
		"no sign in a number":  {[][]byte{newest, huge, older}, 1},
		"best is first of all": {[][]byte{huge, newest, older, oldest}, 0},
	} {
		if got, err := v.Select("/ipns/x", tt.values); got != tt.want || err != nil {
			t.Errorf("%s: %d, %v, want %d", name, got, err, tt.want)
		}
	}
	// Nothing but the bytes differs: everybody takes the same one.
	a, b := seal(t, 1, Record{Sequence: 3, Value: []byte("a")}), seal(t, 1, Record{Sequence: 3, Value: []byte("b")})
	i, _ := v.Select("/ipns/x", [][]byte{a, b})
	if j, _ := v.Select("/ipns/x", [][]byte{b, a}); i == j {
		t.Error("the order decides between two of the same age")
	}
	if _, err := v.Select("/ipns/x", [][]byte{newest, []byte("junk")}); !errors.Is(err, record.ErrInvalid) {
		t.Errorf("junk: %v", err)
	}
}
