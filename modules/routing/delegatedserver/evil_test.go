// SPDX-License-Identifier: Apache-2.0 OR MIT

package delegatedserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestEvil_K5_Thousands has routers find more than an answer may have.
func TestEvil_K5_Thousands(t *testing.T) {
	w := &world{}
	one := some(1)[0]
	for range 5000 {
		w.peers = append(w.peers, one)
	}
	alone := handler(t, `{}`, w)
	var l list
	a := ask(alone, "GET", "/routing/v1/providers/"+helloCID, "")
	if err := json.Unmarshal(a.Body.Bytes(), &l); err != nil || len(l.Providers) != maxRecords {
		t.Errorf("%d providers, %v", len(l.Providers), err)
	}
	a = ask(alone, "GET", "/routing/v1/providers/"+helloCID, "", "Accept", "application/x-ndjson")
	if n := strings.Count(a.Body.String(), "\n"); n != maxStreamed {
		t.Errorf("%d records are streamed", n)
	}
}

// TestEvil_K3_TooManyRequests bounds the requests of a client in a second and at
// a time, and those of all at a time.
func TestEvil_K3_TooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := handler(t, `{"rate": 2, "max_requests": 6, "max_requests_per_client": 3, "timeout": "1m"}`,
			&world{peers: some(3), pause: time.Second})
		from := func(addr string) int {
			r := httptest.NewRequest("GET", "/routing/v1/providers/"+helloCID, nil)
			r.RemoteAddr = addr
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != 200 && (w.Header().Get("Retry-After") != "1" || w.Header().Get("Cache-Control") != "no-store") {
				t.Errorf("%d without saying when to come back: %v", w.Code, w.Header())
			}
			return w.Code
		}
		count := func(addr string, n int) (codes map[int]int) {
			results := make(chan int)
			for range n {
				go func() { results <- from(addr) }()
			}
			codes = make(map[int]int)
			for range n {
				codes[<-results]++
			}
			return codes
		}
		if got := count("192.0.2.1:1", 10); got[200] != 3 || got[http.StatusTooManyRequests] != 7 {
			t.Errorf("ten at once: %v", got)
		}
		// Five of the eight at once are left, and six more have come meanwhile, of
		// which three are too many.
		fast := 0
		for range 40 {
			v, leave := s.gate.enter(netip.MustParseAddr("192.0.2.1"), time.Now())
			if v == served {
				fast++
				leave()
			}
		}
		if fast != 8 {
			t.Errorf("%d without a pause, want 8", fast)
		}
		time.Sleep(time.Minute)
		// Neighbours in IPv6 are one client.
		leaves := []func(){}
		for _, addr := range []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3", "2001:db8:0:1::1", "::ffff:192.0.2.9", "192.0.2.9"} {
			v, leave := s.gate.enter(netip.MustParseAddr(addr), time.Now())
			if v != served {
				t.Errorf("%s: %v", addr, v)
				continue
			}
			leaves = append(leaves, leave)
		}
		if v, _ := s.gate.enter(netip.MustParseAddr("203.0.113.1"), time.Now()); v != busy {
			t.Errorf("the seventh of all: %v", v)
		}
		leaves[3]()
		leaves[3]()
		if v, _ := s.gate.enter(netip.MustParseAddr("2001:db8::9"), time.Now()); v != tooMany {
			t.Errorf("the fourth of a network: %v", v)
		}
		for _, leave := range leaves {
			leave()
		}
		if s.gate.open != 0 {
			t.Errorf("%d are open", s.gate.open)
		}
	})
}

// TestEvil_K3_ManyClients remembers so many and no more.
func TestEvil_K3_ManyClients(t *testing.T) {
	g := &gate{all: 10, each: 1, rate: 1}
	now := time.Now()
	busy := netip.MustParseAddr("203.0.113.1")
	if v, _ := g.enter(busy, now); v != served {
		t.Fatal(v)
	}
	for i := range 3 * maxClients {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if v, leave := g.enter(a, now); v != served {
			t.Fatalf("%v: %v", a, v)
		} else {
			leave()
		}
	}
	if len(g.clients) > maxClients {
		t.Errorf("%d clients are remembered", len(g.clients))
	}
	if v, _ := g.enter(busy, now); v != tooMany {
		t.Error("a client with a request was forgotten")
	}
}

// TestEvil_K3_Head bounds what a client may send before it is served, and how long
// it may take to.
func TestEvil_K3_Head(t *testing.T) {
	p, err := open("127.0.0.1:0", handler(t, `{}`).log)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.server.ReadHeaderTimeout != headTime || p.server.IdleTimeout != idleTime || p.server.MaxHeaderBytes != maxHeader {
		t.Error("the server waits without a bound")
	}
	p.add(handler(t, `{}`, &world{}))
	r, _ := http.NewRequest("GET", "http://"+p.listener.Addr().String()+"/routing/v1/providers/"+helloCID, nil)
	r.Header.Set("X-Long", strings.Repeat("x", 3*maxHeader))
	a, err := http.DefaultClient.Do(r)
	if err == nil {
		a.Body.Close()
		if a.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("a long head: %d", a.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func FuzzRequest(f *testing.F) {
	id := some(1)[0].ID
	f.Add("providers", helloCID, "filter-addrs=tcp,!ws", "application/json")
	f.Add("peers", id.CID(), "filter-protocols=unknown", "application/x-ndjson;q=0.5, */*")
	f.Add("ipns", id.CID(), "", "application/vnd.ipfs.ipns-record")
	f.Add("dht/closest/peers", "QmaozNR7DZHQK1ZcU9p7QdrshMvXqWK6gpu5rmrkPdT3L4", "", "")
	f.Fuzz(func(t *testing.T, what, key, query, accept string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.URL.RawQuery = "/routing/v1/"+what+"/"+key, query
		r.Header.Set("Accept", accept)
		_, _ = contentKey(key)
		if id, err := peerID(key); err == nil && id.Validate() != nil {
			t.Errorf("%q is the peer %q", key, id)
		}
		if key, err := recordKey(key); err == nil && !strings.HasPrefix(key, "/ipns/") {
			t.Errorf("the record %q", key)
		}
		_, _ = wantsStream(r)
	})
}
