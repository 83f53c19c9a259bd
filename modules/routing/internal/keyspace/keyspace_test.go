// SPDX-License-Identifier: Apache-2.0 OR MIT

package keyspace

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/xnode-p2p/xnode/core/peer"
)

func keys(label string, t *rapid.T) Key {
	var k Key
	copy(k[:], rapid.SliceOfN(rapid.Byte(), len(k), len(k)).Draw(t, label))
	// Long common prefixes are where mistakes are, and chance has none.
	clear(k[:rapid.IntRange(0, len(k)).Draw(t, label+" zeros")])
	return k
}

// number is a distance as a number, worked out without this package.
func number(a, b Key) *big.Int {
	return new(big.Int).Xor(new(big.Int).SetBytes(a[:]), new(big.Int).SetBytes(b[:]))
}

func TestKeyIsTheHashOfTheRawBytes(t *testing.T) {
	p, err := peer.Decode("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA")
	if err != nil {
		t.Fatal(err)
	}
	if OfPeer(p) != Of(p.Bytes()) {
		t.Error("a peer is elsewhere than its bytes")
	}
	k := Of([]byte("abc"))
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := hex.EncodeToString(k[:]); got != want {
		t.Errorf("the key of abc is %s", got)
	}
}

func TestDistancesAreNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target, a, b := keys("target", t), keys("a", t), keys("b", t)
		da, db := number(target, a), number(target, b)
		if got := Compare(target, a, b); got != da.Cmp(db) {
			t.Fatalf("compare %d, numbers %d", got, da.Cmp(db))
		}
		if Closer(target, a, b) != (da.Cmp(db) < 0) {
			t.Fatal("closer")
		}
		if got := CommonPrefix(a, b); got != Bits-number(a, b).BitLen() {
			t.Fatalf("common prefix %d of %x and %x", got, a, b)
		}
		d, e := Distance(target, a), Distance(target, b)
		if bytes.Compare(d[:], e[:]) != da.Cmp(db) {
			t.Fatal("distances do not compare as bytes")
		}
	})
}

func TestSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	target := Of([]byte("target"))
	items := make([]Key, 100)
	for i := range items {
		items[i] = Random(target, rng.IntN(20), rng)
	}
	Sort(target, items, func(k Key) Key { return k })
	for i := 1; i < len(items); i++ {
		if number(target, items[i-1]).Cmp(number(target, items[i])) > 0 {
			t.Fatalf("item %d is farther than the next", i-1)
		}
	}
}

func TestRandomSharesExactlyThePrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := keys("k", t)
		cpl := rapid.IntRange(0, Bits+1).Draw(t, "cpl")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		r := Random(k, cpl, rng)
		if got := CommonPrefix(k, r); got != min(cpl, Bits) {
			t.Fatalf("shares %d bits, not %d", got, cpl)
		}
		if cpl < Bits-40 && Random(k, cpl, rng) == r {
			t.Fatal("the same key twice")
		}
	})
}

func TestPreimage(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for cpl := range MaxPreimage + 1 {
		k := Random(Key{}, 0, rng)
		p, ok := Preimage(k, cpl, rng)
		if !ok {
			t.Errorf("none for %d bits", cpl)
			continue
		}
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
		if got := CommonPrefix(OfPeer(p), k); got != cpl {
			t.Errorf("shares %d bits, not %d", got, cpl)
		}
	}
	for _, cpl := range []int{-1, MaxPreimage + 1, Bits} {
		if _, ok := Preimage(Key{}, cpl, rng); ok {
			t.Errorf("one for %d bits", cpl)
		}
	}
}

func BenchmarkOfPeer(b *testing.B) {
	p := peer.ID(append([]byte{0, 36}, make([]byte, 36)...))
	b.ReportAllocs()
	for b.Loop() {
		OfPeer(p)
	}
}

func BenchmarkPreimage(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 6))
	k := Of([]byte("here"))
	for b.Loop() {
		Preimage(k, MaxPreimage, rng)
	}
}
