// SPDX-License-Identifier: Apache-2.0 OR MIT

package netsize

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

var start = time.Unix(1_700_000_000, 0)

// random returns the closest of so many random keys, and a target.
func random(peers, k int, rng *rand.Rand) (target keyspace.Key, closest []keyspace.Key) {
	target = keyspace.Random(keyspace.Key{}, 0, rng)
	for range peers {
		var key keyspace.Key
		binary.BigEndian.PutUint64(key[:], rng.Uint64())
		binary.BigEndian.PutUint64(key[8:], rng.Uint64())
		i := len(closest)
		for i > 0 && keyspace.Closer(target, key, closest[i-1]) {
			i--
		}
		if closest = slices.Insert(closest, i, key); len(closest) > k {
			closest = closest[:k]
		}
	}
	return target, closest
}

func TestSize(t *testing.T) {
	for _, peers := range []int{1, 5, 20, 40, 300, 2000} {
		rng := rand.New(rand.NewPCG(uint64(peers), 1))
		e := New(20)
		now := start
		for range 40 {
			now = now.Add(time.Minute)
			target, closest := random(peers, 20, rng)
			e.Track(target, closest, now)
		}
		got, ok := e.Size(now)
		tolerance := 0.2 * float64(peers)
		if peers >= 20 && peers < 100 {
			tolerance *= 2 // there is little to learn from, however often one looks
		}
		if !ok || math.Abs(got-float64(peers)) > tolerance {
			t.Errorf("%d peers: estimated %.1f, %v", peers, got, ok)
		}
		if _, ok := e.Size(now.Add(3 * time.Hour)); ok {
			t.Errorf("%d peers: an estimate from old look-ups", peers)
		}
	}
}

// TestSizeIsUnbiased averages over many estimators: what one of them is wrong
// by is chance.
func TestSizeIsUnbiased(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	sum := 0.0
	const runs, peers = 100, 300
	for range runs {
		e := New(20)
		for range 9 {
			target, closest := random(peers, 20, rng)
			e.Track(target, closest, start)
		}
		size, ok := e.Size(start)
		if !ok {
			t.Fatal("no estimate")
		}
		sum += size / runs
	}
	if math.Abs(sum-peers) > 0.03*peers {
		t.Errorf("%d peers: estimated %.1f on average", peers, sum)
	}
}

func TestSizeNeedsLookups(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	e := New(20)
	if _, ok := e.Size(start); ok {
		t.Error("an estimate of nothing")
	}
	target, closest := random(1000, 20, rng)
	for range 100 { // the same again and again is one
		e.Track(target, closest, start)
	}
	if _, ok := e.Size(start); ok {
		t.Error("an estimate of one look-up")
	}
	for range 200 {
		target, closest := random(100, 20, rng)
		e.Track(target, closest, start)
	}
	if len(e.samples) > maxSamples {
		t.Errorf("%d samples are kept", len(e.samples))
	}
}

// TestSizeOfAYoungNode has a node know only few at first.
func TestSizeOfAYoungNode(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	e := New(20)
	for _, known := range []int{1, 3, 7, 12, 19} {
		target, closest := random(known, 20, rng)
		e.Track(target, closest, start)
	}
	if size, ok := e.Size(start); !ok || size != 19 {
		t.Errorf("estimated %.1f, %v, of 19 who were found", size, ok)
	}
	for range 5 {
		target, closest := random(1000, 20, rng)
		e.Track(target, closest, start)
	}
	if size, ok := e.Size(start); !ok || size < 500 {
		t.Errorf("estimated %.1f of 1000", size)
	}
}

func TestEvil_K7_SizeIsNotMovedBySomeEclipsedTargets(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	e := New(20)
	for i := range 40 {
		target, closest := random(1000, 20, rng)
		if i%4 == 0 {
			closest = around(target, 30, 20, rng)
		}
		e.Track(target, closest, start)
	}
	if size, ok := e.Size(start); !ok || size < 800 || size > 1500 {
		t.Errorf("estimated %.0f of 1000", size)
	}
}

