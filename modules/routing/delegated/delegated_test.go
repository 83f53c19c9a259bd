// SPDX-License-Identifier: Apache-2.0 OR MIT

package delegated

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multihash"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/modules/record/ipns"
)

// web is what answers requests, by host.
type web map[string]func(*http.Request) *http.Response

func (w web) RoundTrip(r *http.Request) (*http.Response, error) {
	handle := w[r.URL.Host]
	if handle == nil {
		return nil, errors.New("no such host")
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	a := handle(r)
	a.Request = r
	return a, nil
}

// answer is a response; headers come in pairs.
func answer(status int, kind, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {kind}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// always answers the same.
func always(status int, kind, body string, header ...string) func(*http.Request) *http.Response {
	return func(*http.Request) *http.Response { return answer(status, kind, body, header...) }
}

const (
	plain  = "application/json"
	stream = "application/x-ndjson"
)

// start starts the module with servers on a web.
func start(t *testing.T, w web, config string) *Delegated {
	t.Helper()
	d := coretest.MustLoad[*Delegated](t, "delegated", config)
	d.transport = w
	if err := d.Start(t.Context(), coretest.FakeNodes(t, 1)[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// one is a record of the peer with a seed.
func one(seed uint64, addrs ...string) string {
	return fmt.Sprintf(`{"Schema": "peer", "ID": "%s", "Addrs": ["%s"]}`, coretest.NewIdentity(seed).ID(), strings.Join(addrs, `", "`))
}

// hash is the key of the content that the tests are about; path is where it is.
var hash = func() []byte {
	h, err := multihash.Sum([]byte("hello world"), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return h
}()

const path = "/routing/v1/providers/bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"

// providers are who is found, as the numbers of their seeds, and the last error.
func providers(ctx context.Context, d *Delegated, count int) (seeds string, err error) {
	var b strings.Builder
	for p, err := range d.FindProviders(ctx, hash, count) {
		if err != nil {
			return b.String(), err
		}
		for seed := range uint64(20) {
			if coretest.NewIdentity(seed).ID() == p.ID {
				fmt.Fprint(&b, seed)
			}
		}
	}
	return b.String(), nil
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return coretest.MustLoad[core.Routing](t, "delegated", `{"endpoints": ["http://127.0.0.1:1"]}`)
	})
}

func TestConfig(t *testing.T) {
	t.Setenv("ROUTER", "https://example.org")
	coretest.TestConfigs[core.Routing](t, "delegated", []coretest.Config{
		{Name: "one", JSON: `{"endpoints": ["https://example.org"]}`},
		{Name: "placeholder", JSON: `{"endpoints": ["{env.ROUTER}/path/routing/v1"]}`},
		{Name: "full", JSON: `{"endpoints": ["http://[::1]:8190/"], "timeout": "5s", "filter_addrs": ["tcp", "!ws"], "filter_protocols": ["unknown"], "records": {"ipns": {}}}`},
		{Name: "none", JSON: `{}`, WantErr: "endpoints: there are 0; want 1 to 16"},
		{Name: "no URL", JSON: `{"endpoints": ["example.org"]}`, WantErr: "endpoints/0: "},
		{Name: "other scheme", JSON: `{"endpoints": ["ftp://example.org"]}`, WantErr: "no URL of a server"},
		{Name: "query", JSON: `{"endpoints": ["http://user:secret@example.org?x=1"]}`, WantErr: "user:xxxxx@"},
		{Name: "filter", JSON: `{"endpoints": ["http://example.org"], "filter_addrs": ["!"]}`, WantErr: "no name of a protocol"},
		{Name: "unknown key", JSON: `{"servers": []}`, WantErr: `unknown field "servers"`},
	})
}

func TestFindProviders(t *testing.T) {
	tcp := "/ip4/192.0.2.1/tcp/1"
	body := one(1, tcp) + "\n\n" + one(2, tcp) + "\n" + `{"Schema": "future"}` + "\n" + one(2, tcp) + "\n" + one(3) + "\n"
	var asked []string
	w := web{
		"stream": func(r *http.Request) *http.Response {
			asked = append(asked, r.Method+" "+r.URL.String()+" "+r.Header.Get("Accept"))
			return answer(200, stream, body)
		},
		"plain":   always(200, plain+"; charset=utf-8", `{"Providers": [`+one(4, tcp)+`, {"Schema": "x"}, `+one(5, tcp)+`], "More": 1}`),
		"null":    always(200, plain, `{"Providers": null}`),
		"none":    always(404, "text/plain", "nothing"),
		"broken":  always(200, stream, one(6, tcp)+"\n"+strings.Repeat("x", 1<<17)),
		"garbage": always(200, plain, `{"Providers": [`),
		"html":    always(200, "text/html", `<p>hello`),
		"down":    always(503, "text/plain", "busy \x1b[2J"),
	}
	for _, tt := range []struct {
		hosts string
		count int
		want  string
		err   string
	}{
		{"stream", 0, "23", ""}, // this node has seed 1
		{"stream", 1, "2", ""},
		{"plain", 0, "45", ""},
		{"null", 0, "", ""},
		{"none", 0, "", ""},
		{"broken", 0, "6", "http://broken: bufio.Scanner: token too long"},
		{"garbage", 0, "", "http://garbage: unexpected end of JSON input"},
		{"html", 0, "", `an answer of type "text/html"`},
		{"down", 0, "", `http://down: 503 Service Unavailable: busy \x1b[2J`},
		{"nowhere", 0, "", "no such host"},
		{"none down", 0, "", ""},
		{"down nowhere", 0, "", "no such host"},
	} {
		var urls []string
		for host := range strings.FieldsSeq(tt.hosts) {
			urls = append(urls, `"http://`+host+`"`)
		}
		d := start(t, w, `{"endpoints": [`+strings.Join(urls, ",")+`]}`)
		got, err := providers(t.Context(), d, tt.count)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s, %d: %q, %v, want %q, %q", tt.hosts, tt.count, got, err, tt.want, tt.err)
		}
	}
	want := "GET http://stream" + path + " application/x-ndjson, application/json"
	if len(asked) != 2 || asked[0] != want {
		t.Errorf("asked %q, want %q", asked, want)
	}
	d := start(t, w, `{"endpoints": ["http://stream/", "http://plain/routing/v1"], "filter_addrs": ["TCP", "!ws"], "filter_protocols": ["unknown"]}`)
	if got, err := providers(t.Context(), d, 0); len(got) != 3 || err != nil { // 3 has no address
		t.Errorf("of both: %q, %v", got, err)
	}
	if last := asked[len(asked)-1]; !strings.Contains(last, path+"?filter-addrs=tcp%2C%21ws&filter-protocols=unknown ") {
		t.Errorf("asked %q", last)
	}
	for _, err := range d.FindProviders(t.Context(), []byte("hello"), 0) {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a key that is no multihash: %v", err)
		}
	}
	if err := d.Provide(t.Context(), hash); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("provide: %v", err)
	}
}

func TestFindPeer(t *testing.T) {
	id := coretest.NewIdentity(7).ID()
	var asked string
	w := web{
		"a": func(r *http.Request) *http.Response {
			asked = r.URL.Path
			return answer(200, plain, `{"Peers": [`+one(8, "/ip4/192.0.2.8/tcp/1")+`, `+one(7)+`, `+one(7, "/ip4/192.0.2.7/tcp/1")+`]}`)
		},
		"b": always(200, stream, ""),
	}
	d := start(t, w, `{"endpoints": ["http://b", "http://a"]}`)
	p, err := d.FindPeer(t.Context(), id)
	if err != nil || p.ID != id || fmt.Sprint(p.Addrs) != "[/ip4/192.0.2.7/tcp/1]" || asked != "/routing/v1/peers/"+id.CID() {
		t.Errorf("%v, %v, asked for %s", p, err, asked)
	}
	if _, err := d.FindPeer(t.Context(), coretest.NewIdentity(9).ID()); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

func TestClosestPeers(t *testing.T) {
	var asked string
	w := web{"a": func(r *http.Request) *http.Response {
		asked = r.URL.Path
		return answer(200, stream, one(8, "/ip4/192.0.2.8/tcp/1")+"\n"+one(9)+"\n")
	}, "old": always(501, "text/plain", "")}
	d := start(t, w, `{"endpoints": ["http://old", "http://a"]}`)
	list, err := d.ClosestPeers(t.Context(), hash)
	if err != nil || len(list) != 2 || !strings.HasPrefix(asked, "/routing/v1/dht/closest/peers/bafkrei") {
		t.Errorf("%v, %v, asked for %s", list, err, asked)
	}
	if _, err := d.ClosestPeers(t.Context(), []byte("not a multihash")); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("any key: %v", err)
	}
}

func TestValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := coretest.NewIdentity(3)
		key := "/ipns/" + string(id.ID())
		sealed := func(sequence uint64) string {
			b, err := ipns.Seal(id, ipns.Record{Sequence: sequence, Validity: time.Now().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		const kind = "application/vnd.ipfs.ipns-record"
		var put []string
		w := web{
			"old":  always(200, kind, sealed(1)),
			"new":  always(200, kind, sealed(2)),
			"lie":  always(200, kind, strings.Replace(sealed(3), "Sequence", "Sequencf", 1)),
			"no":   always(200, "text/plain", "no record found"),
			"404":  always(404, "", ""),
			"huge": always(200, kind, strings.Repeat("x", 1<<20)),
			"put": func(r *http.Request) *http.Response {
				body, _ := io.ReadAll(r.Body)
				put = append(put, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+string(body))
				return answer(200, "", "")
			},
			"refuses": always(400, "text/plain", "no"),
		}
		for hosts, want := range map[string]string{
			"old": sealed(1), "old new": sealed(2), "new old": sealed(2), "lie old": sealed(1), "404 no old": sealed(1), "huge new": sealed(2),
			"no": "", "404": "", "lie": "", "huge": "", "no 404 lie": "",
		} {
			d := start(t, w, `{"endpoints": ["http://`+strings.ReplaceAll(hosts, " ", `", "http://`)+`"]}`)
			got, err := d.GetValue(t.Context(), key)
			if string(got) != want || (err == nil) != (want != "") || (hosts == "no" || hosts == "404") && !errors.Is(err, core.ErrNotFound) {
				t.Errorf("%s: %d bytes, %v", hosts, len(got), err)
			}
		}
		d := start(t, w, `{"endpoints": ["http://refuses", "http://put"]}`)
		if err := d.PutValue(t.Context(), key, []byte(sealed(5))); err != nil {
			t.Error(err)
		}
		if want := "PUT /routing/v1/ipns/" + id.ID().CID() + " " + kind + " " + sealed(5); len(put) != 1 || put[0] != want {
			t.Errorf("put %q, want %q", put, want)
		}
		for key, want := range map[string]error{"/pk/" + string(id.ID()): record.ErrNamespace, "/ipns/x": record.ErrInvalid, key: record.ErrInvalid} {
			if err := d.PutValue(t.Context(), key, []byte("junk")); !errors.Is(err, want) {
				t.Errorf("put %q: %v, want %v", key, err, want)
			}
		}
		if len(put) != 1 {
			t.Error("what is not valid was sent")
		}
		if _, err := d.GetValue(t.Context(), "/pk/"+string(id.ID())); !errors.Is(err, record.ErrNamespace) {
			t.Errorf("get /pk: %v", err)
		}
	})
}

// A server that does not work is left alone, longer and longer, and asked again.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Duration
		begin := time.Now()
		reply := answer
		status, after := 503, ""
		w := web{"a": func(*http.Request) *http.Response {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(begin))
			return reply(status, stream, "", "Retry-After", after)
		}}
		d := start(t, w, `{"endpoints": ["http://a"]}`)
		ask := func(d *Delegated, seconds int) {
			for range seconds {
				if _, err := providers(t.Context(), d, 0); err != nil && !errors.Is(err, core.ErrBackoff) && status == 200 {
					t.Error(err)
				}
				time.Sleep(time.Second)
			}
		}
		ask(d, 40)
		if got := fmt.Sprint(at); got != "[0s 1s 3s 7s 15s 31s]" {
			t.Errorf("asked after %s", got)
		}
		ask(d, 3600)
		if n := len(at); at[n-1]-at[n-2] != longestWait {
			t.Errorf("at last %v apart", at[n-1]-at[n-2])
		}
		status = 200
		time.Sleep(longestWait)
		at = nil
		ask(d, 10)
		if len(at) != 10 {
			t.Errorf("works again, and is asked %d times of 10", len(at))
		}
		// What is no failure of the server, and what the server says of when to come back.
		for _, s := range []int{400, 404, 422, 501} {
			status, at = s, nil
			ask(d, 5)
			if len(at) != 5 {
				t.Errorf("%d: asked %d times of 5", s, len(at))
			}
		}
		status, after, at = 429, "30", nil
		ask(d, 29)
		if len(at) != 1 {
			t.Errorf("429: asked %d times", len(at))
		}
		status = 200
		time.Sleep(time.Minute)
		// Whoever gives up a search says nothing against the server.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		providers(ctx, d, 0)
		at = nil
		ask(d, 1)
		if len(at) != 1 {
			t.Error("left alone because a caller went away")
		}
	})
}

