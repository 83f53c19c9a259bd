// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// SecurityOptions leave out cases of [TestSecurity].
type SecurityOptions struct {
	// Plaintext: the protocol neither encrypts nor authenticates what it
	// carries.
	Plaintext bool
	// KeyTypes are the identities to try. Default: all.
	KeyTypes []peer.KeyType
}

// securitySuite is one run of [TestSecurity].
type securitySuite struct {
	security core.SecureChannel
	options  SecurityOptions
}

// TestSecurity tests what every security protocol must do, on an in-memory
// connection.
func TestSecurity(t *testing.T, security core.SecureChannel, options ...SecurityOptions) {
	s := &securitySuite{security: security}
	if len(options) > 0 {
		s.options = options[0]
	}
	if s.options.KeyTypes == nil {
		s.options.KeyTypes = []peer.KeyType{peer.Ed25519, peer.Secp256k1, peer.ECDSA, peer.RSA}
	}
	if p := security.Protocol(); p == "" || p[0] != '/' {
		t.Errorf("protocol %q: want an ID with a slash in front", p)
	}
	for _, c := range []struct {
		name string
		skip bool
		test func(*testing.T)
	}{
		{"Peers", false, s.testPeers},
		{"Expect", false, s.testExpect},
		{"Evil_A1_WrongPeer", false, s.testWrongPeer},
		{"Muxers", false, s.testMuxers},
		{"BothDirections", false, s.testBothDirections},
		{"LargeTransfer", false, s.testLargeTransfer},
		{"SmallReads", false, s.testSmallReads},
		{"ConcurrentWrites", false, s.testConcurrentWrites},
		{"ReadDeadline", false, s.testReadDeadline},
		{"WriteDeadline", false, s.testWriteDeadline},
		{"Close", false, s.testClose},
		{"Cancelled", false, s.testCancelled},
		{"Evil_A9_Silence", false, s.testSilence},
		{"Evil_A4_Garbage", false, s.testGarbage},
		{"Evil_A4_Truncated", false, s.testTruncated},
		{"Evil_A4_Reflected", s.options.Plaintext, s.testReflected},
		{"Evil_A4_TamperedHandshake", s.options.Plaintext, s.testTamperedHandshake},
		{"Evil_A4_TamperedData", s.options.Plaintext, s.testTamperedData},
		{"Evil_A4_ReplayedData", s.options.Plaintext, s.testReplayedData},
		{"Evil_A4_TruncatedData", s.options.Plaintext, s.testTruncatedData},
		{"Evil_A4_Eavesdropper", s.options.Plaintext, s.testEavesdropper},
	} {
		if c.skip {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			VerifyNoLeaks(t)
			c.test(t)
		})
	}
}

// handshaker is one side of a handshake, and what became of it.
type handshaker struct {
	core.Handshake

	conn   net.Conn
	secure core.SecureConn
	err    error
}

// sides returns an initiator and a responder that are ready to begin.
func sides(client, server net.Conn) (c, s *handshaker) {
	return &handshaker{Handshake: core.Handshake{Identity: NewIdentity(1), Initiator: true}, conn: client},
		&handshaker{Handshake: core.Handshake{Identity: NewIdentity(2)}, conn: server}
}

// handshake runs both sides. One that fails closes its connection, as the swarm
// does, unless keep is set.
func (s *securitySuite) handshake(ctx context.Context, keep bool, both ...*handshaker) {
	var wg sync.WaitGroup
	for _, h := range both {
		wg.Go(func() {
			h.secure, h.err = s.security.Secure(ctx, h.conn, h.Handshake)
			if h.err != nil && !keep {
				h.conn.Close()
			}
		})
	}
	wg.Wait()
}

// connect returns both ends of a secured connection, which last until the test
// ends.
func (s *securitySuite) connect(t *testing.T) (client, server core.SecureConn) {
	t.Helper()
	a, b := memnet.Pipe()
	return s.connectOn(t, a, b)
}

func (s *securitySuite) connectOn(t *testing.T, a, b net.Conn) (client, server core.SecureConn) {
	t.Helper()
	c, r := sides(a, b)
	s.handshake(t.Context(), false, c, r)
	if c.err != nil || r.err != nil {
		t.Fatalf("handshake: initiator: %v; responder: %v", c.err, r.err)
	}
	t.Cleanup(func() {
		c.secure.Close()
		r.secure.Close()
	})
	return c.secure, r.secure
}

