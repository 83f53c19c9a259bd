// SPDX-License-Identifier: Apache-2.0 OR MIT

package lan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain runs the tests where networks can be made.
func TestMain(m *testing.M) {
	Hold()
	if Inside() {
		os.Exit(m.Run())
	}
	status, err := Enter(context.Background(), os.Args[1:]...)
	switch {
	case err == nil:
		os.Exit(status)
	case errors.Is(err, ErrUnavailable):
		fmt.Println(err)
		os.Exit(m.Run()) // they skip
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// site is a network with two public hosts, and a host behind a router.
type site struct {
	hosts   [2]*Host
	addrs   [2]netip.Addr
	router  *Router
	private *Host
}

func newSite(t *testing.T, name string, kind NAT, w *Wire) *site {
	t.Helper()
	if !Inside() {
		t.Skip("no network namespaces here")
	}
	tools := []string{"nft", "conntrack"}
	if kind == UPnP {
		tools = append(tools, "miniupnpd")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the command %s is missing", tool)
		}
	}
	ctx, s := context.WithoutCancel(t.Context()), new(site)
	public, err := New(ctx, "pub"+name, netip.MustParsePrefix("1.2.3.0/24"), netip.Prefix{})
	must(t, err)
	for i := range s.hosts {
		s.hosts[i], err = NewHost(ctx)
		must(t, err)
		closeLater(t, s.hosts[i])
		l, err := s.hosts[i].Join(ctx, public)
		must(t, err)
		s.addrs[i] = l.Addrs[0].Addr()
	}
	inside, err := New(ctx, "lan"+name, netip.MustParsePrefix("192.168.1.0/24"), netip.Prefix{})
	must(t, err)
	if w != nil {
		closeLater(t, w)
	}
	s.router, err = NewRouter(ctx, inside, public, kind, w)
	must(t, err)
	closeLater(t, s.router)
	s.private, err = s.router.NewHost(ctx)
	must(t, err)
	closeLater(t, s.private)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func closeLater(t *testing.T, c io.Closer) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// bind opens a UDP socket of a host.
func bind(t *testing.T, h *Host, port int) (conn *net.UDPConn) {
	t.Helper()
	must(t, h.Do(func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		return err
	}))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// listen opens a TCP listener of a host that accepts and never speaks.
func listen(t *testing.T, h *Host, port int) (l *net.TCPListener) {
	t.Helper()
	must(t, h.Do(func() (err error) {
		l, err = net.ListenTCP("tcp4", &net.TCPAddr{Port: port})
		return err
	}))
	t.Cleanup(func() { l.Close() })
	return l
}

// patience is how long what arrives may take.
const patience = 10 * time.Second

// send sends a packet, and returns who it comes from there; it is invalid if it
// does not come.
func send(t *testing.T, from, to *net.UDPConn, at netip.AddrPort) netip.AddrPort {
	t.Helper()
	if _, err := from.WriteToUDPAddrPort([]byte("hello"), at); err != nil {
		t.Fatal(err)
	}
	return receive(t, to, patience)
}

func receive(t *testing.T, at *net.UDPConn, wait time.Duration) netip.AddrPort {
	t.Helper()
	must(t, at.SetReadDeadline(time.Now().Add(wait)))
	_, src, err := at.ReadFromUDPAddrPort(make([]byte, 100))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(src.Addr().Unmap(), src.Port())
}

// dial connects by TCP from a port, and returns who that is at the listener.
func dial(t *testing.T, h *Host, port int, l *net.TCPListener, at netip.AddrPort) (shown netip.AddrPort) {
	t.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{Port: port}, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }), err)
	}}
	must(t, h.Do(func() error {
		conn, err := d.Dial("tcp4", at.String())
		if err == nil {
			t.Cleanup(func() { conn.Close() })
		}
		return err
	}))
	conn, err := l.AcceptTCP()
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.RemoteAddr().(*net.TCPAddr).AddrPort()
}

