// SPDX-License-Identifier: Apache-2.0 OR MIT

package evil_test

import (
	"context"
	"io"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/internal/evil"
	"github.com/xnode-p2p/xnode/core/memnet"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
	_ "github.com/xnode-p2p/xnode/modules/transport/tcp"
)

type nodeHost = host.Host

const echoID = "/echo/1.0.0"

func echo(s core.Stream) error {
	_, err := io.Copy(s, s)
	return err
}

// settler starts nodes on an Internet.
type settler struct {
	*evil.Internet
	t    testing.TB
	seed uint64
}

func newSettler(t testing.TB) *settler { return &settler{Internet: evil.NewInternet(), t: t} }

// node starts a node at an IP address; it listens on port 4001.
func (s *settler) node(ip, config string) *host.Host {
	s.t.Helper()
	s.seed++
	h, err := host.New(host.Settings{Key: hosttest.Key(s.seed)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := h.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
	})
	plan := hosttest.NewNetwork(memnet.Options{}).Plan(s.t, config)
	plan.Transports = []core.Loaded[core.Transport]{{Name: "tcp", Module: s.At(ip)}}
	plan.Listen = []ma.Multiaddr{ma.StringCast("/ip4/" + ip + "/tcp/4001")}
	if _, err := h.Acquire(s.t.Context(), plan); err != nil {
		s.t.Fatal(err)
	}
	return h
}

// pair starts a victim and its canary, and returns the victim as it is seen from
// an attacker at 9.9.9.9.
func (s *settler) pair(config string) evil.Victim {
	s.t.Helper()
	v, canary := s.node("8.8.8.8", config), s.node("7.7.7.7", "")
	hosttest.Connect(s.t, canary, v)
	return s.Victim(s.t, v, canary, "9.9.9.9")
}

// overMemory starts a victim and its canary on an in-memory network.
func overMemory(t testing.TB, config string) evil.Victim {
	t.Helper()
	network := hosttest.NewNetwork(memnet.Options{})
	v := network.Node(t, hosttest.Settings{Seed: 1, Config: config})
	canary := network.Node(t, hosttest.Settings{Seed: 2})
	hosttest.Connect(t, canary, v)
	return evil.Victim{Node: v, Canary: canary, Dial: func(ctx context.Context) (manet.Conn, error) {
		return network.Dial(ctx, v.ListenAddrs()[0])
	}}
}

// overTCP starts a victim and its canary on loopback.
func overTCP(t testing.TB) evil.Victim {
	t.Helper()
	network := hosttest.NewNetwork(memnet.Options{})
	v := network.Node(t, hosttest.Settings{Seed: 1, Config: `{"transports": {"tcp": {}}, "listen": ["/ip4/127.0.0.1/tcp/0"]}`})
	canary := network.Node(t, hosttest.Settings{Seed: 2, Config: `{"transports": {"tcp": {}}}`})
	hosttest.Connect(t, canary, v)
	return evil.Victim{Node: v, Canary: canary, Dial: func(ctx context.Context) (manet.Conn, error) {
		return new(manet.Dialer).DialContext(ctx, v.ListenAddrs()[0])
	}}
}
