// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/xnode-p2p/xnode/core/wire"
)

// oddModulus returns a number of exactly so many bits. It is no product of two
// primes, and needs none: keys are refused before any arithmetic.
func oddModulus(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	return n.Sub(n, big.NewInt(39))
}

// rsaMessage encodes an RSA public key without any check.
func rsaMessage(t *testing.T, n *big.Int, e int64) []byte {
	t.Helper()
	pkcs1, err := asn1.Marshal(struct{ N, E *big.Int }{n, big.NewInt(e)})
	if err != nil {
		t.Fatal(err)
	}
	type algorithm struct {
		OID  asn1.ObjectIdentifier
		Null asn1.RawValue
	}
	der, err := asn1.Marshal(struct {
		Algorithm algorithm
		Key       asn1.BitString
	}{
		algorithm{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue},
		asn1.BitString{Bytes: pkcs1, BitLength: 8 * len(pkcs1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return marshalKey(RSA, der)
}

func TestEvil_A1_RSASize(t *testing.T) {
	even := new(big.Int).Sub(oddModulus(2048), big.NewInt(1))
	for name, tt := range map[string]struct {
		n  *big.Int
		e  int64
		ok bool
	}{
		"smallest":         {oddModulus(2048), 65537, true},
		"3072":             {oddModulus(3072), 65537, true},
		"largest":          {oddModulus(8192), 65537, true},
		"largest exponent": {oddModulus(8192), 1<<31 - 1, true},
		"one bit short":    {oddModulus(2047), 65537, false},
		"512":              {oddModulus(512), 65537, false},
		"one bit long":     {oddModulus(8193), 65537, false},
		"16384":            {oddModulus(16384), 65537, false},
		"1048576":          {oddModulus(1 << 20), 65537, false},
		"e=0":              {oddModulus(2048), 0, false},
		"e=1":              {oddModulus(2048), 1, false},
		"e=-1":             {oddModulus(2048), -1, false},
		"e=3":              {oddModulus(2048), 3, false},
		"e even":           {oddModulus(2048), 65538, false},
		"e=2^31+1":         {oddModulus(2048), 1<<31 + 1, false},
		"e=2^62+1":         {oddModulus(2048), 1<<62 + 1, false},
		"n even":           {even, 65537, false},
		"n negative":       {new(big.Int).Neg(oddModulus(2048)), 65537, false},
		"n zero":           {new(big.Int), 65537, false},
	} {
		b := rsaMessage(t, tt.n, tt.e)
		k, err := UnmarshalPublicKey(b)
		if tt.ok && (err != nil || !bytes.Equal(MarshalPublicKey(k), b)) {
			t.Errorf("%s: error %v", name, err)
		}
		if !tt.ok && !errors.Is(err, ErrInvalidKey) {
			t.Errorf("%s: error %v, want %v", name, err, ErrInvalidKey)
		}
		if tt.ok && k.Verify([]byte("data"), make([]byte, tt.n.BitLen()/8)) {
			t.Errorf("%s: a signature of zeros verifies", name)
		}
	}
}

// A private key outside the bounds is refused as well.
func TestEvil_A1_RSAPrivateSize(t *testing.T) {
	small, err := rsa.GenerateKey(nil, 1024)
	if err != nil {
		t.Fatal(err)
	}
	b := marshalKey(RSA, x509.MarshalPKCS1PrivateKey(small))
	if _, err := UnmarshalPrivateKey(b); !errors.Is(err, ErrInvalidKey) {
		t.Errorf("1024 bits: error %v", err)
	}
}

func TestEvil_A2_BitFlips(t *testing.T) {
	msg := []byte("signed by the right peer")
	for _, kind := range allTypes {
		t.Run(kind.String(), func(t *testing.T) {
			k := vectorKey(t, kind)
			pub := k.Public()
			sig, err := k.Sign(msg)
			if err != nil {
				t.Fatal(err)
			}
			for bit := range 8 * len(sig) {
				bad := bytes.Clone(sig)
				bad[bit/8] ^= 1 << (bit % 8)
				if pub.Verify(msg, bad) {
					t.Errorf("verifies with bit %d of the signature flipped", bit)
				}
			}
			for bit := range 8 * len(msg) {
				bad := bytes.Clone(msg)
				bad[bit/8] ^= 1 << (bit % 8)
				if pub.Verify(bad, sig) {
					t.Errorf("verifies with bit %d of the data flipped", bit)
				}
			}
			for n := range sig {
				if pub.Verify(msg, sig[:n]) {
					t.Errorf("verifies cut to %d bytes", n)
				}
			}
			for _, bad := range [][]byte{
				nil,
				append(bytes.Clone(sig), 0),
				append([]byte{0}, sig...),
				append(bytes.Clone(sig), sig...),
				make([]byte, len(sig)),
				make([]byte, 1<<20),
				bytes.Repeat([]byte{0xff}, len(sig)),
			} {
				if pub.Verify(msg, bad) {
					t.Errorf("verifies %d wrong bytes", len(bad))
				}
			}
		})
	}
}

// Every key with one bit flipped is either refused or does not verify.
func TestEvil_A2_KeyBitFlips(t *testing.T) {
	msg := []byte("signed by the right peer")
	for _, kind := range allTypes {
		k := vectorKey(t, kind)
		sig, err := k.Sign(msg)
		if err != nil {
			t.Fatal(err)
		}
		enc := MarshalPublicKey(k.Public())
		for bit := range 8 * len(enc) {
			bad := bytes.Clone(enc)
			bad[bit/8] ^= 1 << (bit % 8)
			if other, err := UnmarshalPublicKey(bad); err == nil && other.Verify(msg, sig) {
				t.Errorf("%v: verifies with bit %d of the key flipped", kind, bit)
			}
		}
	}
}

func TestEvil_A2_KeyEncoding(t *testing.T) {
	v := loadVectors(t)
	for _, kind := range allTypes {
		for half, decode := range map[string]func([]byte) error{
			"public":  func(b []byte) error { _, err := UnmarshalPublicKey(b); return err },
			"private": func(b []byte) error { _, err := UnmarshalPrivateKey(b); return err },
		} {
			good := v.public[kind]
			if half == "private" {
				good = v.private[kind]
			}
			data := good[bytes.IndexByte(good, tagKeyData)+1:]
			_, n, err := wire.Uvarint(data)
			if err != nil {
				t.Fatal(err)
			}
			length, data := data[:n], data[n:]
			longType := slices.Concat([]byte{tagKeyType, byte(kind) | 0x80, 0, tagKeyData}, length, data)
			longLength := bytes.Clone(length)
			longLength[n-1] |= 0x80
			longLength = append(longLength, 0)
			for name, bad := range map[string][]byte{
				"empty":                   {},
				"type alone":              good[:2],
				"no data":                 good[:3],
				"cut":                     good[:len(good)-1],
				"extended":                append(bytes.Clone(good), 0),
				"unknown field behind":    append(bytes.Clone(good), 0x18, 0x01),
				"twice":                   slices.Concat(good, good),
				"no type":                 good[2:],
				"data before type":        slices.Concat(good[2:], good[:2]),
				"long varint in type":     longType,
				"long varint in length":   slices.Concat(good[:3], longLength, data),
				"empty data":              {tagKeyType, byte(kind), tagKeyData, 0},
				"one byte of data short":  marshalKey(kind, data[:len(data)-1]),
				"one byte of data more":   marshalKey(kind, append(bytes.Clone(data), 0)),
				"one byte before":         marshalKey(kind, append([]byte{0}, data...)),
				"zeros":                   marshalKey(kind, make([]byte, len(data))),
				"ones":                    marshalKey(kind, bytes.Repeat([]byte{0xff}, len(data))),
				"megabyte":                marshalKey(kind, make([]byte, 1<<20)),
				"unknown type":            marshalKey(4, data),
				"type of another key":     marshalKey((kind+1)%4, data),
				"type of yet another key": marshalKey((kind+2)%4, data),
				"type of the last key":    marshalKey((kind+3)%4, data),
			} {
				if err := decode(bad); !errors.Is(err, ErrInvalidKey) {
					t.Errorf("%v %s key, %s: error %v, want %v", kind, half, name, err, ErrInvalidKey)
				}
			}
		}
	}
}

func TestEvil_A2_Ed25519WeakPoints(t *testing.T) {
	for _, y := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = 2, out of range
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = 18, out of range
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		for _, sign := range []byte{0, 0x80} {
			b, err := hex.DecodeString(y)
			if err != nil {
				t.Fatal(err)
			}
			b[31] |= sign
			if _, err := UnmarshalPublicKey(marshalKey(Ed25519, b)); !errors.Is(err, ErrInvalidKey) {
				t.Errorf("%x: error %v", b, err)
			}
		}
	}
	// What makes such keys dangerous: they verify without a private key.
	identity := append([]byte{1}, make([]byte, 31)...)
	forged := append(bytes.Clone(identity), make([]byte, 32)...)
	if !ed25519.Verify(identity, []byte("anything"), forged) {
		t.Error("the forged signature is expected to verify in the bare library")
	}
}

func TestEvil_A2_SignatureForms(t *testing.T) {
	msg := []byte("message")
	orders := map[KeyType]*big.Int{ECDSA: elliptic.P256().Params().N}
	orders[Secp256k1], _ = new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
	for kind, order := range orders {
		k := vectorKey(t, kind)
		sig, err := k.Sign(msg)
		if err != nil {
			t.Fatal(err)
		}
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &rs); err != nil {
			t.Fatal(err)
		}
		encode := func(r, s *big.Int) []byte {
			b, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		if !k.Public().Verify(msg, encode(rs.R, rs.S)) {
			t.Fatalf("%v: the test's encoding does not verify", kind)
		}
		// Either S is right for ECDSA; secp256k1 wants the lower one.
		other := encode(rs.R, new(big.Int).Sub(order, rs.S))
		if got, want := k.Public().Verify(msg, other), kind == ECDSA; got != want {
			t.Errorf("%v: the other S verifies: %v, want %v", kind, got, want)
		}
		long := slices.Concat([]byte{0x30, 0x81, sig[1]}, sig[2:])
		padded := slices.Concat([]byte{0x30, sig[1] + 1, 0x02, sig[3] + 1, 0}, sig[4:])
		indefinite := slices.Concat([]byte{0x30, 0x80}, sig[2:], []byte{0, 0})
		for name, bad := range map[string][]byte{
			"R = 0":             encode(new(big.Int), rs.S),
			"S = 0":             encode(rs.R, new(big.Int)),
			"R + order":         encode(new(big.Int).Add(rs.R, order), rs.S),
			"S + order":         encode(rs.R, new(big.Int).Add(rs.S, order)),
			"-S":                encode(rs.R, new(big.Int).Neg(rs.S)),
			"long length":       long,
			"padded R":          padded,
			"indefinite length": indefinite,
			"trailing in":       slices.Concat([]byte{0x30, sig[1] + 2}, sig[2:], []byte{5, 0}),
			"compact":           slices.Concat(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))),
		} {
			if k.Public().Verify(msg, bad) {
				t.Errorf("%v: verifies with %s", kind, name)
			}
		}
	}
}

func TestEvil_A2_PrivateKeyOfAnother(t *testing.T) {
	ed := vectorKey(t, Ed25519).Raw()
	copy(ed[32:], Ed25519FromSeed([32]byte{1}).Public().Raw())
	ec := vectorKey(t, ECDSA).Raw()
	ec[len(ec)-1] ^= 1
	order, _ := hex.DecodeString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
	for name, b := range map[string][]byte{
		"ed25519":         marshalKey(Ed25519, ed),
		"ecdsa":           marshalKey(ECDSA, ec),
		"secp256k1 order": marshalKey(Secp256k1, order),
	} {
		if _, err := UnmarshalPrivateKey(b); !errors.Is(err, ErrInvalidKey) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestEvil_A12_PrivateKeyShown(t *testing.T) {
	for _, kind := range allTypes {
		k := vectorKey(t, kind)
		type nested struct {
			Key    PrivateKey
			hidden PrivateKey
		}
		value := nested{k, k}
		var shown strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T"} {
			fmt.Fprintf(&shown, verb+"\n", k)
			fmt.Fprintf(&shown, verb+"\n", value)
			fmt.Fprintf(&shown, verb+"\n", &value)
			fmt.Fprintf(&shown, verb+"\n", []PrivateKey{k})
			fmt.Fprintf(&shown, verb+"\n", map[string]any{"k": k})
		}
		fmt.Fprintln(&shown, k, value, fmt.Errorf("with %v", k))
		for _, v := range []any{k, value, []any{k}} {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			shown.Write(b)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
			slog.New(h).Info("msg", "key", k, "nested", value, "group", slog.GroupValue(slog.Any("k", k)))
		}
		func() {
			defer func() { fmt.Fprint(&shown, recover()) }()
			panic(fmt.Sprint(k))
		}()
		raw := k.Raw()
		secret := raw[len(raw)/4 : len(raw)/4+8] // inside the seed, scalar or exponent
		for _, form := range []string{
			string(secret),
			hex.EncodeToString(secret),
			strings.ToUpper(hex.EncodeToString(secret)),
			base64.RawStdEncoding.EncodeToString(secret[:6]),
			base64.RawStdEncoding.EncodeToString(secret[1:7]),
			base64.RawStdEncoding.EncodeToString(secret[2:8]),
			strings.Trim(fmt.Sprint(secret[:4]), "[]"),
			strings.Trim(fmt.Sprintf("%#v", secret[:4]), "[]byte{}"),
		} {
			if strings.Contains(shown.String(), form) {
				t.Errorf("%v: the output contains %q", kind, form)
			}
		}
		if got, want := fmt.Sprintf("%#v", k), kind.String()+" private key ***"; got != want {
			t.Errorf("%%#v = %q, want %q", got, want)
		}
	}
}
