// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/record"
)

// through says how a look-up is made without a running node: by a node that lives
// for the command only, and is a client of the DHT that some peers are servers of.
type through struct {
	peers   []string
	network string
}

func (t *through) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&t.peers, "via", nil, "addresses of servers of the DHT to ask, without a running node")
	cmd.Flags().StringVar(&t.network, "network", "", "with --via: name of the private network that they are of; its records are not checked")
	cmd.MarkFlagsMutuallyExclusive("via", "admin")
}

// services loads a DHT, and the storage that it wants, which is its memory.
func (t through) services(key string) func(core.Loader) ([]core.Loaded[core.Service], error) {
	return func(l core.Loader) ([]core.Loaded[core.Service], error) {
		config := map[string]any{"mode": "client"}
		if t.network != "" {
			config["network"] = t.network
			if namespace, err := record.Namespace(key); err == nil && !slices.Contains([]string{"pk", "ipns"}, namespace) {
				config["open_namespaces"] = []string{namespace}
			}
		}
		text, err := json.Marshal(config)
		if err != nil {
			return nil, err
		}
		stores, err := core.Map[core.Storage]{"memory": json.RawMessage("{}")}.Load(l)
		if err != nil {
			return nil, fmt.Errorf("--via: %w", err)
		}
		routers, err := core.Map[core.Routing]{"kad": text}.Load(l)
		if err != nil {
			return nil, fmt.Errorf("--via: %w", err)
		}
		return []core.Loaded[core.Service]{
			{Name: stores[0].Name, Module: stores[0].Module}, {Name: routers[0].Name, Module: routers[0].Module},
		}, nil
	}
}

// runAlone looks something up without a running node.
func (l *lookup) runAlone(ctx context.Context, tell func(node.Found) error) error {
	if l.request.Keep || l.request.Stop {
		return errors.New("--keep and --stop want a running node: leave --via out")
	}
	h, end, err := node.Ephemeral(ctx, l.timeout*9/10, l.through.services(l.request.Key))
	if err != nil {
		return err
	}
	defer end()
	if err := l.through.join(ctx, h); err != nil {
		return err
	}
	var mu sync.Mutex // what is found, and steps, may come at the same time
	var failed error
	emit := func(v any) bool {
		mu.Lock()
		defer mu.Unlock()
		if f, ok := v.(node.Found); ok && failed == nil {
			failed = tell(f)
		}
		return failed == nil
	}
	if l.request.Trace {
		ctx = core.TraceLookup(ctx, func(s core.LookupStep) { emit(node.FoundStep(s)) })
	}
	err = admin.Lookups()[l.name](ctx, h, l.request, emit)
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(failed, err)
}

// join connects to the peers, and returns when one of them is in a routing table.
func (t through) join(ctx context.Context, h *host.Host) error {
	var errs []error
	for _, text := range t.peers {
		p, err := node.Target(ctx, text, net.DefaultResolver)
		if err == nil {
			_, err = h.Connect(core.AllowLimited(ctx), p)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == len(t.peers) {
		return errors.Join(errs...)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 { // ten seconds: whoever is no server of this DHT never is
		for _, dht := range core.FindAll[core.DHT](h) {
			if slices.ContainsFunc(dht.Stats(), func(s core.DHTStats) bool { return s.Peers > 0 }) {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return errors.New("--via: no server of the DHT; of a private network name it with --network")
}
