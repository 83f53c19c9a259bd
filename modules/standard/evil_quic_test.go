// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package standard_test

import (
	"bytes"
	"context"
	"crypto/rand"
	ctls "crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go/http3"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// What comes from an address that has not shown that it receives anything is
// answered with three times its size at most, and over webrtc-direct with no more
// than its size, until the handshake is given up.
func TestEvil_Q1_Amplification(t *testing.T) {
	s := newSite(t, roomy)
	hello, request := dtlsHello(t), binding(rand.Text())
	s.siege(t, func() {
		type attack struct {
			name    string
			in, max int
			socket  *net.UDPConn
		}
		var attacks []attack
		for i, tc := range []struct {
			name    string
			packets [][]byte
			factor  int
		}{
			{"quic", [][]byte{initial(t, "libp2p")}, 3},
			{"webtransport", [][]byte{initial(t, http3.NextProtoH3)}, 3},
			{"webrtc-direct", [][]byte{request, hello}, 1},
		} {
			a := attack{name: tc.name, socket: attackerSocket(t, i)}
			defer a.socket.Close()
			for _, p := range tc.packets {
				a.in += len(p)
				a.max += tc.factor * len(p)
				if _, err := a.socket.WriteTo(p, s.udp()); err != nil {
					t.Fatal(err)
				}
			}
			attacks = append(attacks, a)
		}
		s.visit(t)          // so they have been handled
		await(t, s.settled) // and given up
		for _, a := range attacks {
			if out := answers(t, a.socket); out == 0 || out > a.max {
				t.Errorf("%s: %d bytes are answered with %d, want %d at most", a.name, a.in, out, a.max)
			}
		}
	})
}

// allocations counts what an act, done n times, takes of the heap: how often,
// and how many bytes.
func allocations(n int, act func()) (times, size uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		act()
	}
	runtime.ReadMemStats(&after)
	return (after.Mallocs - before.Mallocs) / uint64(n), (after.TotalAlloc - before.TotalAlloc) / uint64(n)
}

// Packets that are refused, or answered with the demand to prove an address, cost
// next to nothing beside a handshake: how little is counted in what they take of
// the heap.
func TestEvil_Q2_RefusedPackets(t *testing.T) {
	const attacks, part, unproven = 300, 20, 4
	t.Setenv("XNODE_DATA", t.TempDir())
	s := &site{port: freePort(t)}
	limits := fmt.Sprintf(`{"inbound_connections": %d}`, unproven+1)
	s.Host = startNode(t, 1, fmt.Sprintf(everything, victimIP, s.port, limits, "1m"))
	t.Cleanup(s.Handle(echoProtocol, echo))
	counts := func(inbound int) {
		await(t, func() error {
			if now := s.Limits(); now.Inbound != inbound {
				return fmt.Errorf("limits count %+v, want %d inbound connections", now, inbound)
			}
			return nil
		})
	}
	client := startNode(t, 2, `{"transports": {"quic": {}}}`)
	times, size := allocations(part, func() {
		if _, err := client.Connect(t.Context(), s.info(t, "/udp/quic-v1")); err != nil {
			t.Fatal(err)
		}
		if err := client.Disconnect(s.ID()); err != nil {
			t.Fatal(err)
		}
		counts(0)
	})

	first := initial(t, "libp2p")
	cheap := func(name string, c *net.UDPConn, want func([]byte) bool) {
		n, b := allocations(attacks, func() {
			if a := ask(t, c, s.udp(), first); !want(a) || len(a) > 3*len(first) {
				t.Errorf("%s: %d bytes answer %d: %x", name, len(a), len(first), a)
			}
		})
		t.Logf("%s: %d allocations of %d bytes; a handshake: %d of %d", name, n, b, times, size)
		if n > times/10 || b > size/10 {
			t.Errorf("%s: %d allocations of %d bytes, too many beside a handshake's %d of %d", name, n, b, times, size)
		}
	}
	canary := startNode(t, 3, `{"transports": {"tcp": {}}}`)
	if err := converse(t.Context(), canary, s.info(t, "/tcp")); err != nil {
		t.Fatal(err)
	}
	counts(0)
	if _, err := canary.Connect(t.Context(), s.info(t, "/tcp")); err != nil {
		t.Fatal(err)
	}
	config := attackerTLS(t, "libp2p")
	for range unproven { // of one address, and they take all places
		defer stall(t, s.udp(), config, newHardOfHearing(t, 1, nothing))()
	}
	counts(unproven + 1)
	cheap("asked for a proof", attackerSocket(t, 1), retries)
	cheap("refused", attackerSocket(t, 2), func(b []byte) bool { return !retries(b) })
	if n := s.Limits().Inbound; n != unproven+1 {
		t.Errorf("%d connections, want %d", n, unproven+1)
	}
	if err := converse(t.Context(), canary, s.info(t, "/tcp")); err != nil {
		t.Errorf("the canary: %v", err)
	}
}

