// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package standard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/standard"
)

const (
	// victimIP is where the node under attack listens: an address of the
	// loopback network that nothing else is likely to have ports on.
	victimIP = "127.0.77.1"
	// echoProtocol is what honest peers speak with it.
	echoProtocol = "/evil/echo/1.0.0"
	// beat is the pause between two rounds of an honest conversation.
	beat = 50 * time.Millisecond
	// patience bounds the wait for a node to come back to its base.
	patience = 30 * time.Second

	// What there may be more of than before an attack: goroutines that a
	// library keeps once it has begun, and bytes in caches that are bounded.
	moreGoroutines = 2
	moreHeap       = 2 << 20
)

// everything is a node with all transports on one TCP and one UDP port: on an
// address, with a port, limits, and a timeout of handshakes over UDP.
const everything = `{
	"listen": [
		"/ip4/%[1]s/tcp/%[2]d", "/ip4/%[1]s/tcp/%[2]d/ws", "/ip4/%[1]s/tcp/%[2]d/tls/ws",
		"/ip4/%[1]s/udp/%[2]d/quic-v1", "/ip4/%[1]s/udp/%[2]d/quic-v1/webtransport", "/ip4/%[1]s/udp/%[2]d/webrtc-direct"
	],
	"transports": {
		"tcp": {}, "websocket": {"certificate": {"module": "selfsigned"}},
		"quic": {"handshake_timeout": "%[4]s"}, "webtransport": {"handshake_timeout": "%[4]s"},
		"webrtcdirect": {"handshake_timeout": "%[4]s"}
	},
	"security": [{"module": "noise"}, {"module": "tls"}],
	"muxers": [{"module": "yamux"}, {"module": "mplex"}],
	"limits": %[3]s
}`

// roomy are limits that let hundreds of handshakes be under way, so that what
// bounds them is not the node but each transport.
const roomy = `{"handshakes": 2000, "connections": 5000}`

// ways are how an honest peer reaches the node. It is patient: attackers take
// their part of the processor in tests.
var ways = []struct{ name, suffix, config string }{
	{"tcp, noise, yamux", "/tcp", `{"transports": {"tcp": {}}, "security": [{"module": "noise"}]}`},
	{"tcp, tls, mplex", "/tcp", `{"transports": {"tcp": {}}, "security": [{"module": "tls"}], "muxers": [{"module": "mplex"}]}`},
	{"ws", "/tcp/ws", `{"transports": {"websocket": {}}}`},
	{"wss", "/tcp/tls/ws", `{"transports": {"websocket": {"insecure_skip_tls_verify": true}}}`},
	{"quic", "/udp/quic-v1", `{"transports": {"quic": {"handshake_timeout": "1m"}}}`},
	{"webtransport", "/udp/quic-v1/webtransport", `{"transports": {"webtransport": {"handshake_timeout": "1m"}}}`},
	{"webrtc-direct", "/udp/webrtc-direct", `{"transports": {"webrtcdirect": {"handshake_timeout": "1m"}}}`},
}

// site is a node under attack, with the honest peers that use it.
type site struct {
	*host.Host
	port      uint16
	canaries  []*canary    // one for each way, connected all the time
	newcomers []*host.Host // one for each way, who come and go
	visited   bool         // they have been there
}

// newSite starts a node with limits, and connects its canaries.
func newSite(t *testing.T, limits string) *site {
	t.Helper()
	t.Setenv("XNODE_DATA", t.TempDir())
	s := &site{port: freePort(t)}
	s.Host = startNode(t, 1, fmt.Sprintf(everything, victimIP, s.port, limits, "6s"))
	t.Cleanup(s.Handle(echoProtocol, echo))
	for i, w := range ways {
		h := startNode(t, uint64(100+i), w.config)
		s.newcomers = append(s.newcomers, startNode(t, uint64(200+i), w.config))
		c, err := h.Connect(t.Context(), s.info(t, w.suffix))
		if err != nil {
			t.Fatalf("canary over %s: %v", w.name, err)
		}
		st, err := h.NewStream(t.Context(), s.ID(), echoProtocol)
		if err != nil {
			t.Fatalf("canary over %s: %v", w.name, err)
		}
		t.Cleanup(func() { st.Close() })
		cn := &canary{name: w.name, stream: st, conn: c}
		if err := cn.round(); err != nil {
			t.Fatalf("canary over %s: %v", w.name, err)
		}
		s.canaries = append(s.canaries, cn)
	}
	return s
}

func echo(s core.Stream) error {
	_, err := io.Copy(s, s)
	return err
}

// startNode starts a node with the modules of a configuration. It logs nowhere.
// The test's end closes it.
func startNode(t *testing.T, seed uint64, config string) *host.Host {
	t.Helper()
	var c host.Config
	d := json.NewDecoder(strings.NewReader(config))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		t.Fatalf("%s: %v", config, err)
	}
	if c.Listen == nil {
		c.Listen = []string{}
	}
	if c.Storage == nil { // all these nodes have one data folder, and the file in it is one node's
		c.Storage = core.One[core.Storage](`{"module": "memory"}`)
	}
	h, err := host.New(host.Settings{Key: hosttest.Key(seed)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		cancel()
	})
	logs := new(core.Logs)
	plan, err := c.Plan(logs.WithLogs(ctx))
	if err != nil {
		t.Fatal(err)
	}
	logs.Redirect(func(caddy.Module) slog.Handler { return slog.DiscardHandler })
	if _, err := h.Acquire(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	return h
}

