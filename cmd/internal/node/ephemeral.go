// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
)

// preferred are the securities and muxers that are offered first, if they are
// in the binary; the others follow by name.
var preferred = []string{"noise", "tls", "yamux"}

// never are modules that protect nothing, and those that keep out whoever is not
// of the same private network.
var never = []string{"plaintext", "pnet"}

// maxAttempt bounds the attempt at one address.
const maxAttempt = 15 * time.Second

// Ephemeral makes a node for one command: with a new identity, all transports,
// securities and muxers of the binary that need no configuration, the way through
// relays, no listeners, and what services load. A dial takes at most timeout.
func Ephemeral(ctx context.Context, timeout time.Duration, services ...func(core.Loader) ([]core.Loaded[core.Service], error)) (h *host.Host, end func(), err error) {
	base, err := caddy.ProvisionContext(&caddy.Config{Logging: silence()})
	if err != nil {
		return nil, nil, err
	}
	loader, cancel := caddy.NewContext(base)
	key, err := peer.GenerateKey(peer.Ed25519, nil)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	plan := &host.Plan{
		Transports: available[core.Transport](loader),
		Securities: available[core.Security](loader),
		Muxers:     available[core.Muxer](loader),
	}
	plan.Services = dialling(loader)
	for _, load := range services {
		loaded, err := load(loader)
		if err != nil {
			cancel()
			return nil, nil, err
		}
		plan.Services = append(plan.Services, loaded...)
	}
	plan.Dial.Timeout = core.Duration(timeout)
	plan.Dial.AttemptTimeout = core.Duration(min(timeout*9/10, maxAttempt))
	h, err = host.New(host.Settings{Key: key})
	if err == nil {
		_, err = h.Acquire(ctx, plan)
	}
	if err != nil {
		if h != nil {
			err = errors.Join(err, h.Close())
		}
		cancel()
		return nil, nil, err
	}
	return h, func() {
		_ = h.Close() // the command has its result
		cancel()
	}, nil
}

// silence keeps the logs quiet: the command tells what happens. To send them
// elsewhere would be logged.
func silence() *caddy.Logging {
	return &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{Level: "panic"}},
	}}
}

// available loads the modules of a kind that work without configuration.
func available[T any](l core.Loader) []core.Loaded[T] {
	var list []core.Loaded[T]
	for _, name := range candidates(core.Namespace[T]()) {
		loaded, err := core.Map[T]{name: json.RawMessage("{}")}.Load(l)
		if err == nil {
			list = append(list, loaded...)
		}
	}
	return list
}

// candidates are the names of the modules of a kind, in the order of preference.
func candidates(namespace string) []string {
	var list []string
	for _, info := range caddy.GetModules(namespace) {
		if name := info.ID.Name(); !slices.Contains(never, name) {
			list = append(list, name)
		}
	}
	slices.SortStableFunc(list, func(a, b string) int { return place(a) - place(b) })
	return list
}

// dialling loads the modules that help to be reached and are transports too, such as
// relay, if they work without configuration.
func dialling(l core.Loader) (list []core.Loaded[core.Service]) {
	for _, info := range caddy.GetModules(core.Namespace[core.NAT]()) {
		if _, ok := info.New().(core.Transport); !ok {
			continue
		}
		loaded, err := core.Map[core.NAT]{info.ID.Name(): json.RawMessage("{}")}.Load(l)
		if err == nil {
			list = append(list, core.Loaded[core.Service]{Name: loaded[0].Name, Module: loaded[0].Module})
		}
	}
	return list
}

// place is a module's place in the order of preference.
func place(name string) int {
	if i := slices.Index(preferred, name); i >= 0 {
		return i
	}
	return len(preferred)
}
