// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// facing runs an honest side against a stranger and returns the honest side's
// error. It fails the test if there is none.
func facing(t *testing.T, strangerInitiates bool, evil func(*stranger)) error {
	t.Helper()
	a, b := net.Pipe()
	s := newStranger(t, a, strangerInitiates)
	var wg sync.WaitGroup
	wg.Go(func() {
		evil(s)
		_ = a.Close()
	})
	c, err := side{h: core.Handshake{
		Identity:  newSelf(t, peer.Ed25519),
		Initiator: !strangerInitiates,
		Muxers:    []string{"/yamux/1.0.0"},
	}}.run(context.Background(), b)
	if err == nil {
		t.Errorf("accepted as %v", c.RemotePeer())
	}
	// The handshake leaves the connection open.
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	wg.Wait()
	return err
}

func TestEvil_A1_HugeRSAKey(t *testing.T) {
	for _, bits := range []int{16384, 8193, 1024} {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		n.SetBit(n, 0, 1)
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 65537})
		if err != nil {
			t.Fatal(err)
		}
		key := protowire.AppendTag(nil, 1, protowire.VarintType)
		key = protowire.AppendVarint(key, uint64(peer.RSA))
		key = protowire.AppendTag(key, 2, protowire.BytesType)
		key = protowire.AppendBytes(key, der)
		payload := appendIdentity(nil, key, make([]byte, bits/8))
		for _, initiates := range []bool{true, false} {
			err := facing(t, initiates, func(s *stranger) { _, _, _ = s.run(initiates, payload) })
			if !errors.Is(err, peer.ErrInvalidKey) {
				t.Errorf("%d bits: %v", bits, err)
			}
		}
	}
}

func TestEvil_A6_OtherPeer(t *testing.T) {
	who, wanted := newSelf(t, peer.Ed25519), newSelf(t, peer.Ed25519).ID()
	check := func(who string, err error, got peer.ID) {
		t.Helper()
		var mismatch *core.PeerMismatchError
		if !errors.As(err, &mismatch) || mismatch.Want != wanted || mismatch.Got != got {
			t.Errorf("%s: %v", who, err)
		} else if !strings.Contains(err.Error(), got.String()) {
			t.Errorf("%s: %q does not name the actual peer", who, err)
		}
	}
	honest := side{h: core.Handshake{Identity: who}}
	picky := side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519), Expect: wanted}}

	a, b := net.Pipe()
	_, _, ierr, rerr := meet(t, a, b, picky, honest)
	check("initiator", ierr, who.ID())
	if rerr == nil {
		t.Error("the responder learnt who the initiator is")
	}
	a, b = net.Pipe()
	_, _, _, rerr = meet(t, a, b, honest, picky)
	check("responder", rerr, who.ID())
}

func TestEvil_A7_WrongSignature(t *testing.T) {
	victim, evil := newSelf(t, peer.Ed25519), newSelf(t, peer.Ed25519)
	sign := func(t *testing.T, data []byte) []byte {
		sig, err := victim.Sign(data)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	key := peer.MarshalPublicKey(victim.PublicKey())
	for name, payload := range map[string]func(*testing.T, *stranger) []byte{
		"for another static key": func(t *testing.T, _ *stranger) []byte {
			return appendIdentity(nil, key, sign(t, signedData(make([]byte, 32))))
		},
		"without prefix": func(t *testing.T, s *stranger) []byte {
			return appendIdentity(nil, key, sign(t, s.static.Public))
		},
		"with another prefix": func(t *testing.T, s *stranger) []byte {
			return appendIdentity(nil, key, sign(t, append([]byte("libp2p-tls-handshake:"), s.static.Public...)))
		},
		"by another key": func(t *testing.T, s *stranger) []byte {
			sig, err := evil.Sign(signedData(s.static.Public))
			if err != nil {
				t.Fatal(err)
			}
			return appendIdentity(nil, key, sig)
		},
		"none": func(*testing.T, *stranger) []byte { return appendIdentity(nil, key, nil) },
		"no key": func(t *testing.T, s *stranger) []byte {
			return appendIdentity(nil, nil, sign(t, signedData(s.static.Public)))
		},
		"empty payload":  func(*testing.T, *stranger) []byte { return nil },
		"not a protobuf": func(*testing.T, *stranger) []byte { return []byte("hello") },
	} {
		for _, initiates := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				err := facing(t, initiates, func(s *stranger) { _, _, _ = s.run(initiates, payload(t, s)) })
				t.Log(err)
			})
		}
	}
}

