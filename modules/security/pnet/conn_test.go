// SPDX-License-Identifier: Apache-2.0 OR MIT

package pnet

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/salsa20"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

func protect(t testing.TB, n *Network, c net.Conn) net.Conn {
	t.Helper()
	p, err := n.Protect(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pair returns two ends of a connection in a private network.
func pair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	n := load(t)
	x, y := memnet.Pipe()
	return protect(t, n, x), protect(t, n, y)
}

// The published example of XSalsa20, in pieces of every size.
func TestKeystreamVector(t *testing.T) {
	key := [keySize]byte([]byte("this is 32-byte key for xsalsa20"))
	nonce := [nonceSize]byte([]byte("24-byte nonce for xsalsa"))
	want := []byte{0x48, 0x48, 0x29, 0x7f, 0xeb, 0x1f, 0xb5, 0x2f, 0xb6, 0x6d, 0x81, 0x60, 0x9b, 0xd5, 0x47, 0xfa}
	for size := 1; size <= len(want); size++ {
		s := newKeystream(&key, &nonce)
		got := make([]byte, len(want))
		for at := 0; at < len(got); at += size {
			piece := got[at:min(at+size, len(got))]
			s.xor(piece, piece)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("in pieces of %d: % x, want % x", size, got, want)
		}
	}
}

// The keystream is the same however it is cut, also after going back.
func TestKeystreamPieces(t *testing.T) {
	key, nonce := [keySize]byte{1}, [nonceSize]byte{2}
	plain := make([]byte, 10_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range plain {
		plain[i] = byte(r.Uint32())
	}
	want := make([]byte, len(plain))
	salsa20.XORKeyStream(want, plain, nonce[:], &key)
	for range 200 {
		s, got := newKeystream(&key, &nonce), make([]byte, len(plain))
		for at := 0; at < len(plain); {
			n := min(r.IntN(300), len(plain)-at)
			s.xor(got[at:], plain[at:at+n])
			back := r.IntN(n + 1)
			s.back(back)
			at += n - back
		}
		if !bytes.Equal(got, want) {
			t.Fatal("the pieces do not make the whole")
		}
	}
}

func FuzzKeystream(f *testing.F) {
	f.Add([]byte("some text that is longer than a block of sixty-four bytes, by a little"), uint16(3), uint16(64))
	f.Fuzz(func(t *testing.T, plain []byte, first, second uint16) {
		key, nonce := [keySize]byte{3}, [nonceSize]byte{4}
		want, got := make([]byte, len(plain)), bytes.Clone(plain)
		salsa20.XORKeyStream(want, plain, nonce[:], &key)
		s := newKeystream(&key, &nonce)
		i := min(int(first), len(got))
		j := min(i+int(second), len(got))
		for _, piece := range [][]byte{got[:i], got[i:j], got[j:]} {
			s.xor(piece, piece)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("cut at %d and %d, the pieces do not make the whole", i, j)
		}
	})
}

// What is on the wire is a nonce and then what XSalsa20 makes of the data, in
// one write; before that, nothing.
func TestWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := load(t)
		x, wire := memnet.Pipe()
		c := protect(t, n, x)
		_ = wire.SetReadDeadline(time.Now().Add(time.Second))
		if k, err := wire.Read(make([]byte, 1)); k > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes are sent before the first write, %v", k, err)
		}
		_ = wire.SetReadDeadline(time.Time{})
		for i, text := range []string{"/multistream/1.0.0\n", "and more"} {
			if k, err := c.Write([]byte(text)); k != len(text) || err != nil {
				t.Fatalf("write: %d, %v", k, err)
			}
			got := make([]byte, 100)
			k, err := wire.Read(got)
			if want := len(text) + nonceSize*(1-i); err != nil || k != want {
				t.Errorf("write %d: %d bytes on the wire, %v, want %d", i, k, err, want)
			}
			if i == 0 {
				plain := make([]byte, k-nonceSize)
				salsa20.XORKeyStream(plain, got[nonceSize:k], got[:nonceSize], n.key())
				if string(plain) != text {
					t.Errorf("decrypted: %q", plain)
				}
			}
		}
		// The other way, with what x/crypto makes, byte by byte.
		nonce, answer := bytes.Repeat([]byte{7}, nonceSize), []byte("the answer")
		sealed := make([]byte, len(answer))
		salsa20.XORKeyStream(sealed, answer, nonce, n.key())
		var wg sync.WaitGroup
		wg.Go(func() {
			for _, b := range append(nonce, sealed...) {
				if _, err := wire.Write([]byte{b}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
			_ = wire.Close()
		})
		if got, err := io.ReadAll(c); !bytes.Equal(got, answer) || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		wg.Wait()
	})
}

