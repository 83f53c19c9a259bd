// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// ledger notes what happens to the modules below, each by the number of its
// instance.
type ledger struct {
	mu     sync.Mutex
	count  int
	events []string
	sums   map[string]int // of provision, cleanup, start, close
}

var book = &ledger{sums: make(map[string]int)}

func (l *ledger) instance() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	return l.count
}

func (l *ledger) note(event, name string, instance int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, fmt.Sprintf("%s %s%d", event, name, instance))
	l.sums[event]++
}

// since returns what happened since the last call, instances counted from the
// first call on.
func (l *ledger) since() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.events = nil }()
	return strings.Join(l.events, ", ")
}

// reset begins a new account.
func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count, l.events, l.sums = 0, nil, make(map[string]int)
}

// checkBalance fails unless all that began has ended.
func (l *ledger) checkBalance(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sums["provision"] != l.sums["cleanup"] || l.sums["start"] != l.sums["close"] {
		t.Errorf("the account does not balance: %v", l.sums)
	}
}

// counted is a protocol that keeps the ledger.
type counted struct {
	Label string          `json:"label"`
	Fail  string          `json:"fail"`
	Part  core.List[part] `json:"parts"`

	name     string
	instance int
	log      *slog.Logger
	piece    *piece // the first part
}

// tally is another one.
type tally struct{ counted }

// piece is a part, which counted takes as a guest.
type piece struct {
	instance int
	log      *slog.Logger
}

type part interface{ isPart() }

func init() {
	core.DefineKind[part]("xnode.protocol.counted.parts")
	core.Register(new(counted))
	core.Register(new(tally))
	core.Register(new(piece))
	core.Register(new(seeded))
	caddy.RegisterModule(new(stumbling))
}

func (*counted) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.counted", New: func() caddy.Module { return &counted{name: "c"} }}
}

func (*tally) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.tally", New: func() caddy.Module { return &tally{counted{name: "t"}} }}
}

func (m *counted) Provision(ctx caddy.Context) error {
	m.instance = book.instance()
	m.log = core.Logger(ctx)
	book.note("provision", m.name, m.instance)
	parts, err := m.Part.Load(ctx)
	if err != nil {
		return err
	}
	if len(parts) > 0 {
		m.piece = parts[0].Module.(*piece)
	}
	return m.fail("provision")
}

func (m *counted) fail(at string) error {
	switch m.Fail {
	case at:
		return errors.New("asked to fail at " + at)
	case "panic at " + at:
		panic("asked to panic at " + at)
	}
	return nil
}

func (m *counted) Validate() error { return m.fail("validate") }

func (m *counted) Start(context.Context, core.Node) error {
	book.note("start", m.name, m.instance)
	return m.fail("start")
}

func (m *counted) Close() error {
	book.note("close", m.name, m.instance)
	return m.fail("close")
}

func (m *counted) Cleanup() error {
	book.note("cleanup", m.name, m.instance)
	return m.fail("cleanup")
}

func (*piece) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.counted.parts.piece", New: func() caddy.Module { return new(piece) }}
}

func (p *piece) Provision(ctx caddy.Context) error {
	p.instance, p.log = book.instance(), core.Logger(ctx)
	book.note("provision", "p", p.instance)
	return nil
}

func (p *piece) Cleanup() error {
	book.note("cleanup", "p", p.instance)
	return nil
}

func (*piece) isPart() {}

// seeded is an identity whose key the configuration names.
type seeded struct {
	Seed uint64 `json:"seed"`
	Note string `json:"note"`
}

func (*seeded) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.identity.seeded", New: func() caddy.Module { return new(seeded) }}
}

func (s *seeded) PrivateKey() (peer.PrivateKey, error) { return hosttest.Key(s.Seed), nil }

// stumbling is an app beside the node that does not start.
type stumbling struct{}

func (*stumbling) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stumbling", New: func() caddy.Module { return new(stumbling) }}
}

func (*stumbling) Start() error { return errors.New("stumbling does not start") }
func (*stumbling) Stop() error  { return nil }

// configuration is a document of the given parts.
func configuration(top, identity, protocols string) []byte {
	return fmt.Appendf(nil, `{"admin": {"disabled": true, "config": {"persist": false}%s},
		"apps": {"xnode": {"identity": {"module": "seeded", %s}, "listen": ["/ip4/127.0.0.1/tcp/0"], "protocols": {%s}}},
		"logging": {"logs": {"default": {"level": "ERROR", "writer": {"output": "discard"}}}}}`, top, identity, protocols)
}

// begin starts a new account, which must balance when the test has ended and
// Caddy is stopped.
func begin(t *testing.T) {
	t.Helper()
	book.reset()
	coretest.VerifyNoLeaks(t)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		book.checkBalance(t)
	})
}

func load(t *testing.T, config []byte) *host.Host {
	t.Helper()
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	h, ok := host.Running()
	if !ok {
		t.Fatal("no host is running")
	}
	return h
}

