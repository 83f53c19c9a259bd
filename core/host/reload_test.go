// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/identity/ephemeral"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/protocol/echo"
	_ "github.com/xnode-p2p/xnode/modules/protocol/perf"
	_ "github.com/xnode-p2p/xnode/modules/protocol/ping"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
	_ "github.com/xnode-p2p/xnode/modules/storage/memory"
	_ "github.com/xnode-p2p/xnode/modules/transport/tcp"
)

// document is a configuration with parts that reloads change.
type document struct {
	level     string
	listen    []string
	tcp       string
	protocols string
}

func (d document) json() []byte {
	return fmt.Appendf(nil, `{
		"admin": {"disabled": true, "config": {"persist": false}},
		"logging": {"logs": {"default": {"level": %q, "writer": {"output": "sink", "name": "load"}}}},
		"apps": {"xnode": {
			"identity": {"module": "ephemeral"},
			"listen": ["%s"],
			"transports": {"tcp": %s},
			"protocols": %s
		}}}`, d.level, strings.Join(d.listen, `","`), d.tcp, d.protocols)
}

func start(t *testing.T, d document) *host.Host {
	t.Helper()
	if err := caddy.Load(d.json(), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	h, ok := host.Running()
	if !ok {
		t.Fatal("no host is running")
	}
	return h
}

// laps counts the rounds of echoers.
type laps struct {
	mu     sync.Mutex
	change *sync.Cond
	rounds []int
	err    error // of the first echoer that failed
}

func newLaps(echoers int) *laps {
	l := &laps{rounds: make([]int, echoers)}
	l.change = sync.NewCond(&l.mu)
	return l
}

func (l *laps) add(echoer int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rounds[echoer]++
	l.change.Broadcast()
}

func (l *laps) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.change.Broadcast()
}

// wait returns when every echoer has completed a round that began after the
// call, or when one has failed.
func (l *laps) wait() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	begun := slices.Clone(l.rounds)
	for i := range begun {
		for l.err == nil && l.rounds[i] < begun[i]+2 {
			l.change.Wait()
		}
	}
	return l.err
}

// echo writes numbered blocks and compares what comes back, until stop is closed.
func echo(s core.Stream, stop <-chan struct{}, round func()) error {
	defer s.Close()
	block, back := make([]byte, 4096), make([]byte, 4096)
	for n := uint64(0); ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		for i := 0; i < len(block); i += 8 {
			binary.LittleEndian.PutUint64(block[i:], n^uint64(i))
		}
		if _, err := s.Write(block); err != nil {
			return fmt.Errorf("write of round %d: %w", n, err)
		}
		if _, err := io.ReadFull(s, back); err != nil {
			return fmt.Errorf("read of round %d: %w", n, err)
		}
		if !bytes.Equal(block, back) {
			return fmt.Errorf("round %d came back changed", n)
		}
		round()
	}
}

func TestReloadUnderLoad(t *testing.T) {
	const peers, reloads = 20, 50
	begin(t)
	base := document{
		level: "ERROR", listen: []string{"/ip4/127.0.0.1/tcp/0"}, tcp: "{}",
		protocols: `{"ping": {}, "echo": {}, "counted": {}}`,
	}
	h := start(t, base)
	id, addrs := h.ID(), h.Addrs()
	carried, _ := core.Find[*counted](h)
	var lost atomic.Int64
	defer core.On(h, func(core.Disconnected) { lost.Add(1) })()

	network := hosttest.NewNetwork(memnet.Options{})
	stop := make(chan struct{})
	all := newLaps(peers)
	var load sync.WaitGroup
	for i := range peers {
		n := network.Node(t, hosttest.Settings{Seed: uint64(i + 1), Config: `{"transports": {"tcp": {}}}`})
		if _, err := n.Connect(t.Context(), peer.AddrInfo{ID: id, Addrs: addrs}); err != nil {
			t.Fatal(err)
		}
		s, err := n.NewStream(t.Context(), id, "/echo/1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		load.Go(func() {
			if err := echo(s, stop, func() { all.add(i) }); err != nil {
				all.fail(fmt.Errorf("peer %d: %w", i, err))
			}
		})
	}
	for i := range reloads {
		next := base
		level := []slog.Level{slog.LevelError, slog.LevelDebug, slog.LevelInfo}[i%3]
		next.level = level.String()
		if i%2 == 1 {
			next.listen = append(next.listen[:1:1], "/ip4/127.0.0.2/tcp/0")
		}
		if i%4 >= 2 {
			next.protocols = `{"ping": {}, "echo": {}, "counted": {}, "perf": {}}`
		}
		if i%5 == 4 {
			next.tcp = fmt.Sprintf(`{"keepalive": "%ds"}`, 10+i)
		}
		if err := caddy.Load(next.json(), true); err != nil {
			t.Fatalf("reload %d: %v", i, err)
		}
		if again, _ := host.Running(); again != h {
			t.Fatalf("reload %d: another host runs", i)
		}
		if got, want := len(h.ListenAddrs()), len(next.listen); got != want {
			t.Fatalf("reload %d: listening on %v, want %d addresses", i, h.ListenAddrs(), want)
		}
		if got, want := slices.Contains(h.Protocols(), "/perf/1.0.0"), i%4 >= 2; got != want {
			t.Fatalf("reload %d: perf is served: %v", i, got)
		}
		for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelError} {
			if got, want := carried.log.Enabled(t.Context(), l), l >= level; got != want {
				t.Fatalf("reload %d to level %v: level %v is on: %v", i, level, l, got)
			}
		}
		// The port is open all the time: a newcomer gets in after each reload.
		newcomer := network.Node(t, hosttest.Settings{Seed: uint64(1000 + i), Config: `{"transports": {"tcp": {}}}`})
		if _, err := newcomer.Connect(t.Context(), peer.AddrInfo{ID: id, Addrs: addrs}); err != nil {
			t.Fatalf("reload %d: newcomer: %v", i, err)
		}
		if err := all.wait(); err != nil {
			t.Fatalf("reload %d: %v", i, err)
		}
	}
	if n := lost.Load(); n != 0 {
		t.Errorf("%d connections were lost", n)
	}
	close(stop)
	load.Wait()
	if all.err != nil {
		t.Error(all.err)
	}
	if got := book.since(); got != "provision c1, start c1" {
		t.Errorf("the module that never changed: %s", got)
	}
	t.Logf("%d peers, %d reloads, rounds of 4 KiB: %v", peers, reloads, all.rounds)
}

