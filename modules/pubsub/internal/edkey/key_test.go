// SPDX-License-Identifier: Apache-2.0 OR MIT

package edkey

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"testing"

	"filippo.io/edwards25519"
)

// verify is the function under test, for any bytes.
func verify(public, message, signature []byte) bool {
	k, err := New(public)
	return err == nil && k.Verify(message, signature)
}

// same checks that this package and crypto/ed25519 say the same, and returns what.
func same(t *testing.T, public, message, signature []byte) bool {
	t.Helper()
	want := ed25519.Verify(public, message, signature)
	if got := verify(public, message, signature); got != want {
		t.Fatalf("key %x, message %x, signature %x: %v, crypto/ed25519 says %v", public, message, signature, got, want)
	}
	return want
}

func TestSignatures(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for i := range 32 {
		private := ed25519.NewKeyFromSeed(some(32))
		public := private.Public().(ed25519.PublicKey)
		message := some(i)
		signature := ed25519.Sign(private, message)
		if !same(t, public, message, signature) {
			t.Fatal("a right signature is wrong")
		}
		for range 2 { // one bit is another one
			for _, part := range [][]byte{public, message, signature} {
				if len(part) == 0 {
					continue
				}
				at, bit := random.IntN(len(part)), byte(1)<<random.IntN(8)
				part[at] ^= bit
				if same(t, public, message, signature) {
					t.Fatal("a wrong signature is right")
				}
				part[at] ^= bit
			}
		}
		same(t, some(32), message, signature)
		same(t, public, message, some(64))
	}
}

// order is that of the base point.
var order, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

func littleEndian(v *big.Int) []byte {
	b := v.FillBytes(make([]byte, 32))
	for i := range 16 {
		b[i], b[31-i] = b[31-i], b[i]
	}
	return b
}

// smallOrder are the points whose eightfold is neutral, in all encodings that are
// taken: those with y of p and more, and with the sign of an x that is zero, too.
func smallOrder(t *testing.T) (list [][]byte) {
	eighth, err := hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa")
	if err != nil {
		t.Fatal(err)
	}
	p, err := new(edwards25519.Point).SetBytes(eighth)
	if err != nil {
		t.Fatal(err)
	}
	q := edwards25519.NewIdentityPoint()
	for range 8 {
		list = append(list, q.Bytes())
		q = new(edwards25519.Point).Add(q, p)
	}
	for _, low := range []byte{0xed, 0xee} { // y of p and p+1
		b := bytes.Repeat([]byte{0xff}, 32)
		b[0], b[31] = low, 0x7f
		list = append(list, bytes.Clone(b))
		b[31] = 0xff
		list = append(list, b)
	}
	one := make([]byte, 32)
	one[0], one[31] = 1, 0x80
	minusOne := bytes.Repeat([]byte{0xff}, 32)
	minusOne[0] = 0xec
	return append(list, one, minusOne)
}

// Where specifications leave it open what is right, the same is.
func TestOddSignatures(t *testing.T) {
	small := smallOrder(t)
	var s [][]byte
	for _, v := range []*big.Int{
		big.NewInt(0), big.NewInt(1), new(big.Int).Sub(order, big.NewInt(1)), order,
		new(big.Int).Add(order, big.NewInt(1)), new(big.Int).Lsh(big.NewInt(1), 252), new(big.Int).Lsh(big.NewInt(1), 255),
	} {
		s = append(s, littleEndian(v))
	}
	right := 0
	for _, a := range small {
		for _, r := range small {
			for _, s := range s {
				if same(t, a, []byte("message"), append(bytes.Clone(r), s...)) {
					right++
				}
			}
		}
	}
	if right == 0 {
		t.Error("not one signature of a key of a small order is right")
	}
}

