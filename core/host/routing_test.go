// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"context"
	"errors"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// directory is a module that knows where peers are.
type directory struct {
	core.PeerRouting
	peers map[peer.ID]peer.AddrInfo
}

func (*directory) Start(context.Context, core.Node) error { return nil }
func (*directory) Close() error                           { return nil }

func (d *directory) FindPeer(_ context.Context, p peer.ID) (peer.AddrInfo, error) {
	if info, ok := d.peers[p]; ok {
		return info, nil
	}
	return peer.AddrInfo{}, core.ErrNotFound
}

// A peer ID alone is looked up by the module that routes, as long as one runs.
func TestBarePeersAreLookedUp(t *testing.T) {
	network := hosttest.NewNetwork(memnet.Options{})
	nodes := network.Nodes(t, 3, `{"protocols": {"echo": {}}}`)
	dir := &directory{peers: map[peer.ID]peer.AddrInfo{nodes[1].ID(): hosttest.Info(nodes[1])}}
	bare := peer.AddrInfo{ID: nodes[1].ID()}
	if _, err := nodes[0].Connect(t.Context(), bare); !errors.Is(err, core.ErrNoAddrs) || errors.Is(err, core.ErrNotFound) {
		t.Errorf("without routing: %v", err)
	}
	plan := network.Plan(t, `{"protocols": {"echo": {}}}`)
	plan.Services = append(plan.Services, core.Loaded[core.Service]{Name: "directory", Module: dir})
	lease, err := nodes[0].Acquire(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	ctx, trace := core.TraceDial(t.Context())
	s, err := nodes[0].NewStream(ctx, bare.ID, "/echo/1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if r := trace.Record(); len(r.Attempts) != 1 || r.Attempts[0].Source != "routing" || len(r.Resolved) != 1 {
		t.Errorf("%+v", r)
	}
	other := peer.AddrInfo{ID: nodes[2].ID()}
	if _, err := nodes[0].Connect(t.Context(), other); !errors.Is(err, core.ErrNotFound) || !errors.Is(err, core.ErrNoAddrs) {
		t.Errorf("a peer that nobody knows: %v", err)
	}
	if err := lease.Release(); err != nil {
		t.Error(err)
	}
	if _, err := nodes[0].Connect(t.Context(), other); errors.Is(err, core.ErrNotFound) || errors.Is(err, core.ErrBackoff) {
		t.Errorf("without routing again: %v", err)
	}
}