// freePort returns a port that nobody has, neither for TCP nor for UDP.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", victimIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func (s *site) tcp() *net.TCPAddr { return &net.TCPAddr{IP: net.ParseIP(victimIP), Port: int(s.port)} }
func (s *site) udp() *net.UDPAddr { return &net.UDPAddr{IP: net.ParseIP(victimIP), Port: int(s.port)} }

// shape is an address without what differs from node to node.
func shape(a ma.Multiaddr) string {
	var b strings.Builder
	for _, c := range a {
		if c.Code() != ma.P_IP4 && c.Code() != ma.P_CERTHASH {
			b.WriteString("/" + c.Protocol().Name)
		}
	}
	return b.String()
}

// addr is the address of a shape.
func (s *site) addr(t testing.TB, suffix string) ma.Multiaddr {
	t.Helper()
	all := s.ListenAddrs()
	i := slices.IndexFunc(all, func(a ma.Multiaddr) bool { return shape(a) == suffix })
	if i < 0 {
		t.Fatalf("the node does not listen on %s but on %v", suffix, all)
	}
	return all[i]
}

func (s *site) info(t testing.TB, suffix string) peer.AddrInfo {
	t.Helper()
	return peer.AddrInfo{ID: s.ID(), Addrs: []ma.Multiaddr{s.addr(t, suffix)}}
}

// visit has a newcomer come in each way, say something and leave.
func (s *site) visit(t testing.TB) {
	t.Helper()
	s.visited = true
	for i, w := range ways {
		if err := s.visitBy(t, i); err != nil {
			t.Errorf("a newcomer over %s: %v", w.name, err)
		}
	}
}

func (s *site) visitBy(t testing.TB, way int) error {
	h := s.newcomers[way]
	if _, err := h.Connect(t.Context(), s.info(t, ways[way].suffix)); err != nil {
		return err
	}
	st, err := h.NewStream(t.Context(), s.ID(), echoProtocol)
	if err != nil {
		return err
	}
	err = (&canary{stream: st}).round()
	_ = st.Close() // the connection ends with it
	return errors.Join(err, h.Disconnect(s.ID()))
}

// siege runs an attack, which must close what it opens. All the while a canary
// talks to the node on each transport, and newcomers get in before, and
// afterwards. Nothing of the attack is left in the end: the limits count exactly
// what they counted before, and so do goroutines, file descriptors and heap.
func (s *site) siege(t *testing.T, attack func()) {
	t.Helper()
	if !s.visited {
		s.visit(t) // what begins with the first connection of a kind has begun
	}
	await(t, s.settled)
	base, goroutines, files := s.Limits(), runtime.NumGoroutine(), openFiles(t)
	heap := heapInUse()

	var stops []func() error
	for _, c := range s.canaries {
		stops = append(stops, c.watch())
	}
	attack()
	for _, stop := range stops {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	s.visit(t)
	await(t, func() error {
		now := s.Limits()
		// A stream that was over by then may have held some memory still.
		if now.Memory = max(now.Memory, base.Memory); now != base {
			return fmt.Errorf("limits count %+v, want %+v as before", now, base)
		}
		if n := runtime.NumGoroutine(); n > goroutines+moreGoroutines {
			return fmt.Errorf("%d goroutines, %d before", n, goroutines)
		}
		if n := openFiles(t); n > files {
			return fmt.Errorf("%d open files, %d before", n, files)
		}
		return nil
	})
	if more := heapInUse() - heap; more > moreHeap {
		t.Errorf("%d bytes more in use than before", more)
	}
}

// settled fails while anything but the canaries has connections or streams.
func (s *site) settled() error {
	now := s.Limits()
	if now.Inbound != len(ways) || now.Handshakes != 0 || now.InboundStreams != len(ways) || now.OutboundStreams != 0 {
		return fmt.Errorf("limits count %+v, want the canaries alone", now)
	}
	return nil
}

// await asks again and again until there is no error, and fails the test with
// the last one if that does not happen.
func await(t testing.TB, check func() error) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for start := time.Now(); ; <-ticker.C {
		err := check()
		if err == nil {
			return
		}
		if time.Since(start) > patience {
			t.Errorf("after %v: %v", patience, err)
			return
		}
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func heapInUse() int64 {
	var m runtime.MemStats
	for range 2 { // what a pool holds survives one collection
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// canary is an honest conversation.
type canary struct {
	name   string
	stream core.Stream
	conn   core.Conn
	rounds int
}

// round says something and hears it again.
func (c *canary) round() error {
	c.rounds++
	said := bytes.Repeat(fmt.Appendf(nil, "round %d; ", c.rounds), 100)
	if _, err := c.stream.Write(said); err != nil {
		return fmt.Errorf("write of round %d: %w", c.rounds, err)
	}
	heard := make([]byte, len(said))
	if _, err := io.ReadFull(c.stream, heard); err != nil {
		return fmt.Errorf("read of round %d: %w", c.rounds, err)
	}
	if !bytes.Equal(said, heard) {
		return fmt.Errorf("round %d came back changed", c.rounds)
	}
	return nil
}

// watch talks until stop is called, which returns what went wrong.
func (c *canary) watch() (stop func() error) {
	stopped := make(chan struct{})
	var err error
	var talking sync.WaitGroup
	talking.Go(func() {
		ticker := time.NewTicker(beat)
		defer ticker.Stop()
		for err == nil {
			err = c.round()
			select {
			case <-stopped:
				return
			case <-ticker.C:
			}
		}
	})
	return func() error {
		close(stopped)
		talking.Wait()
		select {
		case <-c.conn.Done():
			err = errors.Join(err, errors.New("its connection was closed"))
		default:
		}
		if err == nil {
			err = c.round()
		}
		if err != nil {
			return fmt.Errorf("the canary over %s was disturbed: %w", c.name, err)
		}
		return nil
	}
}
