// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package rendezvous finds peers at rendezvous points, /rendezvous/1.0.0,
// https://github.com/libp2p/specs/blob/master/rendezvous/README.md, and makes a
// node such a point.
//
//	"discovery": {"rendezvous": {"points": ["/ip4/192.0.2.1/tcp/4001/p2p/12D3…"], "advertise": ["chat"], "find": ["chat"]}}
//	"discovery": {"rendezvous": {"server": {}}}
//
// Those who register at a point under the same namespace find each other. A
// registration is a record that the peer has signed; a point keeps it in the
// node's storage. Other modules can advertise and find through the role
// [core.Meeting]. py-libp2p, up to 0.8.1, has no signed records: points and nodes
// that are to meet it say so with "unsigned": true.
package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/discovery/internal/pool"
)

func init() { core.Register(new(Rendezvous), core.Beta) }

// ID is the protocol's ID.
const ID = "/rendezvous/1.0.0"

const (
	// maxFound bounds the peers that are remembered.
	maxFound = 1000
	// defaultConnect is how many of them are connected.
	defaultConnect = 16
	// defaultInterval is the time between two searches.
	defaultInterval = 2 * time.Minute
)

// Rendezvous is the xnode.discovery.rendezvous module.
type Rendezvous struct {
	// Server makes the node a rendezvous point. Default: it is none.
	Server *Server `json:"server,omitempty"`
	// Points are the rendezvous points to use: addresses that end in /p2p/ID.
	// Placeholders are expanded. Default: none.
	Points []string `json:"points,omitempty"`
	// Advertised are the namespaces under which the node registers at the points,
	// again and again as long as it runs. Default: none.
	Advertised []string `json:"advertise,omitempty"`
	// TTL is how long a registration is to last if the node goes without a
	// word; points allow between two and 72 hours, as a rule. Default: 2h.
	TTL core.Duration `json:"ttl,omitempty"`
	// Find are the namespaces under which the node looks for peers. Default: none.
	Find []string `json:"find,omitempty"`
	// Interval is the time between two searches. Default: 2m.
	Interval core.Duration `json:"interval,omitempty"`
	// Connect is how many of the peers that it finds the node connects to. Zero
	// means none: they are only found. Default: 16.
	Connect *int `json:"connect,omitempty"`
	// LegacyRecords signs registrations as rust-libp2p does by default, for
	// namespaces that its nodes search: they read no others. A point that
	// refuses the usual records gets legacy ones without it. Default: false.
	LegacyRecords bool `json:"legacy_records,omitempty"`
	// Unsigned uses points of py-libp2p, too, which have no signed records:
	// registrations that a point refuses are sent to it without a signature, and
	// results without one are believed, so that a point can tell anything of
	// anybody; who is there, the handshake proves. Default: false.
	Unsigned bool `json:"unsigned,omitempty"`

	log    *slog.Logger
	points []peer.AddrInfo

	node     core.Node
	member   *pool.Member
	clients  []*client
	releases []func() error // of what is shared with a successor
	remove   func()
	quiet    func() // ends the subscription
	stop     context.CancelFunc
	wg       sync.WaitGroup
}

// CaddyModule implements [caddy.Module].
func (*Rendezvous) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.discovery.rendezvous", New: func() caddy.Module { return new(Rendezvous) }}
}

// Provision implements [caddy.Provisioner].
func (r *Rendezvous) Provision(ctx caddy.Context) error {
	r.log = core.Logger(ctx)
	if r.TTL == 0 {
		r.TTL = core.Duration(defaultTTL)
	}
	if r.Interval == 0 {
		r.Interval = core.Duration(defaultInterval)
	}
	if r.Connect == nil {
		r.Connect = new(defaultConnect)
	}
	if r.Server != nil {
		r.Server.provision()
	}
	var errs []error
	for i, text := range r.Points {
		p, err := parsePoint(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("points/%d: %w", i, err))
			continue
		}
		if at := slices.IndexFunc(r.points, func(o peer.AddrInfo) bool { return o.ID == p.ID }); at >= 0 {
			r.points[at].Addrs = append(r.points[at].Addrs, p.Addrs...) // one point, several addresses
			continue
		}
		r.points = append(r.points, p)
	}
	return errors.Join(errs...)
}

