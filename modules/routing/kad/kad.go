// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package kad is the Kademlia DHT: it finds peers, who has content, and
// records, and helps others to find them: /ipfs/kad/1.0.0.
//
// Spec: https://github.com/libp2p/specs/blob/master/kad-dht/README.md,
// https://github.com/ipfs/specs/blob/main/src/routing/kad-dht.md
//
//	"routing": {"kad": {}}
//	"routing": {"kad": {"network": "example", "open_namespaces": ["example"]}}
//
// The first is a part of the public DHT, and of one more on the local network
// (/ipfs/lan/kad/1.0.0); the second is one of a private network. The module keeps
// records in the storage module of the node, and does not connect to anybody
// unasked: discovery modules do, and it takes who it is connected to.
package kad

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/modules/routing/internal/query"
)

func init() { core.Register(new(Kad), core.Beta) }

// Kad is the xnode.routing.kad module.
type Kad struct {
	// Network is the name of a private network. It gives the default of
	// prefix, "/" and the name, and of mode, "server", and lets the DHT use
	// addresses of every sort. Letters, digits, dots, dashes and underscores.
	// Default: none, the public DHT.
	Network string `json:"network,omitempty"`
	// Prefix is what the protocol's ID begins with, before /kad/1.0.0.
	// Default: "/ipfs", the public DHT.
	Prefix string `json:"prefix,omitempty"`
	// Protocol is the whole ID of the protocol, for networks that have another
	// one than a prefix and /kad/1.0.0.
	// Default: prefix and "/kad/1.0.0".
	Protocol string `json:"protocol,omitempty"`
	// Mode says whether the node answers others: "client", "server", or "auto":
	// server as long as the node can be reached from the internet. The DHT of
	// the local network is a server unless this is "client".
	// Default: "auto".
	Mode string `json:"mode,omitempty" xnode:"one_of=auto|client|server"`
	// Lan says whether there is a second DHT of those on the local network:
	// "auto", if the first is not that of a private network or of a protocol
	// given in full, or "off".
	// Default: "auto".
	Lan string `json:"lan,omitempty" xnode:"one_of=auto|off"`

	// Records are the modules that check records, each those of one namespace.
	// Default: {"pk": {}, "ipns": {}}, as far as they are in the binary.
	Records core.Map[core.RecordValidator] `json:"records,omitempty"`
	// OpenNamespaces are namespaces of records whose values are not checked.
	// The public DHT cannot have any.
	// Default: none.
	OpenNamespaces []string `json:"open_namespaces,omitempty"`

	// BucketSize is how many peers a record is stored at, an answer names, and
	// a bucket of the routing table has; 1 to 100. All nodes of a network
	// have the same.
	// Default: 20.
	BucketSize int `json:"bucket_size,omitempty"`
	// Concurrency is how many peers a look-up asks at a time; 1 to 100. The
	// literature calls it alpha.
	// Default: 10.
	Concurrency int `json:"concurrency,omitempty"`
	// Resiliency is how many of the peers closest to the target must have
	// answered before a look-up ends; 1 to bucket_size. The literature calls it
	// beta.
	// Default: 3.
	Resiliency int `json:"resiliency,omitempty"`
	// DisjointPaths is how many ways to the target, which share no peer, a
	// look-up goes; 1 to 8. More withstand more lies, and cost little time.
	// Default: 4.
	DisjointPaths int `json:"disjoint_paths,omitempty"`
	// Quorum is how many peers must have sent a record before the best of them
	// is taken for the best there is. Zero asks all that a look-up comes by.
	// Default: 16.
	Quorum *int `json:"quorum,omitempty"`
	// ProvideMode says when this node's own announcements of content end:
	// "classic", when the closest peers have been found and told, or
	// "optimistic", when enough have been told of those that are close enough,
	// for a network of the estimated size.
	// Default: "classic".
	ProvideMode string `json:"provide,omitempty" xnode:"one_of=classic|optimistic"`
	// Accelerated, if present, keeps a map of all of the network, and answers
	// look-ups from it. It is for nodes that provide a lot.
	// Default: none.
	Accelerated *Accelerated `json:"accelerated,omitempty"`

	// RequestTimeout bounds one request of another peer, dial included.
	// Default: "10s".
	RequestTimeout core.Duration `json:"request_timeout,omitempty"`
	// QueryTimeout bounds one look-up.
	// Default: "60s".
	QueryTimeout core.Duration `json:"query_timeout,omitempty"`
	// Refresh is how often the routing table is looked after.
	// Default: "10m".
	Refresh core.Duration `json:"refresh,omitempty"`
	// Republish is how often content that is to be kept provided is announced
	// anew, and records that are to be kept are stored anew, as whoever has made
	// them has to see to: others forget both after their validity.
	// Default: "22h".
	Republish core.Duration `json:"republish,omitempty"`
	// Validity is how long records and providers that others sent are kept.
	// Default: "48h".
	Validity core.Duration `json:"validity,omitempty"`
	// ProviderAddrs is how long addresses of providers are kept.
	// Default: "24h".
	ProviderAddrs core.Duration `json:"provider_addrs,omitempty"`

	// Requests is how many requests one peer may send in a second; they are
	// answered no faster. Ten times as many may come at once.
	// Default: 100.
	Requests int `json:"requests,omitempty"`
	// Announcements is how many announcements of content one peer may send in
	// a second; they are taken no faster. A hundred times as many may come at
	// once.
	// Default: 10.
	Announcements int `json:"announcements,omitempty"`
	// Streams is how many streams one peer may have open.
	// Default: 16.
	Streams int `json:"streams,omitempty"`
	// MaxProviders bounds what is kept of providers that others sent; the
	// oldest make room.
	// Default: "128MiB".
	MaxProviders core.Size `json:"max_providers,omitempty"`
	// MaxRecords bounds what is kept of records that others sent; the oldest
	// make room.
	// Default: "64MiB".
	MaxRecords core.Size `json:"max_records,omitempty"`

	log        *slog.Logger
	validators record.Validators

	mu   sync.Mutex
	dhts []*dht // while it runs: that of the configuration and, unless there is none, that of the local network
}