// Nobody is given what it takes to send data before the end of a handshake.
func TestEvil_Q4_NoEarlyData(t *testing.T) {
	s := newSite(t, roomy)
	s.siege(t, func() {
		for _, alpn := range []string{"libp2p", http3.NextProtoH3} {
			config := attackerTLS(t, alpn)
			cache := &tickets{ClientSessionCache: ctls.NewLRUClientSessionCache(1)}
			config.ClientSessionCache, config.SessionTicketsDisabled = cache, false
			config.VerifyConnection = nil // a browser knows no libp2p
			c, stop, err := shaken(t, 1, s.udp(), config)
			if err != nil {
				t.Fatal(err)
			}
			// Tickets come before the first byte of a stream.
			if alpn == "libp2p" {
				_, err = c.AcceptStream(t.Context())
			} else {
				_, err = c.AcceptUniStream(t.Context())
			}
			if err != nil {
				t.Errorf("%s: %v", alpn, err)
			}
			if n := cache.count(); n > 0 || c.ConnectionState().Used0RTT {
				t.Errorf("%s: the node has given %d tickets", alpn, n)
			}
			stop()
		}
	})
}

// tickets counts what a server gives for the next handshake.
type tickets struct {
	ctls.ClientSessionCache
	mu sync.Mutex
	n  int
}

func (c *tickets) Put(string, *ctls.ClientSessionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *tickets) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// meddler is between a client and the node, and adds packets of its own to what
// passes, in both directions.
type meddler struct {
	front, back *net.UDPConn // towards the client, and towards the node
	running     sync.WaitGroup

	mu       sync.Mutex
	client   net.Addr
	answered bool // the node has
	added    int
}

func meddle(t *testing.T, to *net.UDPAddr) *meddler {
	t.Helper()
	m := &meddler{front: attackerSocket(t, 4), back: attackerSocket(t, 5)}
	m.running.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := m.front.ReadFrom(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.client = from
			answered := m.answered
			m.mu.Unlock()
			m.pass(b[:n], answered, m.back, to)
		}
	})
	m.running.Go(func() {
		b := make([]byte, 2048)
		for {
			n, _, err := m.back.ReadFrom(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			client, answered := m.client, m.answered
			m.answered = true
			m.mu.Unlock()
			m.pass(b[:n], answered, m.front, client)
		}
	})
	return m
}

func (m *meddler) pass(b []byte, answered bool, by *net.UDPConn, to net.Addr) {
	by.WriteTo(b, to)
	for _, f := range forgedPackets(b, answered) {
		by.WriteTo(f, to)
		m.mu.Lock()
		m.added++
		m.mu.Unlock()
	}
}

func (m *meddler) stop() (added int) {
	m.front.Close()
	m.back.Close()
	m.running.Wait()
	return m.added
}

// forgedPackets are what somebody who sees a packet, but has none of its keys,
// may send behind it.
func forgedPackets(b []byte, answered bool) (list [][]byte) {
	random := make([]byte, 64)
	rand.Read(random)
	// A stateless reset, for a token that nobody knows, and one that is short.
	reset := append([]byte{0x40 | random[0]&0x3f}, random[1:]...)
	list = append(list, reset, reset[:21])
	if b[0]&0x80 == 0 { // a short header
		again := bytes.Clone(b)
		again[len(again)-1] ^= 1
		return append(list, again)
	}
	if len(b) < 7 || len(b) < 7+int(b[5]) || len(b) < 7+int(b[5])+int(b[6+b[5]]) {
		return list
	}
	destination := b[5 : 6+b[5]] // connection IDs with their lengths
	source := b[6+b[5] : 7+int(b[5])+int(b[6+b[5]])]
	version := func(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
	// The same packet changed; a handshake that nothing is known of; a retry
	// whose integrity tag is wrong.
	changed := bytes.Clone(b)
	changed[len(changed)-1] ^= 1
	list = append(list, changed,
		slices.Concat([]byte{0xe0}, version(1), destination, source, []byte{0x40, 50}, random[:50]),
		slices.Concat([]byte{0xf0}, version(1), destination, []byte{8}, random[:8], random[8:]),
		// A choice of versions with the one that is spoken.
		slices.Concat([]byte{0x80}, version(0), destination, source, version(1), version(0x0a0a0a0a)))
	if answered { // and one without it
		list = append(list, slices.Concat([]byte{0x80}, version(0), destination, source, version(0x0a0a0a0a)))
	}
	return list
}

// Packets that are forged by somebody who sees all others neither stop a
// handshake nor end a connection: choices of versions, retries, resets, and what
// cannot be decrypted.
func TestEvil_Q7_ForgedPackets(t *testing.T) {
	s := newSite(t, roomy)
	for i, w := range ways {
		if !strings.Contains(w.suffix, "quic-v1") {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			s.siege(t, func() {
				m := meddle(t, s.udp())
				a := slices.Clone(s.addr(t, w.suffix))
				at := m.front.LocalAddr().(*net.UDPAddr)
				copy(a, ma.StringCast(fmt.Sprintf("/ip4/%s/udp/%d", at.IP, at.Port)))
				h := s.newcomers[i]
				if err := converse(t.Context(), h, peer.AddrInfo{ID: s.ID(), Addrs: []ma.Multiaddr{a}}); err != nil {
					t.Error(err)
				}
				await(t, s.settled) // it has heard the end of the connection
				if n := m.stop(); n < 50 {
					t.Errorf("%d packets were forged", n)
				}
			})
		})
	}
}

// converse connects, talks for a while, and disconnects.
func converse(ctx context.Context, n core.Node, to peer.AddrInfo) error {
	c, err := n.Connect(ctx, to)
	if err != nil {
		return err
	}
	st, err := c.NewStream(ctx, echoProtocol)
	if err != nil {
		return errors.Join(err, c.Close())
	}
	talk := canary{stream: st}
	for range 50 {
		if err = talk.round(); err != nil {
			break
		}
	}
	return errors.Join(err, st.Close(), c.Close())
}
