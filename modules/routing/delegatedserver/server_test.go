// SPDX-License-Identifier: Apache-2.0 OR MIT

package delegatedserver

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/modules/record/ipns"
)

// world is a module that knows where peers are and who has content.
type world struct {
	peers  []peer.AddrInfo
	pause  time.Duration // before each
	err    error         // at the end
	mu     sync.Mutex
	values map[string]string
	asked  string // the last key
}

func (w *world) all(ctx context.Context) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		for _, p := range w.peers {
			select {
			case <-time.After(w.pause):
			case <-ctx.Done():
				yield(peer.AddrInfo{}, ctx.Err())
				return
			}
			if !yield(p, nil) {
				return
			}
		}
		if w.err != nil {
			yield(peer.AddrInfo{}, w.err)
		}
	}
}

func (w *world) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	for p, err := range w.all(ctx) {
		if err != nil || p.ID == id {
			return p, err
		}
	}
	return peer.AddrInfo{}, core.ErrNotFound
}

func (w *world) ClosestPeers(_ context.Context, key []byte) ([]peer.AddrInfo, error) {
	w.asked = string(key)
	return w.peers, w.err
}

func (w *world) Provide(context.Context, []byte) error { return nil }

func (w *world) FindProviders(ctx context.Context, key []byte, _ int) iter.Seq2[peer.AddrInfo, error] {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = string(key)
	return w.all(ctx)
}

func (w *world) PutValue(_ context.Context, key string, value []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.values == nil {
		w.values = make(map[string]string)
	}
	w.values[key] = string(value)
	return w.err
}

func (w *world) GetValue(_ context.Context, key string) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v, ok := w.values[key]; ok {
		return []byte(v), nil
	}
	return nil, core.ErrNotFound
}

func (w *world) SearchValue(context.Context, string) iter.Seq2[[]byte, error] { return nil }

// some are n peers, each with an address of TCP and one of QUIC.
func some(n int) (list []peer.AddrInfo) {
	for i := range n {
		list = append(list, peer.AddrInfo{ID: coretest.NewIdentity(uint64(i + 2)).ID(), Addrs: []ma.Multiaddr{
			ma.StringCast("/ip4/192.0.2.1/tcp/1"), ma.StringCast("/ip4/192.0.2.1/udp/1/quic-v1"),
		}})
	}
	return list
}

func load(t *testing.T) core.Service {
	t.Helper()
	return coretest.MustLoad[core.Routing](t, "delegatedserver", `{"listen": ["/ip4/127.0.0.1/tcp/0"]}`)
}

// handler is the server of a node with some modules, without a socket.
func handler(t *testing.T, config string, modules ...any) *Server {
	t.Helper()
	s := coretest.MustLoad[*Server](t, "delegatedserver", config)
	n := coretest.FakeNodes(t, 1)[0]
	n.SetModules(append(modules, s)...)
	s.prepare(n)
	t.Cleanup(func() { s.Close() })
	return s
}

// ask sends a request; headers come in pairs.
func ask(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const helloCID = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"

func TestLifecycle(t *testing.T) { coretest.TestLifecycle(t, load) }

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Routing](t, "delegatedserver", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "full", JSON: `{"listen": ["/ip4/0.0.0.0/tcp/8190", "/ip6/::/tcp/8190"], "timeout": "5s", "max_requests": 10, "max_requests_per_client": 5, "rate": 2, "records": {}}`},
		{Name: "no address", JSON: `{"listen": []}`, WantErr: "listen: there is no address"},
		{Name: "no multiaddr", JSON: `{"listen": ["127.0.0.1:8190"]}`, WantErr: `listen/0: "127.0.0.1:8190" is no multiaddr`},
		{Name: "udp", JSON: `{"listen": ["/ip4/127.0.0.1/udp/8190"]}`, WantErr: "is no TCP port"},
		{Name: "rate", JSON: `{"rate": -1}`, WantErr: "rate: -1 is too few"},
		{Name: "too many", JSON: `{"max_requests": 100000}`, WantErr: "max_requests: 100000 is too many"},
		{Name: "unknown key", JSON: `{"port": 1}`, WantErr: `unknown field "port"`},
	})
}

// list is the JSON of an answer.
type list struct {
	Providers, Peers []struct {
		Schema, ID       string
		Addrs, Protocols []string
	}
}

