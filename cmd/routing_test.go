// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/ipfs/go-cid"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

func init() { core.Register(new(oracle)) }

// oracle is a module that routes everything, and knows the same always. What it
// has from peers is as bad as it can be.
type oracle struct{}

func (*oracle) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.routing.oracle", New: func() caddy.Module { return new(oracle) }}
}

func (*oracle) Start(context.Context, core.Node) error { return nil }
func (*oracle) Close() error                           { return nil }

// known is the peer with a seed, at two addresses.
func known(seed uint64) peer.AddrInfo {
	return peer.AddrInfo{ID: peer.FromPublicKey(hosttest.Key(seed).Public()), Addrs: []ma.Multiaddr{
		ma.StringCast(fmt.Sprintf("/ip4/192.0.2.%d/tcp/2", seed)), ma.StringCast(fmt.Sprintf("/ip4/192.0.2.%d/tcp/1", seed)),
	}}
}

// helloCID is the CID of the content that known(2) to known(9) have; with a
// hash of its own in each text form.
const helloCID = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e" // raw, SHA-256 of "hello world"

func (*oracle) step(ctx context.Context, s core.LookupStep) {
	if f := core.LookupTraceOf(ctx); f != nil {
		f(s)
	}
}

func (o *oracle) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	o.step(ctx, core.LookupStep{Protocol: "/x", Peer: known(3).ID, Request: "FIND_NODE", Near: 4})
	o.step(ctx, core.LookupStep{Protocol: "/x", Peer: known(3).ID, Request: "FIND_NODE", Near: 4, Done: true, Took: time.Millisecond,
		Err: errors.New("\x1b[2Jgone")})
	o.step(ctx, core.LookupStep{Protocol: "/x", Peer: known(4).ID, Request: "FIND_NODE", At: time.Second, Done: true,
		Took: 20 * time.Millisecond, Heard: 20, New: 3, Found: 1})
	if p != known(2).ID {
		return peer.AddrInfo{}, core.ErrNotFound
	}
	return known(2), nil
}

func (*oracle) ClosestPeers(_ context.Context, key []byte) ([]peer.AddrInfo, error) {
	if string(key) == string(known(5).ID) {
		return []peer.AddrInfo{known(5), known(4)}, nil
	}
	return []peer.AddrInfo{known(4), known(5)}, nil
}

func (*oracle) is(key []byte) bool {
	c, err := cid.Decode(helloCID)
	return err == nil && string(c.Hash()) == string(key)
}

func (o *oracle) Provide(_ context.Context, key []byte) error {
	if !o.is(key) {
		return errors.New("nobody takes that")
	}
	return nil
}

func (o *oracle) FindProviders(_ context.Context, key []byte, count int) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		if !o.is(key) {
			return
		}
		for seed := uint64(2); seed < 10; seed++ {
			if !yield(known(seed), nil) {
				return
			}
			if count--; count == 0 {
				return
			}
		}
		yield(peer.AddrInfo{}, errors.New("the end of \x1b[2J"))
	}
}

var oracleValues = map[string]string{
	"/v/text": "hello", "/v/evil": "a\x1b[2J\nb", "/pk/" + string(known(2).ID): "its key", "/ipns/" + string(known(2).ID): "its record",
}

func (*oracle) PutValue(_ context.Context, key string, value []byte) error {
	if oracleValues[key] != string(value) {
		return fmt.Errorf("value of %d bytes: %w", len(value), record.ErrWorse)
	}
	return nil
}

func (*oracle) GetValue(_ context.Context, key string) ([]byte, error) {
	if v, ok := oracleValues[key]; ok {
		return []byte(v), nil
	}
	return nil, core.ErrNotFound
}

func (*oracle) SearchValue(context.Context, string) iter.Seq2[[]byte, error] {
	return func(func([]byte, error) bool) {}
}

