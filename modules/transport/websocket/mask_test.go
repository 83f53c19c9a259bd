// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// slowMask is the definition of RFC 6455, section 5.3.
func slowMask(p []byte, key uint32) []byte {
	out := make([]byte, len(p))
	for i := range p {
		out[i] = p[i] ^ byte(key>>(8*(i%4)))
	}
	return out
}

func TestMask(t *testing.T) {
	random := rand.New(rand.NewChaCha8([32]byte{1}))
	for range 2000 {
		p := make([]byte, random.IntN(5*padSize))
		for i := range p {
			p[i] = byte(random.Uint32())
		}
		key := random.Uint32()
		want := slowMask(p, key)
		got := make([]byte, len(p))
		next := mask(got, p, key)
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: wrong", len(p))
		}
		cut := random.IntN(len(p) + 1)
		mask(p[cut:], p[cut:], mask(p[:cut], p[:cut], key)) // in place, in two steps
		if !bytes.Equal(p, want) {
			t.Fatalf("%d bytes, cut at %d: wrong", len(p), cut)
		}
		if after := slowMask(make([]byte, len(p)+4), key)[len(p):]; byte(next) != after[0] || byte(next>>24) != after[3] {
			t.Fatalf("%d bytes: the key goes on wrongly", len(p))
		}
	}
}

func BenchmarkMask(b *testing.B) {
	for name, size := range map[string]int{"64KiB": 64 << 10, "1KiB": 1 << 10, "100B": 100} {
		src, dst := make([]byte, size), make([]byte, size)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				mask(dst, src, 0x12345678)
			}
		})
		b.Run(name+" words", func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				maskWords(dst, src, 0x12345678)
			}
		})
		b.Run(name+" copy", func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				copy(dst, src)
			}
		})
	}
}