func TestReloadTouchesWhatChanged(t *testing.T) {
	begin(t)
	const counted1 = `"counted": {"label": "a", "parts": [{"module": "piece"}]}`
	var first *host.Host
	for _, step := range []struct{ name, protocols, want string }{
		{"start", counted1 + `, "tally": {"label": "b"}`, "provision c1, provision p2, provision t3, start c1, start t3"},
		{"spacing, order of keys, names", `"tally": { "@id": "x", "label" :"b"}, "counted": {"parts":[{"@id": 7, "module":"piece"}],` + "\n" + `"label":"\u0061"}`, ""},
		{"the same again", counted1 + `, "tally": {"label": "b"}`, ""},
		{"one changed", `"counted": {"label": "A"}, "tally": {"label": "b"}`, "provision c4, start c4, close c1, cleanup c1, cleanup p2"},
		{"one removed", `"counted": {"label": "A"}`, "close t3, cleanup t3"},
		{"one more", `"counted": {"label": "A"}, "tally": {}`, "provision t5, start t5"},
		{"another", `"tally": {}, "ping": {}`, "close c4, cleanup c4"},
		{"none", ``, "close t5, cleanup t5"},
	} {
		h := load(t, configuration("", `"seed": 1`, step.protocols))
		if first == nil {
			first = h
		}
		if h != first {
			t.Errorf("%s: another host", step.name)
		}
		got := strings.ReplaceAll(book.since(), "cleanup p2, cleanup c1", "cleanup c1, cleanup p2") // Caddy has no order here
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: (-want +got) %s", step.name, diff)
		}
	}
}

func TestFailedReloadCleansUpWhatIsNew(t *testing.T) {
	const good = `"counted": {"label": "a"}`
	for _, tc := range []struct{ name, top, protocols, err, want string }{
		{"provision", ``, good + `, "tally": {"fail": "provision"}`, "asked to fail at provision", "provision t2, cleanup t2"},
		{"validate", ``, good + `, "tally": {"fail": "validate"}`, "asked to fail at validate", "provision t2, cleanup t2"},
		{"guest", ``, good + `, "tally": {"parts": [{"module": "piece"}, {"module": "peace"}]}`, "unknown module", "provision t2, provision p3, cleanup t2, cleanup p3"},
		{"start", ``, good + `, "tally": {"fail": "start"}`, "tally: start: asked to fail at start", "provision t2, start t2, close t2, cleanup t2"},
		{"panic at start", ``, good + `, "tally": {"fail": "panic at start"}`, "panic: asked to panic at start", "provision t2, start t2, close t2, cleanup t2"},
		{
			"start, after a change", ``, `"counted": {"label": "b"}, "tally": {"fail": "start"}`, "tally: start: asked to fail at start",
			"provision c2, provision t3, start c2, start t3, close t3, close c2, cleanup c2, cleanup t3",
		},
		{"section of another", ``, `"counted": {"label": "b"}, "nothing": {}`, "nothing: unknown module", "provision c2, cleanup c2"},
		{"cleanup fails too", ``, `"counted": {"label": "b", "fail": "cleanup"}, "nothing": {}`, "nothing: unknown module", "provision c2, cleanup c2"},
		{"cleanup panics too", ``, `"counted": {"label": "b", "fail": "panic at cleanup"}, "nothing": {}`, "nothing: unknown module", "provision c2, cleanup c2"},
		{"after the start", `, "remote": {}`, `"counted": {"label": "b"}`, "remote admin", "provision c2, start c2, close c2, cleanup c2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			begin(t)
			h := load(t, configuration("", `"seed": 1`, good))
			book.since()
			err := caddy.Load(configuration(tc.top, `"seed": 1`, tc.protocols), true)
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %v, want an error with %q", err, tc.err)
			}
			if again, _ := host.Running(); again != h {
				t.Error("another host is running")
			}
			if got := h.Protocols(); slices.Contains(got, "/ipfs/ping/1.0.0") {
				t.Errorf("protocols: %v", got)
			}
			got := book.since()
			if tc.name != "guest" { // Caddy has no order in which guests are cleaned up
				got, tc.want = sortCleanups(got), sortCleanups(tc.want)
			} else {
				got = strings.ReplaceAll(got, "cleanup p3, cleanup t2", "cleanup t2, cleanup p3")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
			// The one before goes on and can be changed.
			load(t, configuration("", `"seed": 1`, `"counted": {"label": "z"}`))
		})
	}
}

// sortCleanups sorts the cleanups at the end of what happened: a configuration
// is given back in no order.
func sortCleanups(events string) string {
	list := strings.Split(events, ", ")
	first := slices.IndexFunc(list, func(e string) bool { return strings.HasPrefix(e, "cleanup") })
	if first >= 0 {
		slices.Sort(list[first:])
	}
	return strings.Join(list, ", ")
}