// Accelerated are the settings of the accelerated client.
type Accelerated struct {
	// Interval is how often the map is drawn anew.
	// Default: "1h".
	Interval core.Duration `json:"interval,omitempty"`
}

// The values of modes.
const (
	modeAuto   = "auto"
	modeClient = "client"
	modeServer = "server"

	lanAuto = "auto"
	lanOff  = "off"

	provideClassic    = "classic"
	provideOptimistic = "optimistic"
)

const (
	publicPrefix = "/ipfs"
	suffix       = "/kad/1.0.0"
	lanInfix     = "/lan"
)

// CaddyModule implements [caddy.Module].
func (*Kad) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.routing.kad", New: func() caddy.Module { return new(Kad) }}
}

// Provision implements [caddy.Provisioner].
func (k *Kad) Provision(ctx caddy.Context) error {
	k.log = core.Logger(ctx)
	k.setDefaults()
	loaded, err := k.Records.Load(ctx)
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	k.validators = make(record.Validators)
	for _, l := range loaded {
		k.validators[l.Name] = l.Module
	}
	for _, namespace := range k.OpenNamespaces {
		if k.validators[namespace] != nil {
			return fmt.Errorf("open_namespaces: %q: its records are checked by the module in records; name it in one place", namespace)
		}
		if ns, err := record.Namespace("/" + namespace + "/name"); err != nil || ns != namespace {
			return fmt.Errorf("open_namespaces: %q: a namespace is text without slashes", namespace)
		}
		k.validators[namespace] = record.Any{}
	}
	return nil
}

