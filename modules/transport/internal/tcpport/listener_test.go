// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// greetings are what the kinds begin with.
var greetings = [kinds]string{"\x13/multistream/1.0.0\n", "\x16\x03\x01\x02\x00", "GET / HTTP/1.1\r\n"}

func listen(t *testing.T, shares core.Shares, at netip.AddrPort, o Options) *Listener {
	t.Helper()
	l, err := Listen(shares, at, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

// dial connects to a listener and says something.
func dial(t *testing.T, l *Listener, says string) net.Conn {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(l.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, says); err != nil {
		t.Fatal(err)
	}
	return c
}

// hears accepts a connection, which must begin as is said.
func hears(t *testing.T, l *Listener, says string) Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	got := make([]byte, len(says))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != says {
		t.Errorf("heard %q, %v; want %q", got, err, says)
	}
	return c
}

// gone waits until the other side has closed a connection.
func gone(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("read %d bytes, %v, of a connection that should be closed", n, err)
	}
}

func TestEachKindGoesToItsListener(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	var shares core.ShareTable
	first := listen(t, &shares, loopback, Options{Kind: Multistream})
	all := [kinds]*Listener{first}
	for _, kind := range []Kind{TLS, HTTP} {
		all[kind] = listen(t, &shares, first.Addr(), Options{Kind: kind})
		if all[kind].Addr() != first.Addr() {
			t.Errorf("%v listens on %v, not %v", kind, all[kind].Addr(), first.Addr())
		}
	}
	for range 3 {
		var dialled [kinds]net.Conn
		for kind, says := range greetings {
			dialled[kind] = dial(t, first, says)
		}
		for kind, says := range greetings {
			c := hears(t, all[kind], says)
			if c.RemoteAddr().String() != dialled[kind].LocalAddr().String() {
				t.Errorf("%v: accepted %v, dialled from %v", Kind(kind), c.RemoteAddr(), dialled[kind].LocalAddr())
			}
		}
	}
	if n := len(first.socket.ports.sockets); n != 1 {
		t.Errorf("%d sockets, want 1", n)
	}
}

// One kind alone is not sampled: what begins otherwise, or with silence, is its too.
func TestOneKindIsNotTouched(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	for kind := range Kind(kinds) {
		l := listen(t, new(core.ShareTable), loopback, Options{Kind: kind})
		for _, says := range append(greetings[:], "") {
			dial(t, l, says)
			if c := hears(t, l, says); c.head != nil {
				t.Errorf("%v: %q was sampled", kind, says)
			}
		}
	}
}

// A kind that leaves ends the sampling with it.
func TestKindsComeAndGo(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	var shares core.ShareTable
	tcp := listen(t, &shares, loopback, Options{Kind: Multistream})
	for range 3 {
		dial(t, tcp, greetings[HTTP])
		hears(t, tcp, greetings[HTTP])
		ws := listen(t, &shares, tcp.Addr(), Options{Kind: HTTP})
		dial(t, tcp, greetings[HTTP])
		dial(t, tcp, greetings[Multistream])
		hears(t, tcp, greetings[Multistream])
		hears(t, ws, greetings[HTTP])
		ws.Close()
		dial(t, tcp, "")
		hears(t, tcp, "")
	}
}

// Nobody gets what is plain for something encrypted, or the reverse: what nobody
// wants is for multistream-select, which refuses it, or for nobody.
func TestEvil_A13_KindsDoNotMix(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	for _, tc := range []struct {
		wanted   [2]Kind
		says     Kind
		goesTo   Kind
		refusing bool
	}{
		{wanted: [2]Kind{Multistream, HTTP}, says: TLS, goesTo: Multistream},
		{wanted: [2]Kind{Multistream, TLS}, says: HTTP, goesTo: Multistream},
		{wanted: [2]Kind{TLS, HTTP}, says: Multistream, refusing: true},
	} {
		var shares core.ShareTable
		all := make(map[Kind]*Listener)
		at := loopback
		for _, kind := range tc.wanted {
			all[kind] = listen(t, &shares, at, Options{Kind: kind})
			at = all[kind].Addr()
		}
		c := dial(t, all[tc.wanted[0]], greetings[tc.says])
		if !tc.refusing {
			hears(t, all[tc.goesTo], greetings[tc.says])
			continue
		}
		var accepting sync.WaitGroup
		for kind, l := range all {
			accepting.Go(func() {
				if c, err := l.Accept(); err == nil {
					t.Errorf("%v accepted %v", kind, c.RemoteAddr())
				}
			})
		}
		gone(t, c)
		for _, l := range all {
			l.Close()
		}
		accepting.Wait()
	}
}