// A key, or the R of a signature, that is not of the base point's order is taken as
// crypto/ed25519 takes it: without the cofactor.
func TestMixedOrder(t *testing.T) {
	count := map[bool]int{}
	for i, torsion := range smallOrder(t)[:8] {
		for j := range 16 {
			var seed [16]byte
			binary.LittleEndian.PutUint64(seed[:], uint64(16*i+j))
			wide := sha512.Sum512(seed[:])
			a, err := edwards25519.NewScalar().SetUniformBytes(wide[:])
			if err != nil {
				t.Fatal(err)
			}
			wide = sha512.Sum512(wide[:])
			r, err := edwards25519.NewScalar().SetUniformBytes(wide[:])
			if err != nil {
				t.Fatal(err)
			}
			extra, err := new(edwards25519.Point).SetBytes(torsion)
			if err != nil {
				t.Fatal(err)
			}
			public := new(edwards25519.Point).ScalarBaseMult(a)
			first := new(edwards25519.Point).ScalarBaseMult(r)
			if j%2 == 0 {
				public.Add(public, extra)
			} else {
				first.Add(first, extra)
			}
			message := seed[:]
			h := sha512.New()
			h.Write(first.Bytes())
			h.Write(public.Bytes())
			h.Write(message)
			k, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
			if err != nil {
				t.Fatal(err)
			}
			s := edwards25519.NewScalar().MultiplyAdd(k, a, r)
			count[same(t, public.Bytes(), message, append(first.Bytes(), s.Bytes()...))]++
		}
	}
	if count[true] == 0 || count[false] == 0 {
		t.Errorf("%d are right and %d wrong, want some of each", count[true], count[false])
	}
}

func TestDigits(t *testing.T) {
	numbers := []*big.Int{big.NewInt(0), big.NewInt(1), new(big.Int).Sub(order, big.NewInt(1)), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 253), big.NewInt(1))}
	random := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		v := new(big.Int)
		for range 4 {
			v.Add(v.Lsh(v, 64), new(big.Int).SetUint64(random.Uint64()))
		}
		numbers = append(numbers, v.Rsh(v, 3))
	}
	for _, width := range []uint{keyWidth, baseWidth} {
		for _, v := range numbers {
			sum, last := new(big.Int), -256
			var list [256]int8
			digits(&list, (*[32]byte)(littleEndian(v)), width)
			for i, d := range list {
				if d == 0 {
					continue
				}
				if d%2 == 0 || int(d) > 1<<(width-1) || int(d) < -1<<(width-1) || i-last < int(width) {
					t.Fatalf("%v, width %d: digit %d at %d, the one before at %d", v, width, d, i, last)
				}
				last = i
				sum.Add(sum, new(big.Int).Lsh(big.NewInt(int64(d)), uint(i)))
			}
			if sum.Cmp(v) != 0 {
				t.Fatalf("the digits of %v of width %d make %v", v, width, sum)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	for _, text := range []string{"", "00", "0200000000000000000000000000000000000000000000000000000000000000", "ff"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(b); err == nil {
			t.Errorf("%x is a key", b)
		}
	}
}

// FuzzVerify looks for bytes about which crypto/ed25519 says something else: any
// bytes, and what becomes of a right signature.
func FuzzVerify(f *testing.F) {
	f.Add(make([]byte, 32), []byte("message"), make([]byte, 64))
	f.Fuzz(func(t *testing.T, key, message, change []byte) {
		if len(key) != 32 {
			return
		}
		private := ed25519.NewKeyFromSeed(key)
		public := private.Public().(ed25519.PublicKey)
		signature := ed25519.Sign(private, message)
		for i, b := range change {
			if i < len(signature) {
				signature[i] ^= b
			} else {
				public[i%32] ^= b
			}
		}
		same(t, public, message, signature)
		same(t, key, message, change)
	})
}

func BenchmarkVerify(b *testing.B) {
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := private.Public().(ed25519.PublicKey)
	message := make([]byte, 330)
	signature := ed25519.Sign(private, message)
	b.Run("prepared", func(b *testing.B) {
		k, err := New(public)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if !k.Verify(message, signature) {
				b.Fatal("wrong")
			}
		}
	})
	b.Run("crypto", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !ed25519.Verify(public, message, signature) {
				b.Fatal("wrong")
			}
		}
	})
	b.Run("prepare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := New(public); err != nil {
				b.Fatal(err)
			}
		}
	})
}