func TestLargeTransfer(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	a, b := pair(t)
	const size = 3 << 20
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	before := bytes.Clone(data)
	var wg sync.WaitGroup
	for _, dir := range [][2]net.Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			for at, n := 0, 1; at < size; at, n = at+n, n*3 {
				n = min(n, size-at)
				if _, err := dir[0].Write(data[at : at+n]); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			got := make([]byte, size)
			if _, err := io.ReadFull(dir[1], got); err != nil || !bytes.Equal(got, before) {
				t.Errorf("what arrives is not what was sent (%v)", err)
			}
		})
	}
	wg.Wait()
	if !bytes.Equal(data, before) {
		t.Error("the writer's data has changed")
	}
}

// Deadlines lose nothing: what was not written can be written again, and what
// was not read is still there, the nonce too.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		soon := func() time.Time { return time.Now().Add(time.Second) }
		_ = b.SetReadDeadline(soon())
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v, want a timeout", err)
		}
		_ = b.SetReadDeadline(time.Time{})
		data := bytes.Repeat([]byte("0123456789"), 100_000)
		written := 0
		for range 2 { // more than the connection takes
			_ = a.SetWriteDeadline(soon())
			n, err := a.Write(data[written:])
			if written += n; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("write: %d, %v, want a timeout", n, err)
			}
		}
		_ = a.SetWriteDeadline(time.Time{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Write(data[written:]); err != nil {
				t.Error(err)
			}
			_ = a.Close()
		})
		if got, err := io.ReadAll(b); !bytes.Equal(got, data) || err != nil {
			t.Errorf("%d of %d bytes arrived, %v", len(got), len(data), err)
		}
		wg.Wait()
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
	})
}

// A member of another network, or of none, gets nothing but noise.
func TestEvil_OtherKey(t *testing.T) {
	mine := load(t)
	other := coretest.MustLoad[*Network](t, "pnet", config(keyFile(t, keyText("base16", testKey[:63]+"4"))))
	const text = "/multistream/1.0.0\n that is long enough"
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"another key": func(c net.Conn) net.Conn { return protect(t, other, c) },
		"no key":      func(c net.Conn) net.Conn { return c },
	} {
		x, y := memnet.Pipe()
		a, b := protect(t, mine, x), wrap(y)
		for _, dir := range [][2]net.Conn{{a, b}, {b, a}} {
			if _, err := dir[0].Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(text)-nonceSize)
			if _, err := io.ReadFull(dir[1], got); err != nil || bytes.Contains([]byte(text), got[:4]) {
				t.Errorf("%s: read %q, %v", name, got, err)
			}
		}
	}
}

// Two who both wait for the other's nonce, as js-libp2p does, get it.
func TestReadSendsTheNonce(t *testing.T) {
	x, y := memnet.Pipe()
	a, b := protect(t, load(t), x), protect(t, load(t), y)
	var wg sync.WaitGroup
	got := make([]byte, 5)
	wg.Go(func() { _, _ = io.ReadFull(a, got[:3]) }) // before anything is written
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(y, nonce); err != nil {
		t.Fatal(err)
	}
	b.(*conn).in.keystream = newKeystream(b.(*conn).key(), (*[nonceSize]byte)(nonce))
	if _, err := b.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if _, err := a.Write([]byte("de")); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, 2)
	if _, err := io.ReadFull(b, back); err != nil || string(back) != "de" || string(got[:3]) != "abc" {
		t.Errorf("%q and %q, %v", got, back, err) // the nonce came once
	}
}

func TestEvil_CutOff(t *testing.T) {
	for n := range nonceSize + 1 {
		x, y := memnet.Pipe()
		c := protect(t, load(t), x)
		if _, err := y.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		_ = y.Close()
		want := io.ErrUnexpectedEOF
		if n == 0 || n == nonceSize {
			want = io.EOF
		}
		for range 2 {
			if _, err := c.Read(make([]byte, 1)); err != want {
				t.Errorf("after %d bytes: %v, want %v", n, err, want)
			}
		}
	}
}

func TestWritesCostNoMemory(t *testing.T) {
	n := load(t)
	c := protect(t, n, discard{})
	b := make([]byte, 1<<10)
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(100, func() { _, _ = c.Write(b) }); got > 0.1 {
		t.Errorf("%v allocations a write", got)
	}
}

type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Read(b []byte) (int, error)  { return len(b), nil }

func BenchmarkWrite(b *testing.B) {
	for name, size := range map[string]int{"100B": 100, "64KiB": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			c, p := protect(b, load(b), discard{}), make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = c.Write(p)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	c, p := protect(b, load(b), discard{}), make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Read(p)
	}
}

// BenchmarkCrypto is what x/crypto takes for the same, without a connection.
func BenchmarkCrypto(b *testing.B) {
	for name, size := range map[string]int{"100B": 100, "64KiB": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			p, nonce, key := make([]byte, size), make([]byte, nonceSize), new([keySize]byte)
			b.SetBytes(int64(size))
			for b.Loop() {
				salsa20.XORKeyStream(p, p, nonce, key)
			}
		})
	}
}
