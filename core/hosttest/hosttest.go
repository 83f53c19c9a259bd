// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package hosttest runs whole nodes in tests: as many as wanted in one
// process, on an in-memory network, on real or, in a bubble of
// testing/synctest, on fake time.
//
//	nodes := hosttest.NewNetwork(memnet.Options{}).Nodes(t, 2, `{"protocols": {"echo": {}}}`)
//	hosttest.Connect(t, nodes[0], nodes[1])
//	s, err := nodes[0].NewStream(t.Context(), nodes[1].ID(), "/echo/1.0.0")
//
// The modules that a configuration names must be in the test binary, and so
// must noise and yamux, which every node has that names no others: import them
// for their side effect.
//
//	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
//	_ "github.com/xnode-p2p/xnode/modules/protocol/echo"
//	_ "github.com/xnode-p2p/xnode/modules/security/noise"
package hosttest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Network is an in-memory network that nodes listen and dial on. It is a
// transport for /memory addresses.
type Network struct{ *memnet.Network }

// NewNetwork returns an empty network.
func NewNetwork(o memnet.Options) *Network { return &Network{memnet.New(o)} }

// Match implements [core.Transport].
func (*Network) Match(a ma.Multiaddr) bool {
	return len(a) == 1 && a[0].Protocol().Code == ma.P_MEMORY
}

// Key returns the Ed25519 key whose seed is n, little-endian.
func Key(n uint64) peer.PrivateKey {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], n)
	return peer.Ed25519FromSeed(seed)
}

// Names is a DNS.
type Names interface {
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Settings describe a node.
type Settings struct {
	// Seed makes the node's key; zero is not a seed.
	Seed uint64
	// Config is the node's configuration, as under apps.xnode. Its identity
	// is not used. Unless it names transports, the node has the network alone,
	// and unless it names a storage, none.
	Config string
	// Names answers DNS queries. Nil means the system's resolver.
	Names Names
	// Log, if true, logs to the test.
	Log bool
}

// Node starts a node on the network; it listens there. The node is closed with
// the test.
func (n *Network) Node(t testing.TB, s Settings) *host.Host {
	t.Helper()
	settings := host.Settings{Key: Key(s.Seed)}
	if s.Names != nil {
		settings.Resolver = s.Names
	}
	if s.Log {
		settings.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	h, err := host.New(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if _, err := h.Acquire(t.Context(), n.Plan(t, s.Config)); err != nil {
		t.Fatal(err)
	}
	return h
}

// Plan loads a configuration and adds the network to it.
func (n *Network) Plan(t testing.TB, config string) *host.Plan {
	t.Helper()
	var c host.Config
	if config != "" {
		d := json.NewDecoder(strings.NewReader(config))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			t.Fatalf("%s: %v", config, err)
		}
	}
	if c.Transports == nil {
		c.Transports = core.Map[core.Transport]{}
	}
	if c.Listen == nil {
		c.Listen = []string{}
	}
	if c.Storage == nil {
		c.Storage = core.One[core.Storage]("null")
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	plan, err := c.Plan(ctx)
	if err != nil {
		t.Fatal(err)
	}
	plan.Transports = append(plan.Transports, core.Loaded[core.Transport]{Name: "memory", Module: n})
	plan.Listen = append(plan.Listen, ma.StringCast("/memory/0"))
	return plan
}

// Nodes starts count nodes with the same configuration on one network, with the
// seeds 1 to count.
func (n *Network) Nodes(t testing.TB, count int, config string) []*host.Host {
	t.Helper()
	nodes := make([]*host.Host, count)
	for i := range nodes {
		nodes[i] = n.Node(t, Settings{Seed: uint64(i + 1), Config: config})
	}
	return nodes
}

// Info is where a node can be reached.
func Info(h *host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

// Connect connects a to b and waits until a knows what b says of itself. That b
// knows the same of a may take a moment longer.
func Connect(t testing.TB, a, b *host.Host) core.Conn {
	t.Helper()
	c, err := a.Connect(t.Context(), Info(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WaitIdentified(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

var _ core.RawTransport = (*Network)(nil)