func (k *Kad) setDefaults() {
	lan := k.Network == "" && k.Protocol == ""
	if k.Mode == "" {
		k.Mode = modeAuto
		if k.Network != "" {
			k.Mode = modeServer
		}
	}
	if k.Prefix == "" {
		k.Prefix = publicPrefix
		if k.Network != "" {
			k.Prefix = "/" + k.Network
		}
	}
	if k.Protocol == "" {
		k.Protocol = k.Prefix + suffix
	}
	switch {
	case !lan && (k.Lan == "" || k.Lan == lanAuto):
		k.Lan = lanOff
	case k.Lan == "":
		k.Lan = lanAuto
	}
	if k.Records == nil {
		k.Records = make(core.Map[core.RecordValidator])
		for _, name := range []string{"pk", "ipns"} {
			if _, err := caddy.GetModule(core.Namespace[core.RecordValidator]() + "." + name); err == nil {
				k.Records[name] = []byte("{}")
			}
		}
	}
	if k.Quorum == nil {
		quorum := 16
		k.Quorum = &quorum
	}
	if k.Accelerated != nil {
		setDefault(&k.Accelerated.Interval, core.Duration(time.Hour))
	}
	setDefault(&k.ProvideMode, provideClassic)
	setDefault(&k.BucketSize, 20)
	setDefault(&k.Concurrency, 10)
	setDefault(&k.Resiliency, min(3, k.BucketSize))
	setDefault(&k.DisjointPaths, 4)
	setDefault(&k.RequestTimeout, core.Duration(10*time.Second))
	setDefault(&k.QueryTimeout, core.Duration(time.Minute))
	setDefault(&k.Refresh, core.Duration(10*time.Minute))
	setDefault(&k.Republish, core.Duration(22*time.Hour))
	setDefault(&k.Validity, core.Duration(48*time.Hour))
	setDefault(&k.ProviderAddrs, core.Duration(24*time.Hour))
	setDefault(&k.Requests, 100)
	setDefault(&k.Announcements, 10)
	setDefault(&k.Streams, 16)
	setDefault(&k.MaxProviders, 128<<20)
	setDefault(&k.MaxRecords, 64<<20)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate implements [caddy.Validator].
func (k *Kad) Validate() error {
	if k.Network != "" && strings.Trim(k.Network, nameChars) != "" {
		return fmt.Errorf("network: %q: want letters, digits, dots, dashes and underscores", k.Network)
	}
	for _, f := range []struct{ name, value string }{{"prefix", k.Prefix}, {"protocol", k.Protocol}} {
		if !strings.HasPrefix(f.value, "/") || strings.HasSuffix(f.value, "/") || strings.ContainsAny(f.value, " \t\r\n") {
			return fmt.Errorf("%s: %q: want a path such as %q", f.name, f.value, "/example")
		}
	}
	if k.public() && len(k.OpenNamespaces) > 0 {
		return errors.New("open_namespaces: the public DHT takes no records that are not checked; set network to the name of yours")
	}
	for _, f := range []struct {
		name, value string
		want        []string
	}{
		{"mode", k.Mode, []string{modeAuto, modeClient, modeServer}},
		{"lan", k.Lan, []string{lanAuto, lanOff}},
		{"provide", k.ProvideMode, []string{provideClassic, provideOptimistic}},
	} {
		if !slices.Contains(f.want, f.value) {
			return fmt.Errorf("%s: %q: want one of %q", f.name, f.value, f.want)
		}
	}
	for _, f := range []struct {
		name            string
		value, min, max int
	}{
		{"bucket_size", k.BucketSize, 1, 100},
		{"concurrency", k.Concurrency, 1, 100},
		{"resiliency", k.Resiliency, 1, k.BucketSize},
		{"disjoint_paths", k.DisjointPaths, 1, query.MaxPaths},
		{"quorum", *k.Quorum, 0, 1000},
		{"requests", k.Requests, 1, 1_000_000},
		{"announcements", k.Announcements, 1, 1_000_000},
		{"streams", k.Streams, 1, 10_000},
	} {
		if f.value < f.min || f.value > f.max {
			return fmt.Errorf("%s: %d: want %d to %d", f.name, f.value, f.min, f.max)
		}
	}
	return k.validateTimes()
}

func (k *Kad) validateTimes() error {
	times := map[string]core.Duration{
		"request_timeout": k.RequestTimeout, "query_timeout": k.QueryTimeout, "refresh": k.Refresh,
		"republish": k.Republish, "validity": k.Validity, "provider_addrs": k.ProviderAddrs,
	}
	if k.Accelerated != nil {
		times["accelerated.interval"] = k.Accelerated.Interval
	}
	for _, name := range slices.Sorted(maps.Keys(times)) {
		if d := time.Duration(times[name]); d < 10*time.Millisecond || d > 1000*24*time.Hour {
			return fmt.Errorf("%s: %v: want 10ms to 1000 days", name, d)
		}
	}
	if k.MaxProviders < 0 || k.MaxRecords < 0 {
		return errors.New("max_providers, max_records: want sizes of 0 or more")
	}
	return nil
}

// nameChars are what a network's name consists of.
const nameChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// public tells whether the DHT is the public one. Many private networks have its
// protocol.
func (k *Kad) public() bool { return k.Network == "" && k.Protocol == publicPrefix+suffix }

// private tells whether the DHT is that of a private network.
func (k *Kad) private() bool { return k.Network != "" }

var _ core.Routing = (*Kad)(nil)