// Silent connections, more than there is room for, keep nobody out.
func TestEvil_Q12_SilentConnectionsKeepNobodyOut(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	var shares core.ShareTable
	tcp := listen(t, &shares, loopback, Options{Kind: Multistream})
	ws := listen(t, &shares, tcp.Addr(), Options{Kind: HTTP})
	tcp.socket.start()
	silent := make([]net.Conn, maxSamples+50)
	for i := range silent {
		silent[i] = dial(t, tcp, []string{"", "G", "GE"}[i%3])
	}
	for _, l := range []*Listener{tcp, ws, tcp} {
		dial(t, l, greetings[l.kind])
		hears(t, l, greetings[l.kind])
	}
	for _, c := range silent[:50] {
		gone(t, c)
	}
	tcp.Close()
	ws.Close()
	for _, c := range silent[50:] {
		gone(t, c)
	}
}

// A transport that accepts nothing gets no more than its queue holds, and stops
// no other.
func TestEvil_Q12_QueueIsBounded(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	const surplus = 6
	var shares core.ShareTable
	tcp := listen(t, &shares, loopback, Options{Kind: Multistream})
	ws := listen(t, &shares, tcp.Addr(), Options{Kind: HTTP})
	tcp.socket.start()
	refused := make(chan struct{}, maxWaiting+surplus)
	var reading sync.WaitGroup
	for range maxWaiting + surplus {
		c := dial(t, ws, greetings[HTTP])
		reading.Go(func() {
			if n, _ := c.Read(make([]byte, 1)); n == 0 {
				refused <- struct{}{}
			}
		})
	}
	for range surplus {
		<-refused
	}
	dial(t, tcp, greetings[Multistream])
	hears(t, tcp, greetings[Multistream])
	for range maxWaiting {
		io.WriteString(hears(t, ws, greetings[HTTP]), "!")
	}
	reading.Wait()
	if n := len(refused); n != 0 {
		t.Errorf("%d too many were refused", n)
	}
}

func TestListenErrors(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	var shares core.ShareTable
	owner := new(int)
	l := listen(t, &shares, loopback, Options{Owner: owner})
	for name, tc := range map[string]struct {
		shares core.Shares
		at     netip.AddrPort
		o      Options
		want   error
	}{
		"the same owner":      {&shares, l.Addr(), Options{Owner: owner}, syscall.EADDRINUSE},
		"another node":        {new(core.ShareTable), l.Addr(), Options{}, syscall.EADDRINUSE},
		"no kind":             {&shares, loopback, Options{Kind: kinds}, errors.ErrUnsupported},
		"not this machine's":  {&shares, netip.MustParseAddrPort("192.0.2.1:0"), Options{}, syscall.EADDRNOTAVAIL},
		"another address too": {&shares, netip.AddrPortFrom(netip.IPv4Unspecified(), l.Addr().Port()), Options{}, syscall.EADDRINUSE},
	} {
		if l, err := Listen(tc.shares, tc.at, tc.o); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, %v; want %v", name, l, err, tc.want)
		}
	}
	for _, o := range []Options{{}, {Owner: new(int)}, {Owner: owner, Kind: TLS}} {
		listen(t, &shares, l.Addr(), o)
	}
	if l2 := listen(t, &shares, loopback, Options{Owner: owner}); l2.Addr() == l.Addr() {
		t.Error("port 0 is the port of another")
	}
}

func TestCloseFreesThePort(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	var shares core.ShareTable
	l := listen(t, &shares, loopback, Options{})
	other := listen(t, &shares, l.Addr(), Options{Kind: HTTP})
	dial(t, l, greetings[HTTP])
	hears(t, other, greetings[HTTP])
	waiting := dial(t, l, greetings[HTTP])
	l.Close()
	l.Close()
	if _, err := l.Accept(); err != net.ErrClosed {
		t.Errorf("accept after close: %v", err)
	}
	other.Close()
	if _, err := other.Accept(); err != net.ErrClosed {
		t.Errorf("accept after close: %v", err)
	}
	gone(t, waiting)
	again := listen(t, new(core.ShareTable), l.Addr(), Options{})
	dial(t, again, "x")
	hears(t, again, "x")
}