func (*oracle) Stats() []core.DHTStats {
	return []core.DHTStats{{Protocol: "/x/kad\x1b/1.0.0", Server: true, Peers: 3, Buckets: []int{2, 0, 1}, NetworkSize: 99,
		Records: core.TableStat{Entries: 1, Bytes: 10}, Served: map[string]uint64{"PUT_VALUE": 7, "FIND_NODE": 8}, Asked: map[string]uint64{"FIND_NODE": 9}}}
}

func (*oracle) Crawl(context.Context) iter.Seq2[core.CrawledPeer, error] {
	return func(yield func(core.CrawledPeer, error) bool) {
		for seed := uint64(2); seed < 1000; seed++ {
			p := core.CrawledPeer{AddrInfo: known(min(seed, 9)), Agent: "evil\x1b[2J", Took: time.Millisecond, Knows: []peer.ID{known(3).ID}}
			if seed%2 == 1 {
				p.Agent, p.Err = "", errors.New("no\x1banswer")
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (*oracle) Keep(context.Context, []byte) error { return nil }
func (*oracle) Unkeep([]byte) error                { return errors.New("was not kept") }
func (*oracle) UnkeepValue(string) error           { return errors.New("was not kept") }
func (*oracle) KeepValue(_ context.Context, key string, value []byte) error {
	if key != "/v/text" || string(value) != "hello" {
		return errors.New("another record")
	}
	return nil
}
func (*oracle) Kept() iter.Seq2[[]byte, error] { return func(func([]byte, error) bool) {} }

var (
	_ core.PeerRouting    = (*oracle)(nil)
	_ core.ContentRouting = (*oracle)(nil)
	_ core.ValueStore     = (*oracle)(nil)
	_ core.DHT            = (*oracle)(nil)
)

// routing is a node with the oracle.
func routing(t *testing.T) *testNode {
	t.Helper()
	n := newNode(t)
	n.run("-c", n.write("node.json", local(`"routing": {"oracle": {}}`)))
	return n
}

func TestRoutingCommands(t *testing.T) {
	n := routing(t)
	two, four, five := known(2).ID.String(), known(4).ID.String(), known(5).ID.String()
	c, err := cid.Decode(helloCID)
	if err != nil {
		t.Fatal(err)
	}
	v0 := cid.NewCidV0(c.Hash()).String()
	upper, _ := c.StringOfBase('F') // base 16, upper case
	n.write("hello", "hello")
	where := "/ip4/192.0.2.2/tcp/1/p2p/" + two + "\n/ip4/192.0.2.2/tcp/2/p2p/" + two + "\n"
	for _, tt := range []struct {
		args string
		want string
	}{
		{"routing findpeer " + two, where},
		{"routing findpeer " + known(2).ID.CID(), where},
		{"dht findpeer " + two, where},
		{"routing query " + five, five + "\n" + four + "\n"},
		{"routing query " + helloCID, four + "\n" + five + "\n"},
		{"routing findprovs -n 1 " + helloCID, two + "\n"},
		{"routing findprovs -n 1 /ipfs/" + helloCID, two + "\n"},
		{"routing findprovs -n 1 " + v0, two + "\n"},
		{"routing findprovs -n 1 " + upper, two + "\n"},
		{"routing findprovs -v -n 1 " + helloCID, two + "\n  /ip4/192.0.2.2/tcp/1\n  /ip4/192.0.2.2/tcp/2\n"},
		{"routing provide " + helloCID + " " + v0, "provide " + helloCID + " success\nprovide " + v0 + " success\n"},
		{"routing provide --keep " + helloCID, "provide " + helloCID + " success\n"},
		{"routing get /v/text", "hello\n"},
		{"routing get -o - /v/text", "hello"},
		{"routing get -o - /v/evil", "a\x1b[2J\nb"},
		{"routing get /v/evil", "YRtbMkoKYg==\n"},
		{"routing get /pk/" + two, "its key\n"},
		{"routing get /ipns/" + two, "its record\n"},
		{"routing get /ipns/" + known(2).ID.CID(), "its record\n"},
		{"routing put /v/text hello", "put /v/text success\n"},
		{"routing put --keep /v/text hello", "put /v/text success\n"},
		{"routing get --json /v/text", `{"value":"aGVsbG8="}` + "\n"},
		{"routing findpeer --json " + two, `{"peer":"` + two + `","addrs":["/ip4/192.0.2.2/tcp/1","/ip4/192.0.2.2/tcp/2"]}` + "\n"},
	} {
		if out := n.xnode("", strings.Fields(tt.args)...); out.code != 0 || out.stdout != tt.want {
			t.Errorf("%s: %+v, want %q", tt.args, out, tt.want)
		}
	}
	if out := n.xnode("hello", "routing", "put", "/v/text", "-"); out.code != 0 {
		t.Errorf("from standard input: %+v", out)
	}
	n.must("routing", "get", "-o", "copy", "/v/evil")
	if b, err := os.ReadFile(filepath.Join(n.dir, "copy")); string(b) != "a\x1b[2J\nb" {
		t.Errorf("written %q, %v", b, err)
	}
}

func TestRoutingCommandsFail(t *testing.T) {
	n := routing(t)
	n.write("hello", "hello")
	n.write("large", strings.Repeat("x", record.MaxValue+1))
	unknown := known(77).ID.String()
	for args, want := range map[string]string{
		"routing findpeer " + unknown:                    "not found",
		"routing findpeer nonsense":                      "nonsense",
		"routing query nonsense":                         "neither a peer ID nor a CID",
		"routing findprovs nonsense":                     `"nonsense" is no CID`,
		"routing findprovs -n -1 " + helloCID:            "-n must be at least 0",
		"routing findprovs bafkqaaa":                     "not found", // a CID that is its content
		"routing findprovs " + strings.Repeat("b", 999):  "is no CID",
		"routing findprovs " + strings.Repeat("b", 2000): "a CID of 2000 bytes",
		"routing provide bafkqaaa":                       "provide bafkqaaa failure: nobody takes that",
		"routing provide --stop " + helloCID:             "was not kept",
		"routing get /v/nothing":                         "not found",
		"routing get nonsense":                           "unknown namespace",
		"routing get /ipns/example.org":                  "example.org",
		"routing put /v/text nofile":                     "nofile",
		"routing put /v/text large":                      "more than 65536 bytes",
		"routing put /v/other hello":                     "a better record is known",
	} {
		if out := n.xnode("", strings.Fields(args)...); out.code != 1 || !strings.Contains(out.stderr, want) {
			t.Errorf("%s: %+v, want %q", args, out, want)
		}
	}
	// What was found before an error is shown, and then the error, harmless.
	out := n.xnode("", "routing", "findprovs", helloCID)
	if out.code != 1 || strings.Count(out.stdout, "\n") != 8 || !strings.Contains(out.stderr, `the end of \x1b[2J`) {
		t.Errorf("%+v", out)
	}
	plain := newNode(t)
	plain.run("-c", plain.write("node.json", local("")))
	for args, want := range map[string]string{
		"routing findpeer " + unknown: "add one to routing, such as kad",
		"stats dht":                   "the node runs no DHT: add one to routing, such as kad",
		"crawl":                       "the node runs no DHT",
	} {
		if out := plain.xnode("", strings.Fields(args)...); out.code != 1 || !strings.Contains(out.stderr, want) {
			t.Errorf("without routing: %s: %+v, want %q", args, out, want)
		}
	}
}

// The steps of a look-up stand on standard error; in JSON they are among the lines.
func TestRoutingTrace(t *testing.T) {
	n := routing(t)
	three, four := known(3).ID.String(), known(4).ID.String()
	out := n.xnode("", "routing", "findpeer", "-v", known(2).ID.String())
	want := "     0ms  FIND_NODE     " + three + "  near 4  asked\n" +
		"     0ms  FIND_NODE     " + three + "  near 4  failed after 1ms: " + `\x1b[2Jgone` + "\n" +
		"      1s  FIND_NODE     " + four + "  near 0  answered after 20ms: 20 peers, 3 new, 1 found\n"
	if out.stderr != want || strings.Count(out.stdout, "\n") != 2 {
		t.Errorf("%+v, want\n%s", out, want)
	}
	out = n.xnode("", "routing", "findpeer", "-v", "--json", known(2).ID.String())
	lines := strings.Split(strings.TrimSpace(out.stdout), "\n")
	if len(lines) != 4 || !strings.Contains(lines[1], `"error":"\\x1b[2Jgone"`) || !strings.Contains(lines[3], `"peer":`) || out.stderr != "" {
		t.Errorf("%+v", out)
	}
}

func TestStatsDHT(t *testing.T) {
	n := routing(t)
	text := n.must("stats", "dht")
	for _, line := range []string{`/x/kad\x1b/1.0.0`, "server", "bucket 0", "about 99", "1, 10 bytes", "served FIND_NODE", "served PUT_VALUE"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, "bucket 1") || strings.Index(text, "served FIND") > strings.Index(text, "served PUT") {
		t.Errorf("%q", text)
	}
	var list []core.DHTStats
	if err := json.Unmarshal([]byte(n.must("stats", "dht", "--json")), &list); err != nil || len(list) != 1 || list[0].Records.Bytes != 10 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestCrawl(t *testing.T) {
	n := routing(t)
	out := n.xnode("", "crawl", "--limit", "4")
	want := known(2).ID.String() + `  1ms  knows 1  evil\x1b[2J` + "\n" + known(3).ID.String() + `  1ms  knows 1  FAIL no\x1banswer` + "\n"
	if out.code != 0 || !strings.HasPrefix(out.stdout, want) || strings.Count(out.stdout, "\n") != 4 ||
		!strings.Contains(out.stderr, "4 peers in") || !strings.Contains(out.stderr, "2 did not answer") {
		t.Errorf("%+v", out)
	}
	out = n.xnode("", "crawl", "--json")
	lines := slices.Collect(strings.Lines(out.stdout))
	if out.code != 0 || len(lines) != 998 {
		t.Fatalf("%d lines, exit code %d, %s", len(lines), out.code, out.stderr)
	}
	var p struct {
		Peer         string
		Addrs, Knows []string
	}
	if err := json.Unmarshal([]byte(lines[0]), &p); err != nil || p.Peer != known(2).ID.String() || len(p.Addrs) != 2 || len(p.Knows) != 1 {
		t.Errorf("%s: %v", lines[0], err)
	}
}

// The admin API refuses what it cannot make sense of, and says why.
func TestRoutingRequests(t *testing.T) {
	n := routing(t)
	for _, tt := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"findpeer", `{}`, http.StatusBadRequest, "error"},
		{"findpeer", `{"key": "` + known(77).ID.String() + `"}`, http.StatusNotFound, "not found"},
		{"findpeer", `{"key": "x", "target": "y"}`, http.StatusBadRequest, "unknown field"},
		{"findprovs", `{"key": "` + helloCID + `", "count": -1}`, http.StatusBadRequest, "below zero"},
		{"findprovs", `{"key": "` + helloCID + `", "count": 2}`, http.StatusOK, known(3).ID.String()},
		{"findprovs", `{"key": "` + helloCID + `", "timeout": 3}`, http.StatusBadRequest, "is no duration"},
		{"put", `{"key": "/v/text", "value": "***"}`, http.StatusBadRequest, "base64"},
		{"put", `{"key": "/v/text", "value": "eA=="}`, http.StatusBadGateway, "better record"},
		{"get", `[]`, http.StatusBadRequest, "error"},
	} {
		status, answer := n.request(http.MethodPost, "/xnode/routing/"+tt.path, tt.body, "Content-Type", "application/json")
		if status != tt.status || !strings.Contains(answer, tt.want) || bytes.ContainsRune([]byte(answer), 0x1b) {
			t.Errorf("%s %s: %d %s, want %d with %q", tt.path, tt.body, status, answer, tt.status, tt.want)
		}
	}
}