func (s *securitySuite) testPeers(t *testing.T) {
	for _, clientType := range s.options.KeyTypes {
		for _, serverType := range s.options.KeyTypes {
			if clientType != peer.Ed25519 && serverType != peer.Ed25519 && clientType != serverType {
				continue
			}
			t.Run(fmt.Sprintf("%v and %v", clientType, serverType), func(t *testing.T) {
				a, b := memnet.Pipe()
				c, r := sides(a, b)
				c.Identity, r.Identity = GenerateIdentity(t, clientType), GenerateIdentity(t, serverType)
				s.handshake(t.Context(), false, c, r)
				checkPeer(t, "initiator", c, r.Identity)
				checkPeer(t, "responder", r, c.Identity)
			})
		}
	}
}

// checkPeer fails unless h succeeded with a peer.
func checkPeer(t *testing.T, what string, h *handshaker, want core.Identity) {
	t.Helper()
	if h.err != nil {
		t.Errorf("%s: %v", what, h.err)
		return
	}
	defer h.secure.Close()
	if got := h.secure.RemotePeer(); got != want.ID() {
		t.Errorf("%s: connected to %s, want %s", what, got, want.ID())
	}
	if key := h.secure.RemotePublicKey(); key == nil || !key.Equal(want.PublicKey()) {
		t.Errorf("%s: the key is not that of the peer", what)
	}
}

func (s *securitySuite) testExpect(t *testing.T) {
	a, b := memnet.Pipe()
	c, r := sides(a, b)
	c.Expect, r.Expect = r.Identity.ID(), c.Identity.ID()
	s.handshake(t.Context(), false, c, r)
	checkPeer(t, "initiator", c, r.Identity)
	checkPeer(t, "responder", r, c.Identity)
}

// testWrongPeer has each side meet somebody else. Its connection stays open: the
// swarm closes it.
func (s *securitySuite) testWrongPeer(t *testing.T) {
	other := NewIdentity(3).ID()
	for _, initiator := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			a, b := memnet.Pipe()
			picky, o := sides(a, b)
			if !initiator {
				picky, o = o, picky
			}
			picky.Expect = other
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s.handshake(ctx, true, picky, o)
			mismatch, ok := errors.AsType[*core.PeerMismatchError](picky.err)
			if !ok || mismatch.Want != other || mismatch.Got != o.Identity.ID() {
				t.Errorf("initiator %v: %v, want a PeerMismatchError", initiator, picky.err)
			}
			if _, err := picky.conn.Write([]byte{0}); err != nil {
				t.Errorf("initiator %v: the connection is closed: %v", initiator, err)
			}
			picky.conn.Close()
			if o.err == nil { // it learns of it by now
				if _, err := jamConn(o.secure); err == nil {
					t.Errorf("initiator %v: the other side notices nothing", initiator)
				}
				o.secure.Close()
			}
			o.conn.Close()
		})
	}
}

// jamConn writes until that fails, or works for too long.
func jamConn(c net.Conn) (n int, err error) {
	for n < maxUnread && err == nil {
		var k int
		k, err = c.Write(make([]byte, 64<<10))
		n += k
	}
	return n, err
}

// testMuxers has the sides offer muxers: if one is agreed on in the handshake,
// both say the same, and both offered it. A handshake may fail at once if both
// offer some and none is the same.
func (s *securitySuite) testMuxers(t *testing.T) {
	for _, tc := range [][2][]string{
		{nil, nil},
		{{"/a"}, {"/a"}},
		{{"/a", "/b"}, {"/b", "/a"}},
		{{"/b", "/c"}, {"/a", "/b"}},
		{{"/a"}, {"/b"}},
		{{"/a"}, nil},
		{nil, {"/a"}},
	} {
		a, b := memnet.Pipe()
		c, r := sides(a, b)
		c.Muxers, r.Muxers = tc[0], tc[1]
		s.handshake(t.Context(), false, c, r)
		if c.err != nil || r.err != nil {
			if len(tc[0]) == 0 || len(tc[1]) == 0 || slices.ContainsFunc(tc[0], func(m string) bool { return slices.Contains(tc[1], m) }) {
				t.Errorf("%v: initiator: %v; responder: %v", tc, c.err, r.err)
			}
			a.Close()
			b.Close()
			continue
		}
		m := c.secure.Muxer()
		if r.secure.Muxer() != m {
			t.Errorf("%v: one says %q, the other %q", tc, m, r.secure.Muxer())
		}
		if m != "" && (!slices.Contains(tc[0], m) || !slices.Contains(tc[1], m)) {
			t.Errorf("%v: agreed on %q", tc, m)
		}
		c.secure.Close()
		r.secure.Close()
	}
}

func (s *securitySuite) testCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a, b := memnet.Pipe()
	c, r := sides(a, b)
	s.handshake(ctx, false, c, r)
	for _, h := range []*handshaker{c, r} {
		if h.err == nil {
			t.Errorf("initiator %v: succeeded with a cancelled context", h.Initiator)
			h.secure.Close()
		}
	}
}