// lowOrder are the points of small order, with which every Diffie-Hellman is zero.
var lowOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func TestEvil_A7_LowOrderPoint(t *testing.T) {
	for _, text := range lowOrder {
		point, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		topBit := bytes.Clone(point)
		topBit[31] |= 0x80
		for _, p := range [][]byte{point, topBit} {
			err := facing(t, true, func(s *stranger) { _ = writeFrame(s.conn, p) })
			if err == nil || !strings.Contains(err.Error(), "message 2") {
				t.Errorf("ephemeral %x from the initiator: %v", p, err)
			}
			err = facing(t, false, func(s *stranger) {
				_, _ = readFrame(s.conn)
				_ = writeFrame(s.conn, append(bytes.Clone(p), make([]byte, 48+16)...))
			})
			if err == nil || !strings.Contains(err.Error(), "low order") {
				t.Errorf("ephemeral %x from the responder: %v", p, err)
			}
			err = facing(t, true, func(s *stranger) {
				copy(s.static.Public, p)
				_, _, _ = s.run(true, s.claim(t, newSelf(t, peer.Ed25519)))
			})
			if err == nil || !strings.Contains(err.Error(), "low order") {
				t.Errorf("static %x from the initiator: %v", p, err)
			}
		}
	}
}

// TestEvil_A7_Handshake flips one bit in each message of the handshake in turn.
func TestEvil_A7_Handshake(t *testing.T) {
	initiator := side{noise: new(Noise), h: core.Handshake{Identity: newSelf(t, peer.Ed25519), Muxers: []string{"/y"}}}
	responder := side{noise: new(Noise), h: core.Handshake{Identity: newSelf(t, peer.Ed25519), Muxers: []string{"/y"}}}
	for message := range 3 {
		for position := 0; position < 32 || message > 0 && position < 200; position += 5 {
			a, x := net.Pipe()
			y, b := net.Pipe()
			flip := func(body []byte, n int) [][]byte {
				if n == message {
					body[position%len(body)] ^= 0x10
				}
				return [][]byte{body}
			}
			var wg sync.WaitGroup
			wg.Go(func() { relay(y, x, func(body []byte, n int) [][]byte { return flip(body, 2*n) }) })
			wg.Go(func() { relay(x, y, func(body []byte, n int) [][]byte { return flip(body, 2*n+1) }) })
			_, r, ierr, rerr := meet(t, a, b, initiator, responder)
			if r != nil || rerr == nil {
				t.Fatalf("message %d, byte %d: the responder accepts", message+1, position)
			}
			if message < 2 && ierr == nil {
				t.Fatalf("message %d, byte %d: the initiator accepts", message+1, position)
			}
			_ = a.Close()
			wg.Wait()
		}
	}
}

// relay passes frames on, as change makes of them, until either side closes.
func relay(dst, src net.Conn, change func(body []byte, n int) [][]byte) {
	defer func() { _ = dst.Close() }()
	for n := 0; ; n++ {
		body, err := readFrame(src)
		if err != nil {
			return
		}
		for _, b := range change(body, n) {
			if writeFrame(dst, b) != nil {
				_ = src.Close()
				return
			}
		}
	}
}

// TestEvil_A7_Records tampers with the records of an open connection.
func TestEvil_A7_Records(t *testing.T) {
	var held []byte
	for name, change := range map[string]func(body []byte, n int) [][]byte{
		"flip":     func(b []byte, n int) [][]byte { b[n] ^= 1; return [][]byte{b} },
		"flip tag": func(b []byte, n int) [][]byte { b[len(b)-1] ^= 0x80; return [][]byte{b} },
		"swap": func(b []byte, n int) [][]byte {
			if n == 2 {
				held = b
				return nil
			}
			return [][]byte{b, held}
		},
		"repeat":    func(b []byte, _ int) [][]byte { return [][]byte{b, b} },
		"drop":      func([]byte, int) [][]byte { return nil },
		"truncate":  func(b []byte, _ int) [][]byte { return [][]byte{b[:len(b)-1]} },
		"lengthen":  func(b []byte, _ int) [][]byte { return [][]byte{append(b, 0)} },
		"empty":     func(b []byte, _ int) [][]byte { return [][]byte{{}, b} },
		"no tag":    func(b []byte, _ int) [][]byte { return [][]byte{b[:15]} },
		"plaintext": func(b []byte, _ int) [][]byte { return [][]byte{[]byte("plain text in the middle"), b} },
		"other key": func(b []byte, _ int) [][]byte { return [][]byte{make([]byte, len(b))} },
	} {
		t.Run(name, func(t *testing.T) {
			a, x := net.Pipe()
			y, b := net.Pipe()
			i, r := securedThrough(t, a, b, x, y, func(body []byte, n int) [][]byte {
				// The initiator's frames 0 and 1 are of the handshake.
				if n -= 2; n == 2 || name == "swap" && n == 3 {
					return change(body, n)
				}
				return [][]byte{body}
			})
			var wg sync.WaitGroup
			wg.Go(func() {
				for k := range 8 {
					if _, err := i.Write(bytes.Repeat([]byte{'a' + byte(k)}, 40)); err != nil {
						return
					}
				}
				_ = i.Close()
			})
			got, err := io.ReadAll(r)
			if err == nil {
				t.Error("the end of the connection looks like an honest one")
			}
			honest := bytes.Repeat([]byte("a"), 40)
			honest = append(honest, bytes.Repeat([]byte("b"), 40)...)
			if name == "repeat" {
				honest = append(honest, bytes.Repeat([]byte("c"), 40)...)
			}
			if !bytes.Equal(got, honest) {
				t.Errorf("read %q", got)
			}
			for range 3 {
				if n, err := r.Read(make([]byte, 100)); n != 0 || err == nil {
					t.Errorf("later read: %d bytes, %v", n, err)
				}
			}
			if _, err := r.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("write after that: %v", err)
			}
			wg.Wait()
		})
	}
}

