// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

// idSpan is how far a stream's ID may lag behind the highest one. A side that
// opens streams from many goroutines sends their IDs slightly out of order.
const idSpan = 1024

// idWindow remembers which IDs one side has used: exactly for the last idSpan,
// and for older ones that they were. Its size is fixed.
type idWindow struct {
	high uint64 // the highest ordinal used; 0 is none
	bits [idSpan / 64]uint64
}

// ordinal numbers the IDs of one side, which are all odd or all even, from 1.
func ordinal(id uint32) uint64 { return (uint64(id) + 1) / 2 }

// take marks id as used. It reports false if it was before.
func (w *idWindow) take(id uint32) bool {
	n := ordinal(id)
	if n+idSpan <= w.high {
		return false
	}
	if n <= w.high {
		word, bit := place(n)
		if w.bits[word]&bit != 0 {
			return false
		}
		w.bits[word] |= bit
		return true
	}
	if n-w.high >= idSpan {
		clear(w.bits[:])
	} else {
		for i := w.high + 1; i < n; i++ {
			word, bit := place(i)
			w.bits[word] &^= bit
		}
	}
	w.high = n
	word, bit := place(n)
	w.bits[word] |= bit
	return true
}

// used reports whether id was taken.
func (w *idWindow) used(id uint32) bool {
	n := ordinal(id)
	if n > w.high {
		return false
	}
	if n+idSpan <= w.high {
		return true
	}
	word, bit := place(n)
	return w.bits[word]&bit != 0
}

func place(n uint64) (word int, bit uint64) {
	return int(n % idSpan / 64), 1 << (n % 64)
}
