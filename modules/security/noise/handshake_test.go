// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func TestHandshakeOfEveryKeyType(t *testing.T) {
	types := []peer.KeyType{peer.Ed25519, peer.Secp256k1, peer.ECDSA, peer.RSA}
	for _, kind := range types {
		t.Run(kind.String(), func(t *testing.T) {
			one, two := newSelf(t, kind), newSelf(t, peer.Ed25519)
			for _, ends := range [][2]self{{one, two}, {two, one}} {
				a, b := net.Pipe()
				i, r, ierr, rerr := meet(t, a, b,
					side{h: core.Handshake{Identity: ends[0], Expect: ends[1].ID()}},
					side{h: core.Handshake{Identity: ends[1]}})
				if ierr != nil || rerr != nil {
					t.Fatalf("initiator: %v; responder: %v", ierr, rerr)
				}
				if i.RemotePeer() != ends[1].ID() || !i.RemotePublicKey().Equal(ends[1].PublicKey()) {
					t.Errorf("initiator sees %v", i.RemotePeer())
				}
				if r.RemotePeer() != ends[0].ID() || !r.RemotePublicKey().Equal(ends[0].PublicKey()) {
					t.Errorf("responder sees %v", r.RemotePeer())
				}
				if i.Muxer() != "" || r.Muxer() != "" {
					t.Errorf("muxers %q and %q out of nothing", i.Muxer(), r.Muxer())
				}
			}
		})
	}
}

func TestEarlyMuxer(t *testing.T) {
	for name, test := range map[string]struct {
		initiator, responder []string
		want                 string
		fails                bool
	}{
		"same":                       {initiator: []string{"/y"}, responder: []string{"/y"}, want: "/y"},
		"initiator's order counts":   {initiator: []string{"/y", "/m"}, responder: []string{"/m", "/y"}, want: "/y"},
		"initiator's order, again":   {initiator: []string{"/m", "/y"}, responder: []string{"/y", "/m"}, want: "/m"},
		"first unknown to responder": {initiator: []string{"/x", "/m", "/y"}, responder: []string{"/y", "/m"}, want: "/m"},
		"only initiator offers":      {initiator: []string{"/y"}},
		"only responder offers":      {responder: []string{"/y"}},
		"nobody offers":              {},
		"nothing in common":          {initiator: []string{"/y"}, responder: []string{"/m"}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			i, r, ierr, rerr := meet(t, a, b,
				side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519), Muxers: test.initiator}},
				side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519), Muxers: test.responder}})
			if test.fails {
				var none *core.ProtocolError
				if !errors.As(ierr, &none) || rerr == nil {
					t.Fatalf("initiator: %v; responder: %v", ierr, rerr)
				}
				return
			}
			if ierr != nil || rerr != nil {
				t.Fatalf("initiator: %v; responder: %v", ierr, rerr)
			}
			if i.Muxer() != test.want || r.Muxer() != test.want {
				t.Errorf("initiator has %q, responder %q, want %q", i.Muxer(), r.Muxer(), test.want)
			}
		})
	}
}