func TestProviders(t *testing.T) {
	w := &world{peers: some(3)}
	s := handler(t, `{}`, w)
	for _, path := range []string{helloCID, "QmaozNR7DZHQK1ZcU9p7QdrshMvXqWK6gpu5rmrkPdT3L4"} {
		a := ask(s, "GET", "/routing/v1/providers/"+path, "")
		var l list
		if err := json.Unmarshal(a.Body.Bytes(), &l); err != nil || a.Code != 200 || len(l.Providers) != 3 ||
			l.Providers[0].Schema != "peer" || l.Providers[0].ID != w.peers[0].ID.String() || len(l.Providers[0].Addrs) != 2 {
			t.Errorf("%d %s, %v", a.Code, a.Body, err)
		}
		if !strings.HasPrefix(w.asked, "\x12\x20") || len(w.asked) != 34 {
			t.Errorf("asked for %x", w.asked)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "Vary": "Accept", "Access-Control-Allow-Origin": "*",
			"Cache-Control": "public, max-age=300, stale-while-revalidate=172800, stale-if-error=172800",
		} {
			if got := a.Header().Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if a.Header().Get("Last-Modified") == "" {
			t.Error("no Last-Modified")
		}
	}
	a := ask(s, "GET", "/routing/v1/providers/"+helloCID+"?filter-addrs=quic-v1", "")
	if strings.Contains(a.Body.String(), "tcp") || strings.Count(a.Body.String(), "quic-v1") != 3 {
		t.Errorf("filtered: %s", a.Body)
	}
	a = ask(s, "GET", "/routing/v1/providers/"+helloCID+"?filter-protocols=transport-bitswap", "")
	if strings.TrimSpace(a.Body.String()) != `{"Providers":[]}` || !strings.Contains(a.Header().Get("Cache-Control"), "max-age=15,") || a.Code != 200 {
		t.Errorf("nobody left: %d %s %v", a.Code, a.Body, a.Header())
	}
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := handler(t, `{"timeout": "1h"}`, &world{peers: some(5), pause: time.Minute})
		from, to := io.Pipe()
		r := httptest.NewRequest("GET", "/routing/v1/providers/"+helloCID, nil)
		r.Header.Set("Accept", "application/x-ndjson, application/json")
		header := make(chan http.Header, 1)
		go func() {
			s.ServeHTTP(&piped{to, make(http.Header), header}, r)
			to.Close()
		}()
		start := time.Now()
		h := <-header
		if h.Get("Content-Type") != "application/x-ndjson" || !strings.Contains(h.Get("Cache-Control"), "max-age=300") {
			t.Errorf("%v", h)
		}
		lines := bufio.NewScanner(from)
		n := 0
		for lines.Scan() {
			if n++; time.Since(start) != time.Duration(n)*time.Minute {
				t.Errorf("record %d after %v", n, time.Since(start))
			}
			var one struct{ Schema, ID string }
			if err := json.Unmarshal(lines.Bytes(), &one); err != nil || one.Schema != "peer" {
				t.Errorf("%s: %v", lines.Text(), err)
			}
		}
		if n != 5 {
			t.Errorf("%d records", n)
		}
	})
}

// piped is a [http.ResponseWriter] that is read while it is written.
type piped struct {
	io.Writer
	header http.Header
	sent   chan http.Header
}

func (p *piped) Header() http.Header { return p.header }
func (p *piped) Flush()              {}

func (p *piped) WriteHeader(int) {
	select {
	case p.sent <- p.header.Clone():
	default:
	}
}

func (p *piped) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.Writer.Write(b)
}

func TestPeers(t *testing.T) {
	w := &world{peers: some(3)}
	s := handler(t, `{}`, w)
	second := w.peers[1].ID
	for _, id := range []string{second.String(), second.CID()} {
		a := ask(s, "GET", "/routing/v1/peers/"+id, "")
		if a.Code != 200 || strings.Count(a.Body.String(), `"ID"`) != 1 || !strings.Contains(a.Body.String(), second.String()) {
			t.Errorf("%s: %d %s", id, a.Code, a.Body)
		}
	}
	if a := ask(s, "GET", "/routing/v1/peers/"+s.node.ID().String(), ""); !strings.Contains(a.Body.String(), "/memory/1") {
		t.Errorf("the node itself: %s", a.Body)
	}
	a := ask(s, "GET", "/routing/v1/peers/"+coretest.NewIdentity(99).ID().String(), "", "Accept", "application/x-ndjson")
	if a.Code != 200 || a.Body.Len() != 0 || a.Header().Get("Content-Type") != "application/x-ndjson" || !strings.Contains(a.Header().Get("Cache-Control"), "max-age=15,") {
		t.Errorf("nobody: %d %q %v", a.Code, a.Body, a.Header())
	}
}

func TestClosestPeers(t *testing.T) {
	w := &world{peers: some(2)}
	s := handler(t, `{}`, w)
	id := w.peers[0].ID
	for key, want := range map[string]string{id.String(): string(id), id.CID(): string(id), helloCID: ""} {
		a := ask(s, "GET", "/routing/v1/dht/closest/peers/"+key, "")
		if a.Code != 200 || strings.Count(a.Body.String(), `"ID"`) != 2 || want != "" && w.asked != want || len(w.asked) < 34 {
			t.Errorf("%s: %d %s, asked for %x", key, a.Code, a.Body, w.asked)
		}
	}
	w.peers = nil
	if a := ask(s, "GET", "/routing/v1/dht/closest/peers/"+helloCID, ""); a.Code != http.StatusNotFound {
		t.Errorf("nobody: %d", a.Code)
	}
}

func TestRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		s := handler(t, `{}`, w)
		id := coretest.NewIdentity(1)
		value, err := ipns.Seal(id, ipns.Record{Value: []byte("/ipfs/bafkqaaa"), Validity: time.Now().Add(time.Hour), TTL: 5 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		path := "/routing/v1/ipns/" + id.ID().CID()
		const kind = "application/vnd.ipfs.ipns-record"
		if a := ask(s, "GET", path, "", "Accept", kind); a.Code != 200 || strings.Contains(a.Header().Get("Content-Type"), kind) {
			t.Errorf("nothing there: %d %v", a.Code, a.Header())
		}
		if a := ask(s, "PUT", path, string(value), "Content-Type", kind); a.Code != 200 {
			t.Fatalf("put: %d %s", a.Code, a.Body)
		}
		time.Sleep(58 * time.Minute)
		a := ask(s, "GET", path, "", "Accept", kind)
		if a.Code != 200 || a.Body.String() != string(value) {
			t.Fatalf("get: %d", a.Code)
		}
		for name, want := range map[string]string{
			"Content-Type": kind, "Vary": "Accept", "Cache-Control": "public, max-age=120, stale-while-revalidate=0, stale-if-error=0",
			"Expires": "Sat, 01 Jan 2000 01:00:00 GMT",
		} {
			if got := a.Header().Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		etag := a.Header().Get("Etag")
		if a := ask(s, "GET", path, "", "If-None-Match", etag); len(etag) != 66 || a.Code != http.StatusNotModified || a.Body.Len() != 0 {
			t.Errorf("with its tag %s: %d", etag, a.Code)
		}
		other := "/routing/v1/ipns/" + coretest.NewIdentity(2).ID().CID()
		for name, tt := range map[string]struct {
			method, path, body string
			header             []string
			want               int
		}{
			"of another":   {"PUT", other, string(value), []string{"Content-Type", kind}, 400},
			"no record":    {"PUT", path, "x", []string{"Content-Type", kind}, 400},
			"empty":        {"PUT", path, "", []string{"Content-Type", kind}, 400},
			"huge":         {"PUT", path, strings.Repeat("x", 1<<20), []string{"Content-Type", kind}, 400},
			"no type":      {"PUT", path, string(value), nil, 406},
			"other accept": {"GET", path, "", []string{"Accept", "application/json"}, 406},
			"any accept":   {"GET", path, "", []string{"Accept", "text/html, */*"}, 200},
			"no name":      {"GET", "/routing/v1/ipns/example.org", "", nil, 400},
			"deleted":      {"DELETE", path, "", nil, 501},
			"posted":       {"POST", path, string(value), []string{"Content-Type", kind}, 501},
		} {
			if a := ask(s, tt.method, tt.path, tt.body, tt.header...); a.Code != tt.want {
				t.Errorf("%s: %d %s, want %d", name, a.Code, a.Body, tt.want)
			}
		}
		time.Sleep(time.Hour)
		w.err = record.ErrWorse
		newer, _ := ipns.Seal(id, ipns.Record{Validity: time.Now().Add(time.Hour)})
		if a := ask(s, "PUT", path, string(newer), "Content-Type", kind); a.Code != 400 {
			t.Errorf("worse than what is known: %d", a.Code)
		}
	})
}

