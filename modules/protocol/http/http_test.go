// SPDX-License-Identifier: Apache-2.0 OR MIT

package http

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

func load(t *testing.T, config string) *HTTP {
	t.Helper()
	return coretest.MustLoad[*HTTP](t, "http", config)
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return load(t, `{"serve": {"to": "http://127.0.0.1:1", "allow": ["*"]}, "listen": "/ip4/127.0.0.1/tcp/0"}`)
	})
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Protocol](t, "http", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "no URL", JSON: `{"serve": {"to": "127.0.0.1:80", "allow": ["*"]}}`, WantErr: "serve: to:"},
		{Name: "another scheme", JSON: `{"serve": {"to": "ftp://127.0.0.1", "allow": ["*"]}}`, WantErr: "no URL of a server"},
		{Name: "nobody may", JSON: `{"serve": {"to": "http://127.0.0.1"}}`, WantErr: "serve: allow: it is missing"},
		{Name: "no peer", JSON: `{"serve": {"to": "http://127.0.0.1", "allow": ["me"]}}`, WantErr: "serve: allow/0"},
		{Name: "no path", JSON: `{"serve": {"to": "http://127.0.0.1", "allow": ["*"], "protocols": {"/a": "b"}}}`, WantErr: "begin it with a slash"},
		{Name: "UDP", JSON: `{"listen": "/ip4/127.0.0.1/udp/1"}`, WantErr: "listen: /ip4/127.0.0.1/udp/1 is neither TCP nor"},
		{Name: "nobody at a time", JSON: `{"max_connections": -1}`, WantErr: "the least is 1"},
		{Name: "unknown key", JSON: `{"to": ""}`, WantErr: `unknown field "to"`},
	})
}

// pair starts a server's node and another's, and returns what a program there
// asks for to reach the server.
func pair(t *testing.T, handler http.HandlerFunc, serve string) (base string, client core.Node) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	nodes := coretest.FakeNodes(t, 2)
	serve = strings.ReplaceAll(serve, "CLIENT", nodes[1].ID().String())
	ends := []*HTTP{load(t, `{"serve": {"to": "`+server.URL+`/base", `+serve+`}}`), load(t, `{"listen": "/ip4/127.0.0.1/tcp/0"}`)}
	var addr string
	for i, h := range ends {
		if err := h.Start(t.Context(), nodes[i]); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
		addr = h.addr
	}
	return "http://" + addr + "/p2p/" + nodes[0].ID().String() + "/http", nodes[1]
}

func get(t *testing.T, url string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(r)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestCarriesRequests(t *testing.T) {
	base, client := pair(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s?%s from %s with %d", r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get(peerHeader), n)
	}, `"allow": ["CLIENT"], "protocols": {"/x/app": "/app/"}`)
	who := client.ID().String()
	if code, text := get(t, base+"/a/b?c=d", func(r *http.Request) { r.Header.Set(peerHeader, "somebody") }); code != 200 || text != "GET /base/a/b?c=d from "+who+" with 0" {
		t.Errorf("%d %s", code, text)
	}
	if code, text := get(t, base+wellKnown); code != 200 || text != `{"/x/app":{"path":"/app/"}}`+"\n" {
		t.Errorf("%d %s", code, text)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			answer, err := http.Post(base, "", bytes.NewReader(make([]byte, 1<<20)))
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			if err != nil || string(text) != fmt.Sprintf("POST /base/? from %s with %d", who, 1<<20) {
				t.Errorf("%s, %v", text, err)
			}
		})
	}
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()
}

