// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"context"
	"io"
	"testing"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/muxer/yamux"
	"github.com/xnode-p2p/xnode/modules/security/noise"
)

// network is a transport on an in-memory network.
type network struct{ *memnet.Network }

func (network) Match(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_MEMORY)
	return err == nil
}

func newHost(t *testing.T, net *memnet.Network, seed byte) *host.Host {
	t.Helper()
	h, err := host.New(host.Settings{Key: peer.Ed25519FromSeed([32]byte{seed})})
	if err != nil {
		t.Fatal(err)
	}
	y, n := new(yamux.Muxer), new(noise.Noise)
	if err := y.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	plan := &host.Plan{
		Listen:     []ma.Multiaddr{ma.StringCast("/memory/0")},
		Transports: []core.Loaded[core.Transport]{{Name: "memory", Module: network{net}}},
		Securities: []core.Loaded[core.Security]{{Name: "noise", Module: n}},
		Muxers:     []core.Loaded[core.Muxer]{{Name: "yamux", Module: y}},
	}
	if _, err := h.Acquire(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestEchoBetweenTwoHosts(t *testing.T) {
	net := memnet.New(memnet.Options{})
	a, b := newHost(t, net, 1), newHost(t, net, 2)
	remove := b.Handle("/echo/1.0.0", func(s core.Stream) error {
		_, err := io.Copy(s, s)
		return err
	})
	defer remove()
	ctx := context.Background()
	conn, err := a.Connect(ctx, peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", conn.Stat())
	if err := a.WaitIdentified(ctx, conn); err != nil {
		t.Fatal(err)
	}
	s, err := a.NewStream(ctx, b.ID(), "/echo/1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(s)
	if err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	s.Close()
}
