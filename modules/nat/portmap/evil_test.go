// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// stranger is somebody else than the gateway, who counts who comes.
func stranger(t testing.TB) (url string, visits *atomic.Int32) {
	t.Helper()
	visits = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		visits.Add(1)
		fmt.Fprintf(w, description, 1)
	}))
	t.Cleanup(server.Close)
	return server.URL, visits
}

func TestEvil_R9_LeadsElsewhere(t *testing.T) {
	elsewhere, visits := stranger(t)
	port := elsewhere[strings.LastIndex(elsewhere, ":"):]
	for name, location := range map[string]string{
		"this machine":                   elsewhere + "/root.xml",
		"a name":                         "http://localhost" + port + "/root.xml",
		"a name of the gateway's number": "http://127.0.0.2.nip.io" + port + "/",
		"a file":                         "file:///etc/passwd",
		"another scheme":                 "https://127.0.0.2/root.xml",
		"with a password":                "http://user:pass@127.0.0.2" + port + "/",
		"in IPv6":                        "http://[::1]" + port + "/",
		"cloud metadata":                 "http://169.254.169.254/latest/",
		"nothing":                        "",
		"no address":                     "http://%zz",
	} {
		g := newIGD(t, 1)
		g.set(func() { g.location = location })
		m := &upnp{gateway: loopback, search: g.search}
		if got, err := m.add(t.Context(), wants); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// Redirects, of the description and of calls; and a service elsewhere.
	for name, change := range map[string]func(*igd){
		"redirect": func(g *igd) {
			g.describe = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, http.StatusFound) }
		},
		"redirected call": func(g *igd) {
			g.control = func(string, map[string]string) (int, string) { return http.StatusTemporaryRedirect, "" }
		},
		"service elsewhere": func(g *igd) {
			g.describe = func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, strings.Replace(fmt.Sprintf(description, 1), "/control", elsewhere+"/control", 1))
			}
		},
		"base elsewhere": func(g *igd) {
			g.describe = func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, strings.Replace(strings.Replace(fmt.Sprintf(description, 1), "<device>", "<URLBase>"+elsewhere+"</URLBase><device>", 1), "/control", "//"+elsewhere[7:]+"/control", 1))
			}
		},
	} {
		g := newIGD(t, 1)
		g.set(func() { change(g) })
		m := &upnp{gateway: loopback, search: g.search}
		if got, err := m.add(t.Context(), wants); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("somebody else was asked %d times", n)
	}
}

// Who answers a search in the gateway's place is not looked at.
func TestEvil_R9_SomebodyElseAnswers(t *testing.T) {
	elsewhere, visits := stranger(t)
	c := listen(t, loopback.own) // not the gateway's address
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 2048)
		for {
			_, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			c.WriteToUDPAddrPort([]byte("HTTP/1.1 200 OK\r\nLocation: "+elsewhere+"\r\n\r\n"), from)
		}
	}()
	m := &upnp{gateway: loopback, search: at(c)}
	if got, err := m.add(t.Context(), wants); !errors.Is(err, errNoAnswer) || visits.Load() != 0 {
		t.Errorf("%+v, %v; %d visits", got, err, visits.Load())
	}
}

