// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core/coretest"
)

// remote is a plain UDP socket that sends to one port.
type remote struct {
	*net.UDPConn
	t *testing.T
}

func newRemote(t *testing.T, to netip.AddrPort) remote {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return remote{c, t}
}

func (r remote) at() netip.AddrPort { return addrPort(r.LocalAddr()) }

func (r remote) send(b ...byte) {
	r.t.Helper()
	if _, err := r.Write(b); err != nil {
		r.t.Error(err)
	}
}

// wantNext fails the test unless the next datagram is b.
func wantNext(t *testing.T, name string, k *Packets, from netip.AddrPort, b ...byte) {
	t.Helper()
	got := make([]byte, maxDatagram)
	n, addr, err := k.ReadFrom(got)
	if err != nil || string(got[:n]) != string(b) || addrPort(addr) != from {
		t.Errorf("%s: %d from %v (%v), want %d from %v", name, got[:n], addr, err, b, from)
	}
}

func TestPackets(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	p := mustJoin(t, newNode(t, 1), loopback4)
	r := newRemote(t, p.Addr())
	k := p.Packets(nil)
	for first := range 256 { // of which only STUN and DTLS arrive
		r.send(byte(first), 1, 2)
		if first <= 3 || (first >= 20 && first < 64) {
			wantNext(t, "STUN and DTLS", k, r.at(), byte(first), 1, 2)
		}
	}
	if _, err := k.WriteTo([]byte("answer"), r.LocalAddr()); err != nil {
		t.Error(err)
	}
	if err := p.WriteTo([]byte("punch"), r.at()); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"answer", "punch"} {
		b := make([]byte, 100)
		if n, err := r.Read(b); string(b[:n]) != want || err != nil {
			t.Errorf("the remote reads %q, %v", b[:n], err)
		}
	}
	k.Close()
	k.Close()
	if _, _, err := k.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := k.WriteTo(nil, r.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
}

func TestPacketsDeadline(t *testing.T) {
	k := mustJoin(t, newNode(t, 1), loopback4).Packets(nil)
	defer k.Close()
	k.SetDeadline(time.Now().Add(-time.Second))
	if _, _, err := k.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	k.SetReadDeadline(time.Time{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, _, err := k.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read under way: %v", err)
		}
	})
	k.SetReadDeadline(time.Now().Add(time.Millisecond))
	wg.Wait()
}

// TestPacketsReload has a second reader beside the first, which keeps its
// remotes until it is closed.
func TestPacketsReload(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n := newNode(t, 1)
	p := mustJoin(t, n, loopback4)
	known, stranger := newRemote(t, p.Addr()), newRemote(t, p.Addr())
	first := p.Packets(func(r netip.AddrPort) bool { return r == known.at() })
	known.send(1)
	stranger.send(2)
	wantNext(t, "alone", first, known.at(), 1)
	wantNext(t, "alone", first, stranger.at(), 2)

	second := p.Packets(nil)
	known.send(3)
	stranger.send(0)
	wantNext(t, "beside another", first, known.at(), 3)
	wantNext(t, "the latest", second, stranger.at(), 0)

	second.Retire()
	stranger.send(20)
	wantNext(t, "beside one that is retired", first, stranger.at(), 20)
	second.Close()
	first.Retire()
	stranger.send(21) // which nobody wants
	known.send(22)
	wantNext(t, "retired", first, known.at(), 22)

	p.Release()
	known.send(23)
	wantNext(t, "without a port", first, known.at(), 23)
	first.Close()
	n.waitUnused()
}

// TestEvil_Q9_PacketFlood sends datagrams that nobody reads; connections on the
// port are served meanwhile.
func TestEvil_Q9_PacketFlood(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	n, client := newNode(t, 1), newNode(t, 2)
	p := mustJoin(t, n, loopback4)
	l := listenOn(t, p, "libp2p", new(coretest.Admissions))
	k := p.Packets(nil)
	defer k.Close()
	r := newRemote(t, p.Addr())
	for range 10 {
		for range maxQueued {
			r.send(make([]byte, 1200)...)
		}
		exchange(t, dial(t, client, p.Addr(), "libp2p"), accept(t, l))
	}
	if waiting := len(k.queue); waiting > maxQueued {
		t.Errorf("%d datagrams wait", waiting)
	}
}