// Caddy starts apps in no order, so the node has or has not started when
// another app fails. Both happen in a few attempts.
func TestFailureOfAnotherApp(t *testing.T) {
	begin(t)
	h := load(t, configuration("", `"seed": 1`, `"counted": {"label": "a"}`))
	book.since()
	stumble := func(label string) []byte {
		config := string(configuration("", `"seed": 1`, `"counted": {"label": "`+label+`"}`))
		return []byte(strings.Replace(config, `"apps": {`, `"apps": {"stumbling": {}, `, 1))
	}
	seen := make(map[bool]int)
	for i := 0; i < 100 && (seen[true] == 0 || seen[false] == 0); i++ {
		if err := caddy.Load(stumble(fmt.Sprint(i)), true); err == nil || !strings.Contains(err.Error(), "stumbling does not start") {
			t.Fatalf("got %v", err)
		}
		n := i + 2
		started := fmt.Sprintf("provision c%[1]d, start c%[1]d, close c%[1]d, cleanup c%[1]d", n)
		switch got := book.since(); got {
		case started, fmt.Sprintf("provision c%[1]d, cleanup c%[1]d", n):
			seen[got == started]++
		default:
			t.Fatalf("attempt %d: %s", i, got)
		}
		if again, _ := host.Running(); again != h {
			t.Fatal("another host is running")
		}
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("only one order was seen: %v", seen)
	}
}

func TestReloadOfTheIdentity(t *testing.T) {
	begin(t)
	const protocols = `"counted": {}, "ping": {}`
	h := load(t, configuration("", `"seed": 1`, protocols))
	n := hosttest.NewNetwork(memnet.Options{}).Node(t, hosttest.Settings{Seed: 99, Config: `{"transports": {"tcp": {}}}`})
	c, err := n.Connect(t.Context(), hosttest.Info(h))
	if err != nil {
		t.Fatal(err)
	}
	book.since()
	lives := func() bool {
		select {
		case <-c.Done():
			return false
		default:
			return true
		}
	}
	addrs := h.ListenAddrs()

	// The key stays: so does the host, with its port and its connections.
	if again := load(t, configuration("", `"seed": 1, "note": "other words"`, protocols)); again != h {
		t.Error("another host for the same key")
	}
	if got := book.since(); got != "provision c2, start c2, close c1, cleanup c1" {
		t.Errorf("same key: %s", got)
	}
	if !lives() || len(h.ListenAddrs()) != 1 || !h.ListenAddrs()[0].Equal(addrs[0]) {
		t.Errorf("connection lives: %v, listening on %v, was %v", lives(), h.ListenAddrs(), addrs)
	}

	// Another key is another node.
	other := load(t, configuration("", `"seed": 2`, protocols))
	if other == h || other.ID() != peer.FromPublicKey(hosttest.Key(2).Public()) {
		t.Errorf("the host is still %s", other.ID())
	}
	if got := book.since(); got != "provision c3, start c3, close c2, cleanup c2" {
		t.Errorf("another key: %s", got)
	}
	<-c.Done()
	if len(h.ListenAddrs()) != 0 || len(h.Conns()) != 0 || len(h.Modules()) != 0 {
		t.Errorf("the old host still has %v, %v, %v", h.ListenAddrs(), h.Conns(), h.Modules())
	}

	// A node that cannot start leaves the other one alone.
	err = caddy.Load(configuration("", `"seed": 3`, `"counted": {"fail": "start"}`), true)
	if again, _ := host.Running(); err == nil || again != other {
		t.Errorf("after %v another host runs", err)
	}
	if got := book.since(); got != "provision c4, start c4, close c4, cleanup c4" {
		t.Errorf("failed start of another node: %s", got)
	}
}

func TestCloseAndCleanupThatFail(t *testing.T) {
	for _, fail := range []string{"close", "panic at close", "cleanup", "panic at cleanup"} {
		t.Run(fail, func(t *testing.T) {
			begin(t)
			h := load(t, configuration("", `"seed": 1`, `"counted": {"fail": "`+fail+`"}, "tally": {"fail": "`+fail+`"}`))
			book.since()
			if again := load(t, configuration("", `"seed": 1`, `"ping": {}`)); again != h {
				t.Error("another host")
			}
			if got := sortCleanups(book.since()); got != "close t2, close c1, cleanup c1, cleanup t2" {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestTwoEqualModules(t *testing.T) {
	begin(t)
	config := strings.Replace(string(configuration("", `"seed": 1`, `"counted": {}`)), `"listen"`, `"muxers": [{"module": "yamux"}, { "module" : "yamux" }], "listen"`, 1)
	err := caddy.Load([]byte(config), true)
	if err == nil || !strings.Contains(err.Error(), "muxers: 1: yamux: listed twice with the same configuration; remove one") {
		t.Errorf("got %v", err)
	}
	if got := book.since(); got != "provision c1, cleanup c1" {
		t.Errorf("got %s", got)
	}
}
