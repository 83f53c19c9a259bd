// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/exp/zapslog"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func init() { caddy.RegisterModule(new(App)) }

// hosts holds the running hosts by their peer IDs. A host belongs to its
// identity, not to a configuration: the next configuration with the same
// identity takes it over, with its connections.
var hosts = caddy.NewUsagePool()

// App is a node as an app of a Caddy configuration, with the ID xnode.
type App struct {
	Config

	loader *loader
	key    core.KeySource
	plan   *Plan
	ctx    caddy.Context

	peer  peer.ID
	host  atomic.Pointer[Host] // nil unless started
	lease *Lease
}

// CaddyModule implements [caddy.Module].
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode", New: func() caddy.Module { return new(App) }}
}

// UnmarshalJSON implements [json.Unmarshaler]: old keys are taken for those of now.
func (a *App) UnmarshalJSON(text []byte) error {
	notes, err := core.UnmarshalCurrent(text, &a.Config)
	for _, note := range notes {
		caddy.Log().Named("xnode").Warn(note)
	}
	return err
}

// KeysOfFields says that the keys are those of the fields, whatever else is taken.
func (*App) KeysOfFields() {}

// Provision implements [caddy.Provisioner]. It loads all modules, or finds
// them running with the same configuration. Nothing is started.
func (a *App) Provision(ctx caddy.Context) error {
	a.setDefaults()
	a.ctx = ctx
	a.loader = newLoader(ctx, string(a.Identity))
	key, err := a.Identity.Load(a.loader)
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	a.key = key.Module
	a.plan, err = a.Config.Plan(a.loader)
	return err
}

// Start implements [caddy.App]. It takes over the running host of the same
// identity, or makes one, and has it run this configuration.
func (a *App) Start() error {
	key, err := a.key.PrivateKey()
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	a.peer = peer.FromPublicKey(key.Public())
	v, loaded, err := hosts.LoadOrNew(a.peer, func() (caddy.Destructor, error) {
		logs := new(core.Logs)
		h, err := New(Settings{Key: key, Log: core.Logger(logs.WithLogs(a.ctx)), WatchNetwork: true})
		if err == nil {
			h.logs = logs
		}
		return h, err
	})
	if err != nil {
		return err
	}
	h := v.(*Host)
	if a.lease, err = h.Acquire(context.Background(), a.plan); err != nil {
		hosts.Delete(a.peer)
		if before, ok := Running(); ok && before != h && errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w, by the node of the identity before; choose other ports for the new identity, or restart", err)
		}
		return err
	}
	a.host.Store(h)
	a.redirectLogs()
	a.ctx.Slogger().Info("running", "peer", a.peer, "addrs", h.Addrs())
	if !loaded {
		a.warn()
	}
	return nil
}

// warn tells once which modules are not as far as they may be taken to be.
func (a *App) warn() {
	modules := make(map[core.Stability][]string)
	for key := range a.loader.held {
		if s := core.StabilityOf(key.id); s.Warns() {
			modules[s] = append(modules[s], key.id)
		}
	}
	var attrs []any
	for _, s := range slices.Sorted(maps.Keys(modules)) {
		slices.Sort(modules[s])
		attrs = append(attrs, string(s), modules[s])
	}
	if len(attrs) > 0 {
		a.ctx.Slogger().Warn("modules that may change or go; docs/COMPATIBILITY.md says how far", attrs...)
	}
}

// redirectLogs sends what the host and the carried modules log to the outputs
// of this configuration.
func (a *App) redirectLogs() {
	output := func(m caddy.Module) slog.Handler {
		id := string(m.CaddyModule().ID)
		return zapslog.NewHandler(a.ctx.Logger(m).Core(),
			zapslog.WithName(id), zapslog.AddStacktraceAt(slog.Level(127)))
	}
	a.host.Load().logs.Redirect(output)
	for _, c := range a.loader.held {
		c.logs.Redirect(output)
	}
}

// Stop implements [caddy.App]. What the next configuration does not want ends.
// If this one is given up in favour of the one before, logs go there again.
func (a *App) Stop() error {
	if a.host.Swap(nil) == nil {
		return nil
	}
	err := a.lease.Release()
	_, closed := hosts.Delete(a.peer)
	if running, ok := runningApp(); ok && running != a {
		running.redirectLogs()
	}
	if err == nil {
		err = closed
	}
	return err
}

// Cleanup implements [caddy.CleanerUpper]. An app that has started but was not
// stopped, because Caddy failed at something after the start, stops here.
func (a *App) Cleanup() error {
	err := a.Stop()
	if a.loader != nil {
		err = errors.Join(err, a.loader.release())
	}
	return err
}

// Host returns the host that runs this configuration; nil before Start.
func (a *App) Host() *Host { return a.host.Load() }

// Running returns the host of Caddy's active configuration.
func Running() (*Host, bool) {
	a, ok := runningApp()
	if !ok {
		return nil, false
	}
	h := a.host.Load()
	return h, h != nil
}

func runningApp() (*App, bool) {
	ctx := caddy.ActiveContext()
	v, err := ctx.AppIfConfigured("xnode")
	if err != nil {
		return nil, false
	}
	a, ok := v.(*App)
	return a, ok && a.host.Load() != nil
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
	_ caddy.Destructor   = (*Host)(nil)
)