func TestEvil_R9_Documents(t *testing.T) {
	bomb := `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><root>&b;</root>`
	for name, describe := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("<root>"))
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
		"large": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "<root>"+strings.Repeat("<a/>", maxDocument))
		},
		"entities": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, bomb) },
		"deep": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Repeat("<a>", maxDocument/3-1))
		},
		"no XML":         func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") },
		"nothing":        func(http.ResponseWriter, *http.Request) {},
		"not found":      http.NotFound,
		"other services": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, description, 9) },
		"large headers":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxDocument)) },
		"huge, announced": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1099511627776")
			w.WriteHeader(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newIGD(t, 1)
			g.set(func() { g.describe = describe })
			m := &upnp{gateway: loopback, search: g.search}
			if got, err := m.add(t.Context(), wants); err == nil {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestEvil_R9_ExternalAddress(t *testing.T) {
	for _, ip := range []string{"", "0.0.0.0", "127.0.0.1", "::1", "2001:db8::1", "224.0.0.1", "1.2.3", "evil.example", "5.6.7.8 ; rm"} {
		g := newIGD(t, 1)
		g.control = func(action string, args map[string]string) (int, string) {
			if action == "GetExternalIPAddress" {
				return http.StatusOK, reply(action, "<NewExternalIPAddress>"+ip+"</NewExternalIPAddress>")
			}
			return g.forward(action, args)
		}
		m := &upnp{gateway: loopback, search: g.search}
		if got, err := m.add(t.Context(), wants); err == nil {
			t.Errorf("%q: %+v", ip, got)
		}
	}
	for _, ip := range []netip.Addr{netip.IPv4Unspecified(), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("239.0.0.1")} {
		pmp := natpmp{answering(t, func(q []byte) [][]byte {
			b := fakePMP(q)[0]
			if q[1] == pmpAddress {
				four := ip.As4()
				copy(b[8:], four[:])
			}
			return [][]byte{b}
		})}
		if got, err := pmp.add(t.Context(), wants); err == nil {
			t.Errorf("NAT-PMP, %s: %+v", ip, got)
		}
	}
}

// What does not fit the question is no answer to it.
func TestEvil_R9_Datagrams(t *testing.T) {
	spoil := func(answer func([]byte) [][]byte, change func([]byte) []byte) func([]byte) [][]byte {
		return func(q []byte) [][]byte { return [][]byte{change(answer(q)[0])} }
	}
	for name, m := range map[string]method{
		"short":         natpmp{answering(t, spoil(fakePMP, func(b []byte) []byte { return b[:len(b)-1] }))},
		"empty":         natpmp{answering(t, spoil(fakePMP, func([]byte) []byte { return nil }))},
		"another kind":  natpmp{answering(t, spoil(fakePMP, func(b []byte) []byte { b[1] = 7; return b }))},
		"version":       natpmp{answering(t, spoil(fakePMP, func(b []byte) []byte { b[0] = 9; return b }))},
		"another nonce": pcp{answering(t, spoil(fakePCP, func(b []byte) []byte { b[pcpHeader]++; return b }))},
		"another port":  pcp{answering(t, spoil(fakePCP, func(b []byte) []byte { b[pcpHeader+17]++; return b }))},
		"PCP, short":    pcp{answering(t, spoil(fakePCP, func(b []byte) []byte { return b[:pcpSize-1] }))},
		"a question":    pcp{answering(t, func(q []byte) [][]byte { return [][]byte{q} })},
		"port 0": natpmp{answering(t, spoil(fakePMP, func(b []byte) []byte {
			if len(b) == 16 {
				binary.BigEndian.PutUint16(b[10:], 0)
			}
			return b
		}))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := m.add(t.Context(), wants); err == nil {
				t.Errorf("%+v", got)
			}
		})
	}
	// How long a port is given for has bounds both ways.
	for lifetime, want := range map[time.Duration]time.Duration{0: minLifetime, time.Second: minLifetime, time.Hour: time.Hour, 1 << 62: 24 * time.Hour} {
		if g, err := granted(outside, 1, lifetime); err != nil || g.lifetime != want {
			t.Errorf("%s: %s, %v", lifetime, g.lifetime, err)
		}
	}
}

// FuzzElements reads what a gateway may send.
func FuzzElements(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(description, 1)), []byte("HTTP/1.1 200 OK\r\nLocation: http://127.0.0.2/\r\n\r\n"))
	f.Add([]byte("<a>&lt;</a>"), []byte(""))
	f.Fuzz(func(t *testing.T, document, answer []byte) {
		services(document)
		if l := location(answer); l != "" {
			if u, err := own(loopback, nil, l); err == nil && u.Hostname() != loopback.router.String() {
				t.Errorf("%s leads to %s", l, u)
			}
		}
	})
}

// FuzzDatagrams reads what a gateway may answer to the questions of both kinds.
func FuzzDatagrams(f *testing.F) {
	q := pcp{}.question(wants, time.Hour)
	f.Add(fakePCP(q)[0])
	f.Add(fakePMP([]byte{0, pmpAddress})[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, fits, err := pcpRead(q, b); fits && err == nil && len(b) < pcpSize {
			t.Errorf("%d bytes say %+v", len(b), g)
		}
		if fits, err := pmpFits([]byte{0, pmpTCP}, b, 16); fits && err == nil && len(b) < 16 {
			t.Errorf("%d bytes fit", len(b))
		}
	})
}