func TestErrors(t *testing.T) {
	failing := &world{err: errors.New("boom \x1b[2J")}
	for name, tt := range map[string]struct {
		modules      []any
		method, path string
		accept       string
		want         int
		says         string
	}{
		"no routing":          {nil, "GET", "providers/" + helloCID, "", 501, "add one to routing"},
		"no routing of peers": {nil, "GET", "peers/" + coretest.NewIdentity(2).ID().String(), "", 501, "add one to routing"},
		"failing":             {[]any{failing}, "GET", "providers/" + helloCID, "", 500, `boom \x1b[2J`},
		"failing, streamed":   {[]any{failing}, "GET", "providers/" + helloCID, "application/x-ndjson", 500, `boom \x1b[2J`},
		"no CID":              {[]any{failing}, "GET", "providers/hello", "", 422, "is no CID"},
		"long CID":            {[]any{failing}, "GET", "providers/b" + strings.Repeat("a", 5000), "", 422, "a CID of 5001 bytes"},
		"no peer":             {[]any{failing}, "GET", "peers/hello", "", 422, "hello"},
		"long peer":           {[]any{failing}, "GET", "peers/" + strings.Repeat("1", 5000), "", 422, "5000 bytes"},
		"no key":              {[]any{failing}, "GET", "dht/closest/peers/hello", "", 422, "is no CID"},
		"bad filter":          {[]any{failing}, "GET", "providers/" + helloCID + "?filter-addrs=!", "", 422, "no name of a protocol"},
		"other type":          {[]any{failing}, "GET", "providers/" + helloCID, "text/html", 406, "application/json"},
		"path":                {[]any{failing}, "GET", "nothing", "", 400, "unknown path"},
		"empty key":           {[]any{failing}, "GET", "providers/", "", 400, "unknown path"},
		"method":              {[]any{failing}, "POST", "providers/" + helloCID, "", 501, "POST"},
	} {
		var header []string
		if tt.accept != "" {
			header = []string{"Accept", tt.accept}
		}
		a := ask(handler(t, `{}`, tt.modules...), tt.method, "/routing/v1/"+tt.path, "", header...)
		if a.Code != tt.want || !strings.Contains(a.Body.String(), tt.says) || strings.Contains(a.Body.String(), "\x1b") || a.Body.Len() > 1100 {
			t.Errorf("%s: %d %.300s, want %d with %q", name, a.Code, a.Body, tt.want, tt.says)
		}
		if a.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: a page cannot read it", name)
		}
	}
	a := ask(handler(t, `{}`), "OPTIONS", "/routing/v1/providers/"+helloCID, "", "Origin", "https://example.org")
	if a.Code != 204 || a.Header().Get("Access-Control-Allow-Methods") != "GET, PUT, OPTIONS" {
		t.Errorf("preflight: %d %v", a.Code, a.Header())
	}
	// What was found before something failed is an answer.
	w := &world{peers: some(1), err: errors.New("boom")}
	if a := ask(handler(t, `{}`, w), "GET", "/routing/v1/providers/"+helloCID, ""); a.Code != 200 || strings.Count(a.Body.String(), `"ID"`) != 1 {
		t.Errorf("one, then an error: %d %s", a.Code, a.Body)
	}
}

// A search that takes too long ends with what there is.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := handler(t, `{"timeout": "90s"}`, &world{peers: some(5), pause: time.Minute})
		start := time.Now()
		a := ask(s, "GET", "/routing/v1/providers/"+helloCID, "")
		if a.Code != 200 || strings.Count(a.Body.String(), `"ID"`) != 1 || time.Since(start) != 90*time.Second {
			t.Errorf("%d %s after %v", a.Code, a.Body, time.Since(start))
		}
	})
}

// A module that closes ends what it serves.
func TestCloseEndsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := handler(t, `{"timeout": "1h"}`, &world{peers: some(5), pause: time.Hour})
		ended := make(chan struct{})
		go func() {
			ask(s, "GET", "/routing/v1/providers/"+helloCID, "")
			close(ended)
		}()
		time.Sleep(time.Second)
		start := time.Now()
		s.Close()
		<-ended
		if time.Since(start) != 0 {
			t.Errorf("took %v", time.Since(start))
		}
		if a := ask(s, "GET", "/routing/v1/providers/"+helloCID, ""); a.Code != http.StatusServiceUnavailable {
			t.Errorf("after that: %d", a.Code)
		}
	})
}

// TestReload has a second instance take the port over from the first.
func TestReload(t *testing.T) {
	n := coretest.FakeNodes(t, 1)[0]
	n.SetModules(&world{peers: some(1)})
	l := httptest.NewServer(nil) // a port that is free, soon
	port := l.Listener.Addr().String()[strings.LastIndex(l.Listener.Addr().String(), ":")+1:]
	l.Close()
	start := func() *Server {
		s := coretest.MustLoad[*Server](t, "delegatedserver", fmt.Sprintf(`{"listen": ["/ip4/127.0.0.1/tcp/%s"]}`, port))
		if err := s.Start(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		return s
	}
	get := func() int {
		a, err := http.Get("http://127.0.0.1:" + port + "/routing/v1/providers/" + helloCID)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		io.Copy(io.Discard, a.Body)
		return a.StatusCode
	}
	first := start()
	if got := get(); got != 200 {
		t.Errorf("first: %d", got)
	}
	second := start()
	for range 3 {
		if got := get(); got != 200 {
			t.Errorf("both: %d", got)
		}
	}
	first.Close()
	for range 3 {
		if got := get(); got != 200 {
			t.Errorf("second: %d", got)
		}
	}
	if len(second.Addrs()) != 1 {
		t.Errorf("listens on %v", second.Addrs())
	}
	second.Close()
	if _, err := http.Get("http://127.0.0.1:" + port); err == nil {
		t.Error("still answers")
	}
	http.DefaultClient.CloseIdleConnections()
}
