// SPDX-License-Identifier: Apache-2.0 OR MIT

package standard_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/multiformats/go-multihash"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/modules/record/ipns"
	"github.com/xnode-p2p/xnode/modules/routing/delegatedserver"
)

// TestDelegatedRouting has a node that takes part in no DHT find, through one that
// does, what a third one in the DHT has and is.
func TestDelegatedRouting(t *testing.T) {
	network := hosttest.NewNetwork(memnet.Options{})
	const kad = `"kad": {"network": "test"}`
	gateway := network.Node(t, hosttest.Settings{Seed: 1, Config: `{"storage": {"module": "memory"},
		"routing": {` + kad + `, "delegatedserver": {"listen": ["/ip4/127.0.0.1/tcp/0"]}}}`})
	far := network.Node(t, hosttest.Settings{Seed: 2, Config: `{"storage": {"module": "memory"}, "routing": {` + kad + `}}`})
	server, ok := core.Find[*delegatedserver.Server](gateway)
	if !ok {
		t.Fatal("no server runs")
	}
	near := network.Node(t, hosttest.Settings{Seed: 3, Config: fmt.Sprintf(`{"storage": {"module": "memory"},
		"routing": {"delegated": {"endpoints": ["http://%s"]}}}`, server.Addrs()[0])})
	hosttest.Connect(t, far, gateway)
	hosttest.Connect(t, gateway, far)

	content, err := multihash.Sum([]byte("hello world"), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "provide", func(ctx context.Context) error { return core.Routers{Of: far}.Provide(ctx, content) })
	eventually(t, "find providers", func(ctx context.Context) error {
		for p, err := range (core.Routers{Of: near}).FindProviders(ctx, content, 0) {
			if err != nil || p.ID == far.ID() {
				return err
			}
		}
		return core.ErrNotFound
	})
	eventually(t, "find the peer", func(ctx context.Context) error {
		p, err := core.Routers{Of: near}.FindPeer(ctx, far.ID())
		if err == nil {
			_, err = near.Connect(ctx, p)
		}
		return err
	})
	eventually(t, "closest peers", func(ctx context.Context) error {
		list, err := core.Routers{Of: near}.ClosestPeers(ctx, far.ID().Bytes())
		if err == nil && list[0].ID != far.ID() {
			err = fmt.Errorf("the closest is %v", list[0].ID)
		}
		return err
	})
	key := "/ipns/" + string(near.ID())
	value := sealed(t, near, 1)
	eventually(t, "put", func(ctx context.Context) error { return core.Routers{Of: near}.PutValue(ctx, key, value) })
	for what, n := range map[string]core.Node{"near": near, "far": far} {
		eventually(t, "get, "+what, func(ctx context.Context) error {
			got, err := core.Routers{Of: n}.GetValue(ctx, key)
			if err == nil && string(got) != string(value) {
				err = fmt.Errorf("got %d bytes", len(got))
			}
			return err
		})
	}
}

func sealed(t *testing.T, h *host.Host, sequence uint64) []byte {
	t.Helper()
	b, err := ipns.Seal(h, ipns.Record{Value: []byte("/ipfs/bafkqaaa"), Validity: time.Now().Add(time.Hour), Sequence: sequence})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// eventually does something until it succeeds: nodes need a moment to find out
// who is of use to them.
func eventually(t *testing.T, what string, do func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := do(ctx)
		if err == nil {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}