// A remote that sends whole lists on either side, or none, as others do.
func TestEarlyMuxerWithStranger(t *testing.T) {
	for name, test := range map[string]struct {
		strangerInitiates bool
		theirs            []string
		want              string
		fails             bool
	}{
		"initiator with list":         {strangerInitiates: true, theirs: []string{"/x", "/m", "/y"}, want: "/m"},
		"initiator without":           {strangerInitiates: true},
		"initiator, nothing common":   {strangerInitiates: true, theirs: []string{"/x"}, fails: true},
		"responder with list":         {theirs: []string{"/x", "/m", "/y"}, want: "/y"},
		"responder without":           {},
		"responder, nothing common":   {theirs: []string{"/x"}, fails: true},
		"initiator repeats a muxer":   {strangerInitiates: true, theirs: []string{"/m", "/m"}, want: "/m"},
		"responder with empty string": {theirs: []string{"", "/m"}, want: "/m"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			s := newStranger(t, a, test.strangerInitiates)
			payload := s.claim(t, newSelf(t, peer.Ed25519), test.theirs...)
			var wg sync.WaitGroup
			wg.Go(func() { _, _, _ = s.run(test.strangerInitiates, payload) })
			c, err := side{h: core.Handshake{
				Identity:  newSelf(t, peer.Ed25519),
				Initiator: !test.strangerInitiates,
				Muxers:    []string{"/y", "/m"},
			}}.run(context.Background(), b)
			_ = b.Close()
			wg.Wait()
			if test.fails {
				var none *core.ProtocolError
				if !errors.As(err, &none) {
					t.Fatalf("got error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.Muxer() != test.want {
				t.Errorf("got %q, want %q", c.Muxer(), test.want)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	who := newSelf(t, peer.Ed25519)
	hashes := [][]byte{{0x12, 0x20, 1}, {0x12, 0x20, 2}}
	a, b := net.Pipe()
	i, r, ierr, rerr := meet(t, a, b,
		side{h: core.Handshake{Identity: who}, options: Options{Prologue: []byte("same")}},
		side{h: core.Handshake{Identity: who}, options: Options{Prologue: []byte("same"), CertHashes: hashes}})
	if ierr != nil || rerr != nil {
		t.Fatalf("initiator: %v; responder: %v", ierr, rerr)
	}
	if diff := cmp.Diff(hashes, i.RemoteCertHashes()); diff != "" {
		t.Error(diff)
	}
	if len(r.RemoteCertHashes()) != 0 {
		t.Errorf("responder got %x", r.RemoteCertHashes())
	}

	a, b = net.Pipe()
	_, _, ierr, rerr = meet(t, a, b,
		side{h: core.Handshake{Identity: who}, options: Options{Prologue: []byte("one")}},
		side{h: core.Handshake{Identity: who}, options: Options{Prologue: []byte("two")}})
	if ierr == nil || rerr == nil {
		t.Errorf("prologues differ, but initiator: %v; responder: %v", ierr, rerr)
	}
}

func TestContextEndsHandshake(t *testing.T) {
	for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
		"cancel": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
	} {
		for _, initiator := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := end(t.Context())
					defer cancel()
					a, b := net.Pipe()
					start := time.Now()
					_, err := side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519), Initiator: initiator}}.run(ctx, a)
					if !errors.Is(err, ctx.Err()) || time.Since(start) != time.Second {
						t.Fatalf("after %v: %v", time.Since(start), err)
					}
					if name == "deadline" {
						var timeout net.Error
						if !errors.As(err, &timeout) || !timeout.Timeout() {
							t.Errorf("%v is no timeout", err)
						}
					}
					// The connection is open and has no deadline.
					var wg sync.WaitGroup
					wg.Go(func() { _, _ = b.Write([]byte("still there")) })
					got := make([]byte, 11)
					if _, err := io.ReadFull(a, got); err != nil {
						t.Error(err)
					}
					wg.Wait()
				})
			})
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a, _ := net.Pipe()
	if _, err := (side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519)}}).run(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}

// A deadline that the caller has set is neither cleared nor prolonged.
func TestDeadlineOfCallerStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		if err := a.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		i, _ := secured(t, a, b)
		start := time.Now()
		if _, err := i.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// What a fast initiator sends right behind its last message is not lost.
func TestDataBehindHandshake(t *testing.T) {
	a, b := net.Pipe()
	s := newStranger(t, a, true)
	payload := s.claim(t, newSelf(t, peer.Ed25519))
	sent := bytes.Repeat([]byte("early"), 500)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, _, err := s.write(nil); err != nil {
			t.Error(err)
		}
		if _, _, err := s.read(); err != nil {
			t.Error(err)
		}
		message, send, _, err := s.state.WriteMessage(nil, payload)
		if err != nil {
			t.Error(err)
			return
		}
		var both bytes.Buffer
		_ = writeFrame(&both, message)
		record, err := send.Encrypt(nil, nil, sent)
		if err != nil {
			t.Error(err)
		}
		_ = writeFrame(&both, record)
		_, _ = a.Write(both.Bytes())
	})
	c, err := side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519)}}.run(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%v, %d bytes", err, len(got))
	}
	wg.Wait()
}

func TestStaticKeyIsKeptAndRotated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s statics
		who, other := newSelf(t, peer.Ed25519), newSelf(t, peer.Ed25519)
		key := func(who self) []byte {
			k, err := s.get(who)
			if err != nil {
				t.Fatal(err)
			}
			p, err := decodePayload(k.payload)
			if err != nil || !who.PublicKey().Verify(signedData(k.public), p.signature) {
				t.Fatalf("bad payload: %v", err)
			}
			return k.public
		}
		first := key(who)
		time.Sleep(staticLifetime - 1)
		if !slices.Equal(first, key(who)) {
			t.Error("the key changed before its time")
		}
		time.Sleep(time.Nanosecond)
		second := key(who)
		if slices.Equal(first, second) {
			t.Error("the key was not rotated")
		}
		if slices.Equal(second, key(other)) {
			t.Error("two identities share a key")
		}
	})
}
