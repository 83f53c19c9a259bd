// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
)

// allTypes are the four key types, in the order of their numbers.
var allTypes = []KeyType{RSA, Ed25519, Secp256k1, ECDSA}

// vectors are the keys of the specification, encoded.
type vectors struct{ private, public map[KeyType][]byte }

func loadVectors(t testing.TB) vectors {
	t.Helper()
	f, err := os.Open("testdata/peer-ids.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v := vectors{map[KeyType][]byte{}, map[KeyType][]byte{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		word := strings.Fields(lines.Text())
		kind, err := ParseKeyType(word[0])
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(word[2])
		if err != nil {
			t.Fatal(err)
		}
		if word[1] == "private" {
			v.private[kind] = b
		} else {
			v.public[kind] = b
		}
	}
	if len(v.private) != 4 || len(v.public) != 4 {
		t.Fatalf("%d private and %d public keys, want 4 of each", len(v.private), len(v.public))
	}
	return v
}

// vectorKey returns the private key of the specification's vectors.
func vectorKey(t testing.TB, kind KeyType) PrivateKey {
	t.Helper()
	k, err := UnmarshalPrivateKey(loadVectors(t).private[kind])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVectors(t *testing.T) {
	v := loadVectors(t)
	for _, kind := range allTypes {
		t.Run(kind.String(), func(t *testing.T) {
			priv, err := UnmarshalPrivateKey(v.private[kind])
			if err != nil {
				t.Fatal(err)
			}
			pub, err := UnmarshalPublicKey(v.public[kind])
			if err != nil {
				t.Fatal(err)
			}
			if got := MarshalPrivateKey(priv); !bytes.Equal(got, v.private[kind]) {
				t.Errorf("private key encodes to\n%x, want\n%x", got, v.private[kind])
			}
			if got := MarshalPublicKey(pub); !bytes.Equal(got, v.public[kind]) {
				t.Errorf("public key encodes to\n%x, want\n%x", got, v.public[kind])
			}
			if got := MarshalPublicKey(priv.Public()); !bytes.Equal(got, v.public[kind]) {
				t.Errorf("private key yields public key\n%x, want\n%x", got, v.public[kind])
			}
			if priv.Type() != kind || pub.Type() != kind {
				t.Errorf("types %v and %v", priv.Type(), pub.Type())
			}
			if !pub.Equal(priv.Public()) || !priv.Public().Equal(pub) {
				t.Error("the public keys are not equal")
			}
			checkSigning(t, priv)
		})
	}
}

func checkSigning(t *testing.T, k PrivateKey) {
	t.Helper()
	for _, msg := range [][]byte{nil, []byte("message"), bytes.Repeat([]byte{7}, 1<<16)} {
		sig, err := k.Sign(msg)
		if err != nil {
			t.Fatal(err)
		}
		if !k.Public().Verify(msg, sig) {
			t.Errorf("signature of %d bytes does not verify", len(msg))
		}
		if k.Public().Verify(append(bytes.Clone(msg), 0), sig) {
			t.Errorf("signature of %d bytes verifies for one byte more", len(msg))
		}
	}
}

func TestGenerateKey(t *testing.T) {
	for _, kind := range allTypes {
		k, err := GenerateKey(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		checkSigning(t, k)
		again, err := UnmarshalPrivateKey(MarshalPrivateKey(k))
		if err != nil {
			t.Fatal(err)
		}
		if !again.Public().Equal(k.Public()) {
			t.Errorf("%v: another key after a round trip", kind)
		}
		other, err := GenerateKey(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		if other.Public().Equal(k.Public()) {
			t.Errorf("%v: the same key twice", kind)
		}
	}
	for _, kind := range []KeyType{Ed25519, Secp256k1, ECDSA} {
		var ids [2]ID
		for i := range ids {
			k, err := GenerateKey(kind, bytes.NewReader(bytes.Repeat([]byte{1}, 64)))
			if err != nil {
				t.Fatal(err)
			}
			ids[i] = FromPublicKey(k.Public())
		}
		if ids[0] != ids[1] {
			t.Errorf("%v: two keys from the same bytes", kind)
		}
		if _, err := GenerateKey(kind, strings.NewReader("short")); err == nil {
			t.Errorf("%v: no error from a reader that ends", kind)
		}
	}
	if _, err := GenerateKey(7, nil); !errors.Is(err, ErrInvalidKey) {
		t.Errorf("type 7: error %v", err)
	}
}

func TestKeyType(t *testing.T) {
	for _, kind := range allTypes {
		for _, name := range []string{kind.String(), strings.ToLower(kind.String()), strings.ToUpper(kind.String())} {
			if got, err := ParseKeyType(name); err != nil || got != kind {
				t.Errorf("ParseKeyType(%q) = %v, %v", name, got, err)
			}
		}
	}
	for _, name := range []string{"", "dsa", "ed25519 ", "\x00", strings.Repeat("x", 1<<16)} {
		if _, err := ParseKeyType(name); !errors.Is(err, ErrInvalidKey) || len(err.Error()) > 200 {
			t.Errorf("ParseKeyType(%.20q): error %v", name, err)
		}
	}
	if got := KeyType(9).String(); got != "KeyType(9)" {
		t.Errorf("KeyType(9) = %q", got)
	}
}

func TestEqual(t *testing.T) {
	for _, a := range allTypes {
		for _, b := range allTypes {
			if got := vectorKey(t, a).Public().Equal(vectorKey(t, b).Public()); got != (a == b) {
				t.Errorf("%v equal to %v: %v", a, b, got)
			}
		}
		if vectorKey(t, a).Public().Equal(nil) {
			t.Errorf("%v equals nil", a)
		}
	}
}

func TestRawIsCopy(t *testing.T) {
	for _, kind := range allTypes {
		k := vectorKey(t, kind)
		clear(k.Raw())
		clear(k.Public().Raw())
		if isZero(k.Raw()) || isZero(k.Public().Raw()) {
			t.Errorf("%v: Raw is not a copy", kind)
		}
		checkSigning(t, k)
	}
}

func TestEd25519LegacyForm(t *testing.T) {
	want := vectorKey(t, Ed25519)
	raw := want.Raw()
	got, err := UnmarshalPrivateKey(marshalKey(Ed25519, append(bytes.Clone(raw), raw[32:]...)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(MarshalPrivateKey(got), MarshalPrivateKey(want)) {
		t.Error("the old form yields another key")
	}
	other := append(bytes.Clone(raw), raw[32:]...)
	other[95] ^= 1
	if _, err := UnmarshalPrivateKey(marshalKey(Ed25519, other)); !errors.Is(err, ErrInvalidKey) {
		t.Errorf("two public keys: error %v", err)
	}
}

// The example of RFC 8032, section 7.1, test 2.
func TestEd25519FromSeed(t *testing.T) {
	seed, _ := hex.DecodeString("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
	k := Ed25519FromSeed([32]byte(seed))
	sig, err := k.Sign([]byte{0x72})
	if err != nil {
		t.Fatal(err)
	}
	const wantKey = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
	const wantSig = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
		"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
	if got := hex.EncodeToString(k.Public().Raw()); got != wantKey {
		t.Errorf("public key %s, want %s", got, wantKey)
	}
	if got := hex.EncodeToString(sig); got != wantSig {
		t.Errorf("signature %s, want %s", got, wantSig)
	}
}

func BenchmarkKeys(b *testing.B) {
	msg := make([]byte, 64)
	for _, kind := range allTypes {
		k := vectorKey(b, kind)
		sig, err := k.Sign(msg)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("Sign/"+kind.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Sign(msg); err != nil {
					b.Fatal(err)
				}
			}
		})
		pub := k.Public()
		b.Run("Verify/"+kind.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !pub.Verify(msg, sig) {
					b.Fatal("does not verify")
				}
			}
		})
		enc := MarshalPublicKey(pub)
		b.Run("Unmarshal/"+kind.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := UnmarshalPublicKey(enc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