// What each kind of router shows of one port to one host and to another, and who
// may answer.
func TestRouters(t *testing.T) {
	for i, tc := range []struct {
		kind                NAT
		udp, mapped, anyone bool
	}{
		{Cone, true, true, false},
		{FullCone, true, true, true},
		{Hairpin, true, true, true},
		{Symmetric, true, false, false},
		{UDPBlock, false, true, false},
		{UPnP, true, true, false},
	} {
		t.Run(string(tc.kind), func(t *testing.T) {
			s := newSite(t, fmt.Sprint(i), tc.kind, nil)
			const port, inside = 7000, 5555
			at := [2]netip.AddrPort{netip.AddrPortFrom(s.addrs[0], port), netip.AddrPortFrom(s.addrs[1], port)}
			check := func(network string, first, second netip.AddrPort) {
				t.Helper()
				if first.Addr() != s.router.Address() || second.Addr() != s.router.Address() {
					t.Errorf("%s is shown as %s and %s, want the router's address %s", network, first, second, s.router.Address())
				}
				if (first == second) != tc.mapped || tc.mapped && first.Port() != inside {
					t.Errorf("%s is shown as %s and %s", network, first, second)
				}
			}
			listeners := [2]*net.TCPListener{listen(t, s.hosts[0], port), listen(t, s.hosts[1], port)}
			check("TCP", dial(t, s.private, inside, listeners[0], at[0]), dial(t, s.private, inside, listeners[1], at[1]))

			mine, its, stranger := bind(t, s.private, inside), bind(t, s.hosts[0], port), bind(t, s.hosts[1], port)
			if !tc.udp {
				_, err := mine.WriteToUDPAddrPort([]byte("hello"), at[0])
				if from := receive(t, its, time.Second); from.IsValid() || err != nil && !errors.Is(err, syscall.EPERM) {
					t.Errorf("UDP gets out, as %s: %v", from, err)
				}
				return
			}
			shown := send(t, mine, its, at[0])
			if from := send(t, its, mine, shown); from != at[0] {
				t.Errorf("an answer comes from %s, want %s", from, at[0])
			}
			if _, err := stranger.WriteToUDPAddrPort([]byte("hello"), shown); err != nil {
				t.Fatal(err)
			}
			if from := receive(t, mine, time.Second); from.IsValid() != tc.anyone {
				t.Errorf("who was not spoken to gets through: %t, want %t", from.IsValid(), tc.anyone)
			}
			check("UDP", shown, send(t, mine, stranger, at[1]))
			if _, err := bind(t, s.private, 0).WriteToUDPAddrPort([]byte("hello"), shown); err != nil {
				t.Fatal(err)
			}
			if from := receive(t, mine, 300*time.Millisecond); from.IsValid() != (tc.kind == Hairpin) {
				t.Errorf("a host inside gets through at the address outside: %t", from.IsValid())
			}

			// The router forgets: nobody gets through any more.
			must(t, s.router.Forget(t.Context()))
			if _, err := its.WriteToUDPAddrPort([]byte("hello"), shown); err != nil {
				t.Fatal(err)
			}
			if from := receive(t, mine, time.Second); from.IsValid() {
				t.Error("a router that has forgotten lets packets in")
			}
		})
	}
}

// A router outside gets another address.
func TestRenumber(t *testing.T) {
	s := newSite(t, "r", Cone, nil)
	mine, its := bind(t, s.private, 0), bind(t, s.hosts[0], 7000)
	at := netip.AddrPortFrom(s.addrs[0], 7000)
	before := send(t, mine, its, at)
	must(t, s.router.Renumber(t.Context(), 77))
	after := send(t, mine, its, at)
	if before.Addr() == after.Addr() || after.Addr() != s.router.Address() || !strings.HasSuffix(after.Addr().String(), ".77") {
		t.Errorf("shown as %s, then as %s", before, after)
	}
}

// A wire delays, and loses all or some.
func TestWire(t *testing.T) {
	w := NewWire(Shape{Delay: 30 * time.Millisecond, Jitter: 5 * time.Millisecond})
	s := newSite(t, "w", Cone, w)
	mine, its := bind(t, s.private, 0), bind(t, s.hosts[0], 7000)
	at := netip.AddrPortFrom(s.addrs[0], 7000)
	send(t, mine, its, at) // and whose address is whose is known
	begin := time.Now()
	shown := send(t, mine, its, at)
	if took := time.Since(begin); took < 30*time.Millisecond || !shown.IsValid() {
		t.Errorf("a packet from %s takes %v", shown, took)
	}
	w.Set(Cut)
	if _, err := mine.WriteToUDPAddrPort([]byte("hello"), at); err != nil {
		t.Fatal(err)
	}
	if from := receive(t, its, 300*time.Millisecond); from.IsValid() {
		t.Error("a packet goes through a wire that is cut")
	}
	w.Set(Shape{Loss: 0.5})
	const packets = 400
	for range packets {
		if _, err := mine.WriteToUDPAddrPort([]byte("hello"), at); err != nil {
			t.Fatal(err)
		}
	}
	got := 0
	for receive(t, its, time.Second).IsValid() {
		got++
	}
	if got < packets/4 || got > packets*3/4 {
		t.Errorf("of %d packets %d arrive over a wire that loses half of them", packets, got)
	}
}