func TestEvil_X6_BadConfigChangesNothing(t *testing.T) {
	base := document{
		level: "ERROR", listen: []string{"/ip4/127.0.0.1/tcp/0"}, tcp: "{}",
		protocols: `{"ping": {}, "echo": {}}`,
	}
	h := start(t, base)
	addr := h.ListenAddrs()[0]
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())

	n := hosttest.NewNetwork(memnet.Options{}).Node(t, hosttest.Settings{Seed: 1, Config: `{"transports": {"tcp": {}}}`})
	c, err := n.Connect(t.Context(), hosttest.Info(h))
	if err != nil {
		t.Fatal(err)
	}
	modules := len(h.Modules())
	for _, tc := range []struct {
		name   string
		change func(*document)
		want   string
	}{
		{"unknown module", func(d *document) { d.protocols = `{"pong": {}}` }, "pong"},
		{"unknown field", func(d *document) { d.tcp = `{"keepalife": "1s"}` }, "keepalife"},
		{"wrong type", func(d *document) { d.tcp = `{"keepalive": 3}` }, "duration"},
		{"bad address", func(d *document) { d.listen = []string{"/ip4/127.0.0.1/tpc/0"} }, "listen"},
		{"no transport for address", func(d *document) { d.listen = []string{"/ip4/127.0.0.1/udp/0/quic-v1"} }, "transport"},
		{"port in use", func(d *document) { d.listen = append(d.listen, "/ip4/127.0.0.1/tcp/"+port) }, "in use"},
		{"fails in Provision", func(d *document) { d.protocols = `{"trouble": {"at": "provision"}}` }, "trouble at provision"},
		{"panics in Provision", func(d *document) { d.protocols = `{"trouble": {"at": "provision", "panic": true}}` }, "trouble at provision"},
		{"fails in Validate", func(d *document) { d.protocols = `{"trouble": {"at": "validate"}}` }, "trouble at validate"},
		{"fails in Start", func(d *document) { d.protocols = `{"trouble": {"at": "start"}}` }, "trouble at start"},
		{"panics in Start", func(d *document) { d.protocols = `{"perf": {}, "trouble": {"at": "start", "panic": true}}` }, "trouble at start"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			next := base
			tc.change(&next)
			err := caddy.Load(next.json(), true)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want an error with %q", err, tc.want)
			}
			if again, _ := host.Running(); again != h {
				t.Fatal("another host runs")
			}
			if got := h.ListenAddrs(); len(got) != 1 || !got[0].Equal(addr) {
				t.Errorf("listening on %v, want %v", got, addr)
			}
			if got := len(h.Modules()); got != modules {
				t.Errorf("%d modules run, want %d", got, modules)
			}
			if got := h.Protocols(); !slices.Contains(got, "/echo/1.0.0") || slices.Contains(got, "/perf/1.0.0") {
				t.Errorf("serving %v", got)
			}
			select {
			case <-c.Done():
				t.Error("the connection was lost")
			default:
			}
		})
	}
}

// trouble is a protocol that fails at a stage of its life.
type trouble struct {
	At    string `json:"at"`
	Panic bool   `json:"panic"`
}

func init() { core.Register(new(trouble)) }

func (*trouble) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.trouble", New: func() caddy.Module { return new(trouble) }}
}

func (m *trouble) fail(stage string) error {
	switch {
	case m.At != stage:
		return nil
	case m.Panic:
		panic("trouble at " + stage)
	}
	return fmt.Errorf("trouble at %s", stage)
}

func (m *trouble) Provision(caddy.Context) error          { return m.fail("provision") }
func (m *trouble) Validate() error                        { return m.fail("validate") }
func (m *trouble) Start(context.Context, core.Node) error { return m.fail("start") }
func (m *trouble) Close() error                           { return nil }