// securedThrough is secured with somebody in the middle who changes the
// initiator's frames.
func securedThrough(t *testing.T, a, b, x, y net.Conn, change func([]byte, int) [][]byte) (i, r *Conn) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() { relay(y, x, change) })
	wg.Go(func() { relay(x, y, func(body []byte, _ int) [][]byte { return [][]byte{body} }) })
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
		wg.Wait()
	})
	return secured(t, a, b)
}

func TestEvil_A7_CutWithinRecord(t *testing.T) {
	for _, keep := range []int{1, 2, 3, 30} {
		a, b := net.Pipe()
		i, r := secured(t, a, b)
		var wg sync.WaitGroup
		wg.Go(func() {
			i.out.dst = &cutter{a, keep}
			_, _ = i.Write(make([]byte, 100))
		})
		if _, err := r.Read(make([]byte, 100)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d bytes: %v", keep, err)
		}
		wg.Wait()
	}
}

// cutter writes no more than keep bytes and closes.
type cutter struct {
	net.Conn
	keep int
}

func (c *cutter) Write(p []byte) (int, error) {
	_, _ = c.Conn.Write(p[:c.keep])
	_ = c.Conn.Close()
	return c.keep, io.ErrClosedPipe
}

func TestEvil_A7_NonceEnds(t *testing.T) {
	a, b := tcpPair(t)
	i, r := secured(t, a, b)
	i.out.sealer.next = math.MaxUint64 - 2
	r.in.sealer.next = math.MaxUint64 - 2
	buf := make([]byte, 10)
	for range 2 { // nonces 2^64-3 and 2^64-2
		if _, err := i.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(buf); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	for range 2 {
		if n, err := i.Write([]byte("x")); n != 0 || !errors.Is(err, errNonce) {
			t.Errorf("write: %d, %v", n, err)
		}
	}
	// The other side does not take such a record either.
	if err := writeFrame(a, make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := r.Read(buf); n != 0 || !errors.Is(err, errNonce) {
			t.Errorf("read: %d, %v", n, err)
		}
	}
}

// TestEvil_A13_PayloadStripped takes the list of muxers, or all of the payload,
// out of a message as somebody on the wire would have to: without the keys.
func TestEvil_A13_PayloadStripped(t *testing.T) {
	for _, message := range []int{1, 2} {
		for _, left := range []int{0, 32, 80, 96, -1} {
			a, x := net.Pipe()
			y, b := net.Pipe()
			strip := func(body []byte, n int) [][]byte {
				if n == message {
					if left < 0 {
						return [][]byte{body[:len(body)-8]}
					}
					return [][]byte{body[:min(left, len(body))]}
				}
				return [][]byte{body}
			}
			var wg sync.WaitGroup
			wg.Go(func() { relay(y, x, func(b []byte, n int) [][]byte { return strip(b, 2*n) }) })
			wg.Go(func() { relay(x, y, func(b []byte, n int) [][]byte { return strip(b, 2*n+1) }) })
			_, _, ierr, rerr := meet(t, a, b,
				side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519), Muxers: []string{"/y"}}},
				side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519), Muxers: []string{"/y"}}})
			if rerr == nil || message == 1 && ierr == nil {
				t.Errorf("message %d with %d bytes left: initiator %v, responder %v", message+1, left, ierr, rerr)
			}
			_ = a.Close()
			wg.Wait()
		}
	}
}

// TestEvil_A8_PlaintextRecord puts a record that is not encrypted on an open
// connection, alone and in front of a good one.
func TestEvil_A8_PlaintextRecord(t *testing.T) {
	for _, text := range []string{"", "short", "a record with room enough for a tag", strings.Repeat("long", 5000)} {
		a, b := tcpPair(t)
		i, r := secured(t, a, b)
		if err := writeFrame(a, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Write([]byte("good")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if n, err := r.Read(make([]byte, 1<<16)); n != 0 || err == nil || err == io.EOF {
				t.Errorf("%.10q: %d bytes, %v", text, n, err)
			}
		}
	}
}