// TestEvil_D2_AddressesInside keeps a server from sending the node into its own
// network, unless the server is there itself.
func TestEvil_D2_AddressesInside(t *testing.T) {
	body := one(2, "/ip4/127.0.0.1/tcp/22", "/ip4/192.168.1.1/tcp/80", "/ip4/10.0.0.1/tcp/80", "/ip6/::1/tcp/1", "/ip6/fd00::1/tcp/1",
		"/ip4/8.8.8.8/tcp/1")
	w := web{"example.org": always(200, stream, body), "127.0.0.1:1": always(200, stream, body), "192.168.1.7": always(200, stream, body),
		"localhost:1": always(200, stream, body)}
	for host, want := range map[string]int{"example.org": 1, "127.0.0.1:1": 6, "192.168.1.7": 6, "localhost:1": 6} {
		d := start(t, w, `{"endpoints": ["http://`+host+`"]}`)
		for p, err := range d.FindProviders(t.Context(), hash, 0) {
			if err != nil || len(p.Addrs) != want {
				t.Errorf("%s: %v, %v, want %d addresses", host, p.Addrs, err, want)
			}
		}
	}
}

// endless is an answer without an end.
type endless struct {
	text string
	read int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.text[e.read%len(e.text):])
	e.read += n
	return n, nil
}
func (e *endless) Close() error { return nil }

