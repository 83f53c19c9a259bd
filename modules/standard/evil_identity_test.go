// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package standard_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/security/noise"
)

// Whoever dials finds out that somebody else is there, on every transport.
func TestEvil_A6_WrongPeer(t *testing.T) {
	s := newSite(t, roomy)
	want := peer.FromPublicKey(hosttest.Key(999).Public())
	s.siege(t, func() {
		for i, w := range ways {
			h, a := s.newcomers[i], s.addr(t, w.suffix)
			h.AddPeerAddrs(want, core.PermanentTTL, a)
			_, err := h.Connect(t.Context(), peer.AddrInfo{ID: want})
			if e, ok := errors.AsType[*core.PeerMismatchError](err); !ok || e.Got != s.ID() || e.Want != want {
				t.Errorf("%s: %v, want an error that names %s", w.name, err, s.ID())
			}
			if kept := h.PeerAddrs(want); len(kept) != 0 {
				t.Errorf("%s: %v is kept for a peer that is not there", w.name, kept)
			}
			if l := h.Limits(); len(h.Conns()) != 0 || l.Outbound != 0 || l.Memory != 0 {
				t.Errorf("%s: something came of it: %v, %+v", w.name, h.Conns(), l)
			}
		}
	})
}

// Somebody in the middle who ends the encryption has a certificate of their own:
// it is not the one in the address, and whose address has it is not the peer.
func TestEvil_A10_A11_CertificateOfAnother(t *testing.T) {
	s := newSite(t, roomy)
	middle := &site{Host: startNode(t, 2, fmt.Sprintf(everything, victimIP, freePort(t), roomy, "6s"))}
	hashes := func(a ma.Multiaddr) int {
		return slices.IndexFunc(a, func(c ma.Component) bool { return c.Code() == ma.P_CERTHASH })
	}
	for i, w := range ways {
		victims, middles := s.addr(t, w.suffix), middle.addr(t, w.suffix)
		n := hashes(victims)
		if n < 0 {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			h := s.newcomers[i]
			relayed := slices.Concat(middles[:n], victims[n:])
			_, err := h.Connect(t.Context(), peer.AddrInfo{ID: s.ID(), Addrs: []ma.Multiaddr{relayed}})
			if _, mismatch := errors.AsType[*core.PeerMismatchError](err); err == nil || mismatch || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("with the peer's hash: %v, want an error about the certificate", err)
			}
			_, err = h.Connect(t.Context(), peer.AddrInfo{ID: s.ID(), Addrs: []ma.Multiaddr{middles}})
			if err == nil {
				t.Error("with the middle's hash: connected")
			}
			if len(h.Conns()) != 0 {
				t.Errorf("connected: %v", h.Conns())
			}
		})
	}
	s.visit(t)
}

// What is not in the configuration is not spoken, on any transport: neither
// plaintext nor, unless it is named, mplex.
func TestEvil_A13_C9_NotOffered(t *testing.T) {
	s := newSite(t, roomy)
	s.siege(t, func() {
		for name, open := range map[string]func(*testing.T, net.Conn) (net.Conn, error){
			"tcp": plain, "ws": websocket, "wss": secureWebsocket,
		} {
			for _, protocol := range []string{"/plaintext/2.0.0", "/plaintext/1.0.0", "/secio/1.0.0", "/yamux/1.0.0", "/mplex/6.7.0", echoProtocol} {
				if got := proposes(t, s.tcp(), open, protocol); got != "na\n" {
					t.Errorf("%s over %s: %q", protocol, name, got)
				}
			}
		}
	})
}

// proposes asks for a protocol on a new connection, and returns the answer.
func proposes(t *testing.T, at *net.TCPAddr, open func(*testing.T, net.Conn) (net.Conn, error), protocol string) string {
	t.Helper()
	raw, err := dialFrom(t.Context(), 1, at)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c, err := open(t, raw)
	if err != nil {
		t.Fatal(err)
	}
	return proposesOn(t, c, protocol)
}

func proposesOn(t *testing.T, c net.Conn, protocol string) string {
	t.Helper()
	if _, err := io.WriteString(c, multistream+line(protocol)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if first, err := wire.ReadMessage(r, 1024); err != nil || string(first) != "/multistream/1.0.0\n" {
		t.Fatalf("%q, %v", first, err)
	}
	answer, err := wire.ReadMessage(r, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// A node whose configuration says nothing of security and muxers has no
// plaintext and no mplex, although both are in the binary.
func TestEvil_A13_C9_Defaults(t *testing.T) {
	t.Setenv("XNODE_DATA", t.TempDir())
	h := startNode(t, 1, `{"listen": ["/ip4/`+victimIP+`/tcp/0"], "transports": {"tcp": {}}}`)
	_, port, err := net.SplitHostPort(strings.NewReplacer("/ip4/", "", "/tcp/", ":").Replace(h.ListenAddrs()[0].String()))
	if err != nil {
		t.Fatal(err)
	}
	at, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(victimIP, port))
	if err != nil {
		t.Fatal(err)
	}
	if got := proposes(t, at, plain, "/plaintext/2.0.0"); got != "na\n" {
		t.Errorf("plaintext: %q", got)
	}
	secured := func(muxers ...string) (core.SecureConn, error) {
		raw, err := dialFrom(t.Context(), 1, at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { raw.Close() })
		if err := negotiates("/noise")(t, raw); err != nil {
			t.Fatal(err)
		}
		return new(noise.Noise).Handshake(t.Context(), raw,
			core.Handshake{Identity: coretest.NewIdentity(666), Initiator: true, Muxers: muxers}, noise.Options{})
	}
	if c, err := secured("/mplex/6.7.0"); err == nil && c.Muxer() != "" {
		t.Errorf("agreed on %s within Noise", c.Muxer())
	}
	c, err := secured()
	if err != nil {
		t.Fatal(err)
	}
	if got := proposesOn(t, c, "/mplex/6.7.0"); got != "na\n" {
		t.Errorf("mplex: %q", got)
	}
}

// Somebody in the middle who refuses every secure channel is not spoken to in
// plain, and not asked whether they would like that.
func TestEvil_A13_SecurityStripped(t *testing.T) {
	h := startNode(t, 1, `{"transports": {"tcp": {}}}`)
	for _, answer := range []string{"na", "/plaintext/2.0.0", "ls", ""} {
		t.Run(answer, func(t *testing.T) {
			l, err := net.Listen("tcp", attackerIP(3).String()+":0")
			if err != nil {
				t.Fatal(err)
			}
			var heard []string
			var serving sync.WaitGroup
			serving.Go(func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				io.WriteString(c, multistream)
				for r := bufio.NewReader(c); ; {
					b, err := wire.ReadMessage(r, 1024)
					if err != nil {
						return
					}
					if heard = append(heard, string(b)); len(heard) > 1 {
						io.WriteString(c, line(answer))
					}
				}
			})
			a := ma.StringCast(fmt.Sprintf("/ip4/%s/tcp/%d", attackerIP(3), l.Addr().(*net.TCPAddr).Port))
			_, err = h.Connect(t.Context(), peer.AddrInfo{ID: forger.ID(), Addrs: []ma.Multiaddr{a}})
			l.Close()
			serving.Wait()
			if err == nil {
				t.Error("connected")
			}
			for _, text := range heard {
				if text != "/multistream/1.0.0\n" && text != "/noise\n" && text != "/tls/1.0.0\n" {
					t.Errorf("it says %q", text)
				}
			}
		})
	}
}
