// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package xnodecmd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// adminOverTCP runs a node with its admin endpoint on TCP and returns its address.
func adminOverTCP(t *testing.T) (n *testNode, address string) {
	t.Helper()
	n = newNode(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	n.run("-c", n.write("node.json", fmt.Sprintf(`{"admin": {"listen": %q}, "apps": {"xnode": {"listen": ["/ip4/127.0.0.1/tcp/0"]}}}`, address)))
	return n, address
}

// What a web page, or a name that it has rebound, can make a browser send does
// nothing, whatever the path.
func TestEvil_X1_WebPages(t *testing.T) {
	n, address := adminOverTCP(t)
	_, before := request(t, "tcp", address, "GET", "/config/", "")
	const evil = `{"apps": {}}`
	requests := []struct{ method, path, body string }{
		{"POST", "/load", evil}, {"POST", "/xnode/load", evil}, {"POST", "/xnode/load", ""},
		{"POST", "/config/", evil}, {"PATCH", "/config/apps", "{}"}, {"PUT", "/config/apps/xnode/agent", `"x"`}, {"DELETE", "/config/apps/xnode", ""},
		{"POST", "/xnode/connect", `{"target": "x"}`}, {"POST", "/xnode/disconnect", `{"target": "x"}`},
		{"POST", "/xnode/ping", `{"target": "x"}`}, {"POST", "/xnode/trace/dial", `{"target": "x"}`},
		{"GET", "/xnode/id", ""}, {"GET", "/xnode/peers", ""}, {"GET", "/xnode/discovered", ""}, {"GET", "/xnode/addrs", ""}, {"GET", "/xnode/limits", ""},
		{"POST", "/stop", ""}, {"GET", "/config/", ""}, {"GET", "/debug/pprof/cmdline", ""}, {"GET", "/debug/vars", ""},
	}
	for name, header := range map[string][]string{
		"rebound name":        {"Host", "evil.example"},
		"rebound name, port":  {"Host", "evil.example:" + address[strings.LastIndex(address, ":")+1:]},
		"other port":          {"Host", "127.0.0.1:1"},
		"other origin":        {"Origin", "https://evil.example"},
		"origin null":         {"Origin", "null"},
		"origin of that name": {"Origin", "http://" + address + ".evil.example"},
		"no-cors":             {"Sec-Fetch-Mode", "no-cors"},
		"no-cors, our origin": {"Sec-Fetch-Mode", "no-cors", "Origin", "http://" + address},
		"navigation":          {"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site"},
		"cors":                {"Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "cross-site"},
		"web socket":          {"Connection", "Upgrade", "Upgrade", "websocket"},
	} {
		for _, r := range requests {
			status, answer := request(t, "tcp", address, r.method, r.path, r.body, header...)
			if status != http.StatusForbidden && status != http.StatusBadRequest {
				t.Errorf("%s: %s %s: status %d: %s", name, r.method, r.path, status, answer)
			}
			var failure struct{ Error string }
			if err := json.Unmarshal([]byte(answer), &failure); err != nil || failure.Error == "" || strings.Contains(answer, "12D3KooW") {
				t.Errorf("%s: %s %s: %s", name, r.method, r.path, answer)
			}
		}
	}
	// A form can post these without asking.
	for _, kind := range []string{"", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
		"application/json; charset=utf-8", "APPLICATION/JSON", "text/plain; application/json", "application/jsonp", "x/json"} {
		for _, r := range requests {
			if r.body == "" {
				continue
			}
			if status, answer := request(t, "tcp", address, r.method, r.path, r.body, "Content-Type", kind); status != http.StatusUnsupportedMediaType {
				t.Errorf("Content-Type %q: %s %s: status %d: %s", kind, r.method, r.path, status, answer)
			}
		}
	}
	// Upper case and fetch metadata without a mode, which Caddy lets through.
	for _, header := range [][]string{{"Connection", "Upgrade", "Upgrade", "WebSocket"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Dest", "image"}} {
		for _, r := range requests {
			if !strings.HasPrefix(r.path, "/xnode/") && r.path != "/load" {
				continue
			}
			if status, answer := request(t, "tcp", address, r.method, r.path, r.body, header...); status != http.StatusForbidden && status != http.StatusBadRequest {
				t.Errorf("%v: %s %s: status %d: %s", header, r.method, r.path, status, answer)
			}
		}
	}
	if _, after := request(t, "tcp", address, "GET", "/config/", ""); after != before {
		t.Errorf("the configuration is now %s", after)
	}
	if out := n.must("id", "--admin", address); !strings.Contains(out, "peer") {
		t.Errorf("the command line is locked out: %s", out)
	}
	if status, _ := request(t, "tcp", address, "GET", "/xnode/load", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("GET of a path for POST: status %d", status)
	}
}

// A path leads to one thing only, however it is written.
func TestEvil_X2_Paths(t *testing.T) {
	n := newNode(t)
	n.run("-c", n.write("node.json", local("")))
	_, before := n.request("GET", "/config/", "")
	for _, path := range []string{
		"/config/apps/xnode/listen/00", "/config/apps/xnode/listen/-1", "/config/apps/xnode/listen/+0", "/config/apps/xnode/listen/0/",
		"/config/apps//xnode/listen/0", "/config/apps/xnode/../xnode/listen/0", "/config/apps/xnode%2Flisten/0", "/config/apps/xnode/listen/0%20",
		"/config/apps/./xnode/listen/0", "/CONFIG/apps/xnode/listen/0", "/config/apps/xnode/listen/0x0",
	} {
		status, answer := n.request("PATCH", path, `"/ip4/127.0.0.1/tcp/0/evil"`)
		if status == 200 {
			t.Errorf("%s: status %d: %s", path, status, answer)
		}
	}
	if _, after := n.request("GET", "/config/", ""); after != before {
		t.Errorf("the configuration is now %s", after)
	}
}

// Placeholders are replaced once, in fields that say so, and never in what
// comes through the API or from peers.
func TestEvil_X4_Placeholders(t *testing.T) {
	n := newNode(t)
	n.env = []string{"XNODE_TEST_OUTER={env.XNODE_TEST_SECRET}", "XNODE_TEST_SECRET=/ip4/127.0.0.1/tcp/0", "XNODE_TEST_AGENT=revealed"}
	out := n.xnode("", "run", "-c", n.write("node.json", inNode(`"listen": ["{env.XNODE_TEST_OUTER}"]`)))
	if out.code != 1 || !strings.Contains(out.stderr, `"{env.XNODE_TEST_SECRET}" is no multiaddr`) {
		t.Errorf("expanded twice: %+v", out)
	}
	p := n.run("-c", n.write("node.json", local(`"agent": "{env.XNODE_TEST_AGENT}"`)))
	if out := newNode(t).must("id", p.addrs[0]); strings.Contains(out, "revealed") {
		t.Errorf("agent is expanded: %s", out)
	}
	for _, path := range []string{"/xnode/connect", "/xnode/ping", "/xnode/trace/dial"} {
		status, answer := n.request("POST", path, `{"target": "/dns4/{env.XNODE_TEST_AGENT}/tcp/1/p2p/`+nobody+`", "timeout": "5s"}`)
		if strings.Contains(answer, "revealed") {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	if _, answer := n.request("GET", "/config/apps/xnode/agent", ""); !strings.Contains(answer, "{env.XNODE_TEST_AGENT}") {
		t.Errorf("the configuration shows %s", answer)
	}
}

// Documents that are too large, too deep or ambiguous change nothing, whichever
// way they come.
func TestEvil_X5_Documents(t *testing.T) {
	n := newNode(t)
	n.run("-c", n.write("node.json", local("")))
	_, before := n.request("GET", "/config/", "")
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	large := `"` + strings.Repeat("x", 16<<20) + `"` // a little more than may be
	for name, test := range map[string]struct{ document, says string }{
		"too deep":           {`{"apps": ` + deep + `}`, "nested too deeply"},
		"much too deep":      {strings.Repeat(`{"a":`, 1<<20), "nested too deeply"},
		"key twice":          {`{"apps": {"xnode": {"agent": "a", "agent": "b"}}}`, "stands twice"},
		"escaped key twice":  {`{"apps": {"xnode": {"agent": "a", "\u0061gent": "b"}}}`, "stands twice"},
		"unknown key":        {`{"apps": {"xnode": {"agnt": "a"}}}`, "unknown key"},
		"null":               {"null", "want an object"},
		"two documents":      {`{"apps": {}} {"apps": {}}`, "text after the document"},
		"bytes that are not": {"\x00\x01", "invalid character"},
	} {
		if out := n.xnode(test.document, "validate", "-c", "-"); out.code != 1 || !strings.Contains(out.stderr, test.says) {
			t.Errorf("%s: validate: %d %.300s", name, out.code, out.stderr)
		}
		for _, path := range []string{"/load", "/xnode/load", "/config/"} {
			status, answer := n.request("POST", path, test.document)
			if status != http.StatusBadRequest || !strings.Contains(answer, test.says) {
				t.Errorf("%s: %s: %d %.300s", name, path, status, answer)
			}
		}
	}
	if out := n.xnode(large, "validate", "-c", "-"); out.code != 1 || !strings.Contains(out.stderr, "keep it within 16777216") {
		t.Errorf("too large: %d %.300s", out.code, out.stderr)
	}
	for _, r := range []struct{ method, path string }{{"POST", "/load"}, {"PATCH", "/config/apps/xnode/agent"}, {"POST", "/xnode/connect"}} {
		if status, answer := n.request(r.method, r.path, large); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %.300s", r.path, status, answer)
		}
	}
	for path, body := range map[string]string{
		"/config/apps/xnode/protocols":        `{"ping": {}, "ping": {}}`,
		"/config/apps/xnode/protocols/ping/a": deep,
		"/config/apps/xnode/agent":            `{}`,
	} {
		if status, answer := n.request("PUT", path, body); status != http.StatusBadRequest {
			t.Errorf("%s: %d %.300s", path, status, answer)
		}
	}
	for _, body := range []string{`{"target": "x", "target": "y"}`, `{"tarket": "x"}`, `[]`, `{`, `{"target": 1}`, `{"target": "x"} x`} {
		if status, answer := n.request("POST", "/xnode/connect", body); status != http.StatusBadRequest {
			t.Errorf("connect %s: %d %.300s", body, status, answer)
		}
	}
	if _, after := n.request("GET", "/config/", ""); after != before {
		t.Errorf("the configuration is now %s", after)
	}
}

// Of many writers who have seen the same configuration one wins.
func TestEvil_X5_ConcurrentWriters(t *testing.T) {
	n := newNode(t)
	n.run("-c", n.write("node.json", local(`"agent": "first"`)))
	r, err := http.NewRequest("GET", "http://xnode/config/apps/xnode/agent", nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", n.data()+"/admin.sock")
	}}
	a, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	etag := a.Header.Get("Etag")
	const writers = 8
	results := make([]int, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			results[i], _ = n.request("PATCH", "/config/apps/xnode/agent", fmt.Sprintf(`"writer %d"`, i), "If-Match", etag)
		})
	}
	wg.Wait()
	won := 0
	for _, status := range results {
		switch status {
		case http.StatusOK:
			won++
		case http.StatusPreconditionFailed:
		default:
			t.Errorf("status %d", status)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won: %v", won, results)
	}
	if status, _ := n.request("PATCH", "/config/apps/xnode/agent", `"x"`, "If-Match", "nonsense"); status != http.StatusBadRequest {
		t.Errorf("malformed If-Match: %d", status)
	}
}

// A configuration that fails, at whichever stage, changes nothing.
func TestEvil_X6_BadReload(t *testing.T) {
	n, friend := newNode(t), newNode(t)
	p := n.run("-c", n.write("node.json", local(`"agent": "steady"`)))
	friend.run("-c", friend.write("node.json", local("")))
	friend.must("connect", p.addrs[0])
	_, before := n.request("GET", "/config/", "")
	conns := opened(n)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", taken.Addr().(*net.TCPAddr).Port)
	stage := func(s string) string {
		return local(`"agent": "evil", "protocols": {"echo": {}, "faulty": {"fail": "` + s + `"}}`)
	}
	at := "/apps/xnode/protocols/faulty"
	for name, test := range map[string]struct{ document, pointer, says string }{
		"syntax":         {`{"apps": `, "", "ends too early"},
		"unknown key":    {local(mistake), "/apps/xnode/lissten", "did you mean"},
		"provision":      {stage("provision"), at + "/fail", "choose another stage"},
		"validate":       {stage("validate"), at + "/fail", "choose another stage"},
		"start":          {stage("start"), at + "/fail", "choose another stage"},
		"provision, bad": {stage("panic provision"), at, "panic: told to at provision"},
		"validate, bad":  {stage("panic validate"), at, "panic: told to at validate"},
		"start, bad":     {stage("panic start"), at, "panic: told to at start"},
		"port in use":    {inNode(`"listen": ["/ip4/127.0.0.1/tcp/0", "` + port + `"]`), "/apps/xnode/listen/1", "address already in use"},
		"log":            {`{"logging": {"logs": {"default": {"level": "loud"}}}, "apps": {"xnode": {}}}`, "/logging", "unrecognized log level"},
		"other identity": {local(`"identity": {"module": "env", "var": "XNODE_TEST_UNSET"}`), "", "XNODE_TEST_UNSET"},
	} {
		t.Run(name, func(t *testing.T) {
			out := n.xnode(test.document, "reload", "-c", "-")
			if out.code != 1 || !strings.Contains(out.stderr, test.says) || !strings.Contains(out.stderr, ": "+test.pointer) {
				t.Errorf("%+v", out)
			}
			if strings.Count(out.stderr, "\n") != 1 {
				t.Errorf("not one line: %s", out.stderr)
			}
			if _, after := n.request("GET", "/config/", ""); after != before {
				t.Errorf("the configuration is now %s", after)
			}
			if speaks(n, "/echo/") {
				t.Error("a protocol of the bad configuration is served")
			}
			if got := opened(n); got != conns {
				t.Errorf("connections %s, want %s", got, conns)
			}
			friend.must("ping", "-n", "1", p.id)
		})
	}
}

// What Caddy sets up first, its admin endpoint and its logs, is as before when
// the rest fails.
func TestEvil_X6_BadReloadOfTheEngine(t *testing.T) {
	n := newNode(t)
	p := n.run("-c", n.write("node.json", local("")))
	elsewhere := filepath.Join(n.dir, "other.sock")
	document := fmt.Sprintf(`{
		"admin": {"listen": "unix/%s|0600"},
		"logging": {"logs": {"default": {"writer": {"output": "discard"}}}},
		"apps": {"xnode": {"listen": ["/ip4/127.0.0.1/tcp/0"], "protocols": {"faulty": {"fail": "start"}}}}}`,
		elsewhere)
	status, answer := n.request("POST", "/load", document)
	if status != http.StatusBadRequest || !strings.Contains(answer, "/apps/xnode/protocols/faulty/fail") {
		t.Errorf("%d %s", status, answer)
	}
	if out := n.must("id"); !strings.Contains(out, p.id) {
		t.Errorf("%s", out)
	}
	n.must("reload") // it is logged where it was before
	p.line(p.stderr, "config is unchanged")
	if status, _ := n.request("POST", "/load", `{"apps": {"xnode": {"lissten": 1}}}`); status != http.StatusBadRequest {
		t.Errorf("status %d", status)
	}
	p.line(p.stderr, "document refused", "lissten")
}
