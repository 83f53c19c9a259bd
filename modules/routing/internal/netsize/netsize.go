// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package netsize estimates how many peers there are in a Kademlia network
// from how close to random targets the closest peers are, and tells what
// follows from it: whether a peer is likely to be one of the closest to a key,
// and whether those closest to a key are closer than chance would have them.
//
// Keys are hashes, so peers lie in the key space like raindrops: with N peers,
// the number of those within a fraction d of the space around a target is a
// Poisson variable of mean N·d. All that this package knows follows from that.
// The farthest of the k closest tells as much about N as all of them do
// together, and the median over many targets is not moved by some that are
// surrounded by liars.
package netsize

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

const (
	maxSamples = 64 // newer ones displace the oldest
	minSamples = 3  // for an estimate
	maxAge     = 2 * time.Hour

	// Of two look-ups whose targets are closer together than this part of the
	// space in which their peers are, only one counts.
	overlap = 0.25
)

// Estimator keeps what look-ups found. It has no clock and no lock.
type Estimator struct {
	k       int
	samples []sample // <= maxSamples, the oldest first
}

// sample is what one look-up found.
type sample struct {
	target keyspace.Key
	radius float64 // of the space around the target in which the peers are
	size   float64 // the estimate from this sample alone
	at     time.Time
}

// New returns an estimator of look-ups that find the k closest peers.
func New(k int) *Estimator { return &Estimator{k: k} }

// Track takes the result of a look-up that converged, or that found everybody
// there is: the keys of the closest peers, the closest first. Look-ups with
// nearly the same target see the same peers, so only the newest counts.
func (e *Estimator) Track(target keyspace.Key, closest []keyspace.Key, now time.Time) {
	s := e.sample(target, closest)
	s.at = now
	e.samples = slices.DeleteFunc(e.samples, func(o sample) bool {
		// Who found everybody did not, if there are more.
		wrong := o.radius == 1 && o.size < float64(len(closest))
		return wrong || now.Sub(o.at) > maxAge || Fraction(target, o.target) < overlap*min(o.radius, s.radius)
	})
	if len(e.samples) == maxSamples {
		e.samples = slices.Delete(e.samples, 0, 1)
	}
	e.samples = append(e.samples, s)
}

func (e *Estimator) sample(target keyspace.Key, closest []keyspace.Key) sample {
	s := sample{target: target, radius: 1, size: float64(len(closest))}
	if n := min(len(closest), e.k); n == e.k && n > 0 {
		s.radius = Fraction(target, closest[n-1])
		s.size = medianGamma(n) / s.radius
	}
	return s
}

// Of returns what one look-up alone says of the size: a third more or less is
// chance. The estimator may be in use.
func (e *Estimator) Of(target keyspace.Key, closest []keyspace.Key) float64 {
	return e.sample(target, closest).size
}

// Size returns the estimate. ok is false if too little is known: there were
// not enough look-ups of late.
func (e *Estimator) Size(now time.Time) (peers float64, ok bool) {
	sizes := make([]float64, 0, maxSamples)
	small := false
	for _, s := range e.samples {
		if now.Sub(s.at) <= maxAge {
			sizes = append(sizes, s.size)
			if s.radius > 0.5 { // no two look-ups see other peers
				small = true
			}
		}
	}
	if len(sizes) == 0 || len(sizes) < minSamples && !small {
		return 0, false
	}
	slices.Sort(sizes)
	mid := len(sizes) / 2
	if len(sizes)%2 == 0 {
		return (sizes[mid-1] + sizes[mid]) / 2, true
	}
	return sizes[mid], true
}

// Among returns how likely it is that a peer is one of the k closest to a
// target, in a network of so many peers.
func Among(peers float64, k int, target, peer keyspace.Key) float64 {
	return fewer(k, peers*Fraction(target, peer))
}

// Complete tells whether the closest peers that are known are close enough to be
// the closest that there are: by chance, nine of ten times the true ones are
// closer than what is accepted. A look-up that only wants to store something may
// end there.
func Complete(peers float64, k int, target keyspace.Key, closest []keyspace.Key) bool {
	return len(closest) >= k && k > 0 &&
		fewer(k, peers*Fraction(target, closest[k-1])) >= 1-quantile
}

// quantile is how often the true closest peers are closer than [Complete] asks.
const quantile = 0.9

// Suspicion is how strange it is that peers are as close to a target as they
// are.
type Suspicion int

const (
	// Plausible: it happens.
	Plausible Suspicion = iota
	// Odd: it happens once in 100,000 look-ups.
	Odd
	// Eclipse: it does not happen by chance. Somebody chose peer IDs to
	// surround the target.
	Eclipse
)

func (s Suspicion) String() string {
	return [...]string{"plausible", "odd", "eclipse"}[s]
}

// slack is by how much an estimate may be too low.
const slack = 1.5

// Suspect judges the closest peers to a target, the closest first, in a network
// of so many peers. chance is how likely it is that so many peers are so close:
// for the number of them at which that is least likely, since somebody may have
// put only a few there. Fewer than three suspect nobody.
func Suspect(peers float64, target keyspace.Key, closest []keyspace.Key) (s Suspicion, chance float64) {
	chance = 1
	for i := 3; i <= len(closest); i++ {
		mean := slack * peers * Fraction(target, closest[i-1])
		chance = min(chance, float64(len(closest))*(1-fewer(i, mean)))
	}
	switch {
	case chance < 1e-9:
		return Eclipse, chance
	case chance < 1e-5:
		return Odd, chance
	}
	return Plausible, chance
}

// Fraction returns how much of the space is closer to a than b is: 0 to 1.
func Fraction(a, b keyspace.Key) float64 {
	d := keyspace.Distance(a, b)
	return math.Ldexp(float64(binary.BigEndian.Uint64(d[:8])), -64) +
		math.Ldexp(float64(binary.BigEndian.Uint64(d[8:16])), -128)
}

// fewer returns the probability that a Poisson variable is less than k.
func fewer(k int, mean float64) float64 {
	// In logarithms: exp(-mean) is nothing when there are many peers.
	sum, term := 0.0, -mean
	for j := range k {
		if j > 0 {
			term += math.Log(mean) - math.Log(float64(j))
		}
		sum += math.Exp(term)
	}
	return min(sum, 1)
}

// medianGamma is the median of the mean at which k events have happened; the
// approximation is good to one in 1,000 from three events on.
func medianGamma(k int) float64 { return float64(k) - 1.0/3 + 0.02/float64(k) }
