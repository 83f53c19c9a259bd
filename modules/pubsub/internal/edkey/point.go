// SPDX-License-Identifier: Apache-2.0 OR MIT

package edkey

import (
	"filippo.io/edwards25519/field"
)

// Points of the curve -x² + y² = 1 + dx²y² in the coordinates of Hisil, Wong,
// Carter and Dawson, "Twisted Edwards Curves Revisited". Their formulas hold for any
// two points of the curve, those of a small order too.

// affine is (x, y) as it is added to others.
type affine struct{ sum, diff, prod field.Element } // y+x, y-x, 2dxy

// projective is (x/z, y/z).
type projective struct{ x, y, z field.Element }

// completed is (x/z, y/t), the outcome of an addition.
type completed struct{ x, y, z, t field.Element }

// identity is the neutral element, (0, 1).
func identity() (p projective) {
	p.y.One()
	p.z.One()
	return p
}

func (p *projective) set(c *completed) {
	p.x.Multiply(&c.x, &c.t)
	p.y.Multiply(&c.y, &c.z)
	p.z.Multiply(&c.z, &c.t)
}

// encode is y, and the lowest bit of x as the highest one.
func (p *projective) encode() (b [32]byte) {
	var inverse, x, y field.Element
	inverse.Invert(&p.z)
	x.Multiply(&p.x, &inverse)
	y.Multiply(&p.y, &inverse)
	copy(b[:], y.Bytes())
	b[31] |= byte(x.IsNegative() << 7)
	return b
}

// double sets c to 2p.
func (c *completed) double(p *projective) {
	var xx, yy, zz2, square field.Element
	xx.Square(&p.x)
	yy.Square(&p.y)
	zz2.Square(&p.z)
	zz2.Add(&zz2, &zz2)
	square.Add(&p.x, &p.y)
	square.Square(&square)
	c.y.Add(&yy, &xx)
	c.z.Subtract(&yy, &xx)
	c.x.Subtract(&square, &c.y)
	c.t.Subtract(&zz2, &c.z)
}

// add adds a to c, or subtracts it.
func (c *completed) add(a *affine, negative bool) {
	var x, y, z, t, sum, diff field.Element
	x.Multiply(&c.x, &c.t)
	y.Multiply(&c.y, &c.z)
	z.Multiply(&c.z, &c.t)
	t.Multiply(&c.x, &c.y)
	sum.Add(&y, &x)
	diff.Subtract(&y, &x)
	t.Multiply(&t, &a.prod)
	z.Add(&z, &z)
	if negative { // -a is (-x, y)
		sum.Multiply(&sum, &a.diff)
		diff.Multiply(&diff, &a.sum)
		c.z.Subtract(&z, &t)
		c.t.Add(&z, &t)
	} else {
		sum.Multiply(&sum, &a.sum)
		diff.Multiply(&diff, &a.diff)
		c.z.Add(&z, &t)
		c.t.Subtract(&z, &t)
	}
	c.x.Subtract(&sum, &diff)
	c.y.Add(&sum, &diff)
}