// around returns keys that share at least so many bits with a target.
func around(target keyspace.Key, bits, count int, rng *rand.Rand) []keyspace.Key {
	keys := make([]keyspace.Key, count)
	for i := range keys {
		keys[i] = keyspace.Random(target, bits+rng.IntN(5), rng)
	}
	keyspace.Sort(target, keys, func(k keyspace.Key) keyspace.Key { return k })
	return keys
}

func TestEvil_K7_EclipseIsSuspected(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	// By itself nothing is odd, not even if the estimate is a third too low.
	const lookups = 1000
	strange := 0
	for range lookups {
		target, closest := random(300, 20, rng)
		if s, _ := Suspect(200, target, closest); s != Plausible {
			strange++
		}
	}
	if strange > 0 {
		t.Errorf("%d of %d look-ups are suspected of something", strange, lookups)
	}

	// Liars who are all closer than the closest of the others, if only just.
	for _, c := range []struct {
		liars int
		want  Suspicion
	}{{20, Eclipse}, {16, Eclipse}, {10, Odd}, {3, Plausible}} {
		found := 0
		for range 200 {
			target, honest := random(1000, 20, rng)
			bits := keyspace.CommonPrefix(target, honest[0]) + 1
			closest := append(around(target, bits, c.liars, rng), honest...)[:20]
			if s, _ := Suspect(1000, target, closest); s >= c.want {
				found++
			}
		}
		t.Logf("%d liars: %v or worse in %d of 200", c.liars, c.want, found)
		if found < 150 {
			t.Errorf("%d liars: %v or worse in only %d of 200", c.liars, c.want, found)
		}
	}
	if s, chance := Suspect(1000, keyspace.Key{}, nil); s != Plausible || chance != 1 {
		t.Error("nobody is suspected")
	}
}

// TestAmong compares the probability with how often it is so.
func TestAmong(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	const peers, k = 1000, 20
	var expected, among [10]float64
	for range 150 {
		target, sorted := random(peers, 4*k, rng) // beyond, the chance is nothing
		for i, p := range sorted {
			chance := Among(peers, k, target, p)
			bin := min(int(10*chance), 9)
			expected[bin] += chance
			if i < k {
				among[bin]++
			}
		}
	}
	for i := range expected {
		if math.Abs(expected[i]-among[i]) > 0.15*expected[i]+10 {
			t.Errorf("chance 0.%d: %.0f are among the closest, expected %.0f", i, among[i], expected[i])
		}
	}
}

func TestComplete(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	const peers, k, runs = 1000, 20, 400
	truth, missing := 0, 0
	for range runs {
		target, sorted := random(peers, 40, rng)
		if Complete(peers, k, target, sorted) {
			truth++
		}
		// Every other one is missing: these are not the closest.
		var half []keyspace.Key
		for i := 0; i < 40; i += 2 {
			half = append(half, sorted[i])
		}
		if Complete(peers, k, target, half) {
			missing++
		}
	}
	if truth < runs*85/100 || truth > runs*95/100 {
		t.Errorf("the closest are accepted in %d of %d", truth, runs)
	}
	if missing > runs/50 {
		t.Errorf("a half is accepted in %d of %d", missing, runs)
	}
	if Complete(peers, k, keyspace.Key{}, make([]keyspace.Key, k-1)) {
		t.Error("fewer than wanted are complete")
	}
}

func TestFraction(t *testing.T) {
	for bits, want := range map[int]float64{0: 0.75, 1: 0.375, 10: 0.75 / 1024, 100: math.Ldexp(0.75, -100)} {
		k := keyspace.Key{}
		k[bits/8] = 0x80 >> (bits % 8)
		k[(bits+1)/8] |= 0x80 >> ((bits + 1) % 8)
		if got := Fraction(keyspace.Key{}, k); got != want {
			t.Errorf("%d bits: %g, want %g", bits, got, want)
		}
	}
	if got := fewer(20, 1e6); got != 0 {
		t.Errorf("fewer than 20 of a million: %g", got)
	}
	if got := fewer(20, 0); got != 1 {
		t.Errorf("fewer than 20 of none: %g", got)
	}
}