// A path arrives as it was asked for: what is escaped in it stays so.
func TestEscapedPaths(t *testing.T) {
	base, _ := pair(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.EscapedPath()) }, `"allow": ["*"]`)
	for _, path := range []string{"/a%2Fb", "/a/b", "/%20x%3Fy", "/%E2%82%AC"} {
		if code, text := get(t, base+path); code != 200 || text != "/base"+path {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
}

// What the server has sent is there before it has sent all.
func TestStreams(t *testing.T) {
	more := make(chan struct{})
	base, _ := pair(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-more
	}, `"allow": ["*"]`)
	answer, err := http.Get(base)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b := make([]byte, 5)
	if _, err := io.ReadFull(answer.Body, b); err != nil || string(b) != "first" {
		t.Errorf("%s, %v", b, err)
	}
	close(more)
	if _, err := io.ReadAll(answer.Body); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// asked opens a stream to the server of a base and writes a request.
func asked(t *testing.T, base string, client core.Node, request string) core.Stream {
	t.Helper()
	p, err := peer.Decode(strings.Split(base, "/")[4])
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.NewStream(t.Context(), p, ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, request); err != nil {
		t.Fatal(err)
	}
	return s
}

// Who has ended their side of the stream after the request, as go-libp2p does, gets
// the answer all the same, however long it takes.
func TestAnswersWhoSaysNoMore(t *testing.T) {
	more := make(chan struct{})
	base, client := pair(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		select {
		case <-more:
			_, _ = io.WriteString(w, " and last")
		case <-r.Context().Done():
		}
	}, `"allow": ["*"]`)
	s := asked(t, base, client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	defer s.Close()
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(s), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b := make([]byte, 5)
	if _, err := io.ReadFull(answer.Body, b); err != nil || string(b) != "first" {
		t.Fatalf("%s, %v", b, err)
	}
	close(more)
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != " and last" {
		t.Errorf("%s, %v", text, err)
	}
}

// The server need not go on for who has gone.
func TestEvil_HTTPPeerThatGoes(t *testing.T) {
	reached, ended := make(chan struct{}), make(chan struct{})
	base, client := pair(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
		close(ended)
	}, `"allow": ["*"]`)
	s := asked(t, base, client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-reached
	if err := s.Reset(core.StreamNoError); err != nil {
		t.Fatal(err)
	}
	<-ended
}

// A WebSocket goes through, both ways.
func TestCarriesWebSockets(t *testing.T) {
	base, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, append([]byte("back: "), data...)); err != nil {
				t.Error(err)
			}
		}
	}, `"allow": ["*"]`)
	c, _, err := websocket.Dial(t.Context(), strings.Replace(base, "http", "ws", 1)+"/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for _, word := range []string{"one", "two"} {
		if err := c.Write(t.Context(), websocket.MessageText, []byte(word)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(t.Context()); err != nil || string(got) != "back: "+word {
			t.Fatalf("%s, %v", got, err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

func TestEvil_PeerThatMayNotAsk(t *testing.T) {
	base, _ := pair(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") },
		`"allow": ["`+coretest.NewIdentity(77).ID().String()+`"]`)
	if code, text := get(t, base); code != http.StatusBadGateway {
		t.Errorf("%d %s", code, text)
	}
}

// A page of somebody else's cannot ask through the proxy, by a name of its own
// that leads here or across sites.
func TestEvil_X1_WebPagesAskNoPeers(t *testing.T) {
	base, _ := pair(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") }, `"allow": ["*"]`)
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Host = "evil.example.org" },
		func(r *http.Request) { r.Host = "evil.example.org:80" },
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	} {
		if code, text := get(t, base, change); code != http.StatusForbidden {
			t.Errorf("%d %s", code, text)
		}
	}
}

func TestRefusesWhatIsNoTarget(t *testing.T) {
	base, _ := pair(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") }, `"allow": ["*"]`)
	host := strings.Join(strings.Split(base, "/")[:3], "/")
	for _, path := range []string{"/", "/p2p/", "/p2p/nobody/http/", strings.TrimPrefix(base, host) + "s", "/p2p/x/y"} {
		if code, text := get(t, host+path); code != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	other := host + "/p2p/" + coretest.NewIdentity(9).ID().String() + "/http/"
	if code, text := get(t, other); code != http.StatusBadGateway || !strings.Contains(text, "not reached") {
		t.Errorf("a peer that is not there: %d %s", code, text)
	}
}

// What speaks no HTTP is answered as such, and harms nobody.
func TestEvil_HTTPOfGarbage(t *testing.T) {
	base, client := pair(t, func(w http.ResponseWriter, _ *http.Request) {}, `"allow": ["*"]`)
	server := strings.Split(base, "/")[4]
	for _, garbage := range []string{"\x00\x01\x02\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nA: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n"} {
		p, err := peer.Decode(server)
		if err != nil {
			t.Fatal(err)
		}
		s, err := client.NewStream(t.Context(), p, ID)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(s, garbage)
		_ = s.CloseWrite()
		if text, _ := io.ReadAll(io.LimitReader(s, 1<<20)); len(text) > 0 && !strings.HasPrefix(string(text), "HTTP/1.1 4") && !strings.HasPrefix(string(text), "HTTP/1.1 5") {
			t.Errorf("%.40q: %s", garbage, text)
		}
		_ = s.Close()
	}
	if code, _ := get(t, base); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
}
