// SPDX-License-Identifier: Apache-2.0 OR MIT

package edkey

import (
	"encoding/binary"
	"sync"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

const (
	// keyWidth is that of a key's digits, which are -1, 0 and 1: more multiples
	// would save a tenth of the time and take several times the memory, for
	// every key.
	keyWidth = 2
	// baseWidth is that of the base point's digits, of which there is one table.
	baseWidth = 7
)

// baseMultiples are B, 3B, 5B, ... for each part of a scalar.
var baseMultiples = sync.OnceValue(func() *[parts][1 << (baseWidth - 2)]affine {
	var table [parts][1 << (baseWidth - 2)]affine
	for i, p := range powers(edwards25519.NewGeneratorPoint()) {
		odd := make([]*edwards25519.Point, len(table[i]))
		twice := new(edwards25519.Point).Add(p, p)
		for j := range odd {
			odd[j] = p
			p = new(edwards25519.Point).Add(p, twice)
		}
		toAffine(table[i][:], odd)
	}
	return &table
})

// powers are p, 2⁶⁴p, 2¹²⁸p and 2¹⁹²p.
func powers(p *edwards25519.Point) []*edwards25519.Point {
	list := []*edwards25519.Point{p}
	for len(list) < parts {
		p = new(edwards25519.Point).Add(p, p)
		for range (partBits - 1) / 3 {
			p.MultByCofactor(p) // by 8
		}
		list = append(list, p)
	}
	return list
}

// twiceD is 2d, where d is that of the curve, -121665/121666.
var twiceD = func() (v field.Element) {
	v.One()
	v.Mult32(&v, 121666)
	v.Invert(&v)
	v.Mult32(&v, 2*121665)
	v.Negate(&v)
	return v
}()

// toAffine sets list to points. It inverts the product of all their z, which takes
// as long as to invert one.
func toAffine(list []affine, points []*edwards25519.Point) {
	products := make([]field.Element, len(points)+1) // of those before
	products[0].One()
	for i, p := range points {
		_, _, z, _ := p.ExtendedCoordinates()
		products[i+1].Multiply(&products[i], z)
	}
	var rest field.Element // the inverse of the product of those up to i
	rest.Invert(&products[len(points)])
	for i := len(points) - 1; i >= 0; i-- {
		px, py, pz, _ := points[i].ExtendedCoordinates()
		var inverse, x, y field.Element
		inverse.Multiply(&rest, &products[i])
		rest.Multiply(&rest, pz)
		x.Multiply(px, &inverse)
		y.Multiply(py, &inverse)
		a := &list[i]
		a.sum.Add(&y, &x)
		a.diff.Subtract(&y, &x)
		a.prod.Multiply(&x, &y)
		a.prod.Multiply(&a.prod, &twiceD)
	}
}

// digits writes a number below 2²⁵⁵ as the sum of digits times powers of two, into a
// list of zeros. Each digit is odd or zero, and of width consecutive ones one at most
// is not zero; it is between ±2^(width-1).
func digits(list *[256]int8, number *[32]byte, width uint) {
	var limbs [5]uint64
	for i := range 4 {
		limbs[i] = binary.LittleEndian.Uint64(number[8*i:])
	}
	size := uint64(1) << width
	carry := uint64(0)
	for bit := uint(0); bit < uint(len(list)); {
		window := limbs[bit/64] >> (bit % 64)
		if bit%64+width > 64 {
			window |= limbs[bit/64+1] << (64 - bit%64)
		}
		window = window&(size-1) + carry
		if window%2 == 0 {
			bit++
			continue
		}
		if carry = 0; window > size/2 {
			list[bit] = int8(int64(window) - int64(size))
			carry = 1
		} else {
			list[bit] = int8(window)
		}
		bit += width
	}
}