// TestEvil_B3_EndlessAnswer takes so much of an answer and no more.
func TestEvil_B3_EndlessAnswer(t *testing.T) {
	line := one(2, "/ip4/192.0.2.1/tcp/1") + "\n"
	for name, tt := range map[string]struct {
		kind, text string
		most       int
	}{
		"records": {stream, line, 2 * maxRecords * len(line)},
		"line":    {stream, strings.Repeat("x", 100), 1 << 18},
		"blanks":  {stream, strings.Repeat(" ", 1000) + "\n", 2 * maxStream},
		"list":    {plain, `[[[[[[[[[[`, 2 * maxBody},
		"record":  {"application/vnd.ipfs.ipns-record", "x", 1 << 20},
		"error":   {"", "x", 1 << 20},
	} {
		body := &endless{text: tt.text}
		w := web{"a": func(*http.Request) *http.Response {
			a := answer(200, tt.kind, "")
			if name == "error" {
				a.StatusCode = 500
			}
			a.Body = body
			return a
		}}
		d := start(t, w, `{"endpoints": ["http://a"]}`)
		if name == "record" {
			if _, err := d.GetValue(t.Context(), "/ipns/"+string(coretest.NewIdentity(1).ID())); err == nil {
				t.Error("no error")
			}
		} else if n, err := providers(t.Context(), d, 0); len(n) > 1 || name != "records" && name != "blanks" && err == nil {
			t.Errorf("%s: %q, %v", name, n, err)
		}
		if body.read > tt.most {
			t.Errorf("%s: %d bytes were read", name, body.read)
		}
	}
}

