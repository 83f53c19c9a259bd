// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package tcpport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// A dial is from the port that is listened on for its kind, whoever opened it.
func TestDialsFromThePortOfItsKind(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	var shares core.ShareTable
	remote := listen(t, new(core.ShareTable), loopback, Options{})
	from := func(d Dialer) netip.AddrPort {
		t.Helper()
		c, err := d.Dial(t.Context(), &shares, remote.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c.SetLinger(0) // so that the port is free at once
		defer c.Close()
		return AddrPort(c.LocalAddr())
	}
	tcp := listen(t, &shares, loopback, Options{Kind: Multistream, Reuse: true})
	web := listen(t, &shares, loopback, Options{Kind: HTTP})
	for _, tc := range []struct {
		name string
		d    Dialer
		from *Listener
	}{
		{"its own", Dialer{Reuse: true}, tcp},
		{"not asked for", Dialer{}, nil},
		{"a port that is not shared", Dialer{Reuse: true, Kind: HTTP}, nil},
		{"a port of another kind", Dialer{Reuse: true, Kind: TLS}, nil},
	} {
		got := from(tc.d)
		if tc.from != nil && got != tc.from.Addr() || tc.from == nil && (got == tcp.Addr() || got == web.Addr()) {
			t.Errorf("%s: dialled from %v", tc.name, got)
		}
	}
	// Another transport joins, and shares the port for both.
	wss := listen(t, &shares, web.Addr(), Options{Kind: TLS, Reuse: true})
	for _, kind := range []Kind{HTTP, TLS} {
		if got := from(Dialer{Reuse: true, Kind: kind}); got != web.Addr() {
			t.Errorf("%v: dialled from %v, want %v", kind, got, web.Addr())
		}
	}
	wss.Close()
	if got := from(Dialer{Reuse: true, Kind: TLS}); got == web.Addr() {
		t.Error("dialled from a port that nobody listens on for the kind")
	}
}

// TestSourceFitsTheRoute uses a listener on one address for destinations that
// are reached from it.
func TestSourceFitsTheRoute(t *testing.T) {
	address := outwardIPv4(t)
	if address == "" {
		t.Log("the machine has no address beside loopback")
		return
	}
	var shares core.ShareTable
	lo := listen(t, &shares, loopback, Options{Reuse: true})
	own := listen(t, &shares, netip.MustParseAddrPort(address+":0"), Options{Reuse: true})
	for to, want := range map[string]*Listener{address + ":9": own, "127.0.0.1:9": lo} {
		from, ok := Dialer{Reuse: true}.source(&shares, netip.MustParseAddrPort(to))
		if !ok || from != want.Addr() {
			t.Errorf("to %s from %v (%v), want %v", to, from, ok, want.Addr())
		}
	}
}

func outwardIPv4(t *testing.T) string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return ""
}

func TestDialErrors(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	var shares core.ShareTable
	listen(t, &shares, loopback, Options{Reuse: true})
	closed := listen(t, new(core.ShareTable), loopback, Options{})
	closed.Close()
	for _, reuse := range []bool{false, true} {
		d := Dialer{Reuse: reuse, Timeout: time.Minute}
		if _, err := d.Dial(t.Context(), &shares, closed.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a closed port: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.Dial(ctx, &shares, closed.Addr()); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		d.Timeout = 1
		if _, err := d.Dial(t.Context(), &shares, closed.Addr()); !errors.Is(err, os.ErrDeadlineExceeded) && !isTimeout(err) {
			t.Errorf("too late: %v", err)
		}
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