func parsePoint(text string) (peer.AddrInfo, error) {
	text, err := core.Expand(text)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	p, err := peer.ParseAddrInfo(text)
	if err == nil && len(p.Addrs) == 0 {
		err = fmt.Errorf("%q does not say where the point is; write its address before /p2p", text)
	}
	return p, err
}

// Validate implements [caddy.Validator].
func (r *Rendezvous) Validate() error {
	switch {
	case r.Server == nil && len(r.points) == 0:
		return errors.New(`neither a point nor one to use: add "points", or "server": {}`)
	case len(r.points) == 0 && len(r.Advertised)+len(r.Find) > 0:
		return errors.New("points: there are none to advertise or find at; name one")
	case time.Duration(r.TTL) < time.Minute || time.Duration(r.TTL) > longestTTL:
		return fmt.Errorf("ttl: %v is not between a minute and %v", time.Duration(r.TTL), longestTTL)
	case time.Duration(r.Interval) < time.Second:
		return fmt.Errorf("interval: %v is too short; want a second at least", time.Duration(r.Interval))
	case *r.Connect < 0 || *r.Connect > maxFound:
		return fmt.Errorf("connect: %d is not between 0 and the %d peers that are remembered", *r.Connect, maxFound)
	}
	for key, list := range map[string][]string{"advertise": r.Advertised, "find": r.Find} {
		for i, namespace := range list {
			if no := checkNamespace(&namespace); no != nil {
				return fmt.Errorf("%s/%d: %s", key, i, no.text)
			}
			if slices.Contains(list[:i], namespace) {
				return fmt.Errorf("%s/%d: %q is listed twice; remove one", key, i, namespace)
			}
		}
	}
	if r.Server != nil {
		if err := r.Server.validate(); err != nil {
			return fmt.Errorf("server/%w", err)
		}
	}
	return nil
}

// Start implements [core.Service].
func (r *Rendezvous) Start(_ context.Context, n core.Node) error {
	member, err := pool.Join(n, pool.Source{Name: "rendezvous", Most: maxFound, Connect: *r.Connect, Mutual: true}, r.log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.node, r.member, r.stop = n, member, cancel
	if r.Server != nil {
		registry, release, err := openShared(n, *r.Server)
		if err != nil {
			return err
		}
		r.releases = append(r.releases, release)
		r.remove = n.Handle(ID, (&point{registry, n}).serve, core.HandleAtMost(maxStreams))
	}
	for _, p := range r.points {
		if p.ID == n.ID() {
			r.log.Info("the node itself is one of its rendezvous points, and does not use itself")
			continue
		}
		c := newClient(n, p, r.LegacyRecords, r.Unsigned)
		r.clients = append(r.clients, c)
		t := &tasks{module: r, client: c, changed: make(chan struct{}, 1)}
		for _, namespace := range r.Advertised {
			s, release, err := standing(n, c, namespace)
			if err != nil {
				return err
			}
			r.releases = append(r.releases, release)
			t.list = append(t.list, &task{namespace: namespace, registration: s})
		}
		for _, namespace := range r.Find {
			t.list = append(t.list, &task{namespace: namespace})
		}
		c.changed = t.changed
		r.wg.Go(func() { t.run(ctx) })
	}
	r.quiet = core.On(n, func(core.LocalAddrsChanged) {
		for _, c := range r.clients {
			select {
			case c.changed <- struct{}{}:
			default:
			}
		}
	})
	return nil
}

// Close implements [core.Service]. It takes back what it has registered, unless
// a successor registers the same.
func (r *Rendezvous) Close() error {
	if r.member == nil {
		return nil
	}
	if r.quiet != nil {
		r.quiet()
	}
	r.stop()
	r.wg.Wait()
	if r.remove != nil {
		r.remove()
	}
	var errs []error
	for _, release := range r.releases {
		errs = append(errs, release())
	}
	return errors.Join(append(errs, r.member.Leave())...)
}

// Discovered implements [core.PeerDiscovery].
func (r *Rendezvous) Discovered() []core.PeerDiscovered {
	if r.member == nil {
		return nil
	}
	return r.member.Discovered()
}

var (
	_ core.Discoverer    = (*Rendezvous)(nil)
	_ core.Meeting       = (*Rendezvous)(nil)
	_ core.PeerDiscovery = (*Rendezvous)(nil)
	_ caddy.Provisioner  = (*Rendezvous)(nil)
	_ caddy.Validator    = (*Rendezvous)(nil)
)