// TestEvil_D2_Redirect follows a server that has moved a few times, and not from
// https to http.
func TestEvil_D2_Redirect(t *testing.T) {
	to := func(url string) func(*http.Request) *http.Response {
		return always(302, "text/plain", "", "Location", url)
	}
	w := web{"loop": to("https://loop" + path), "moved": to("https://good" + path), "down": to("http://good" + path),
		"good": always(200, stream, one(2, "/ip4/192.0.2.1/tcp/1"))}
	for host, want := range map[string]string{"moved": "2", "good": "2", "loop": "", "down": ""} {
		d := start(t, w, `{"endpoints": ["https://`+host+`"]}`)
		if got, err := providers(t.Context(), d, 0); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", host, got, err)
		}
	}
}

// A search ends with its context and with the module, and after its time.
func TestSearchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := slowTransport{}
		begin := func(d *Delegated, ctx context.Context) time.Duration {
			start := time.Now()
			if _, err := providers(ctx, d, 0); err == nil {
				t.Error("no error")
			}
			return time.Since(start)
		}
		d := start(t, nil, `{"endpoints": ["http://a"], "timeout": "7s"}`)
		d.transport = slow
		if took := begin(d, t.Context()); took != 7*time.Second {
			t.Errorf("took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		d = start(t, nil, `{"endpoints": ["http://a"]}`)
		d.transport = slow
		if took := begin(d, ctx); took != time.Second {
			t.Errorf("took %v, its context a second", took)
		}
		d = start(t, nil, `{"endpoints": ["http://a"]}`)
		d.transport = slow
		time.AfterFunc(3*time.Second, func() { d.Close() })
		if took := begin(d, t.Context()); took != 3*time.Second {
			t.Errorf("took %v after the module closed", took)
		}
	})
}

// slowTransport never answers.
type slowTransport struct{}

func (slowTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func FuzzRecords(f *testing.F) {
	f.Add(stream, one(2, "/ip4/192.0.2.1/tcp/1")+"\n")
	f.Add(plain, `{"Providers": [`+one(2)+`]}`)
	f.Fuzz(func(t *testing.T, kind, body string) {
		n := 0
		for raw, err := range records(answer(200, kind, body), "Providers") {
			if n++; err == nil && len(raw) > len(body) || n > len(body)+1 {
				t.Fatalf("record %d of %d bytes", n, len(raw))
			}
		}
	})
}
