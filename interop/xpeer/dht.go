// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/record/ipns"
)

// dhtFlags are those of every command with a DHT.
type dhtFlags struct {
	mode   string // server, client, or empty for none
	prefix string
	// serves has the node answer over HTTP what others cannot ask the DHT
	// themselves; asks is the URL of a server to ask instead of a DHT.
	serves bool
	asks   string
}

// localDHT is the prefix of the DHT that runs beside the public one, for peers
// on local networks.
const localDHT = "/ipfs/lan"

func (f *dhtFlags) define(flags *flag.FlagSet) {
	flags.StringVar(&f.prefix, "dht-prefix", "/ipfs", "what stands before /kad/1.0.0 in the protocol of the DHT")
}

func (f *dhtFlags) check() error {
	switch {
	case f.mode != "" && f.mode != "server" && f.mode != "client":
		return usagef("--dht %q: want server or client", f.mode)
	case f.mode != "" && !inBuild[core.Routing]("kad"):
		return absent("--dht")
	case f.mode != "" && f.asks != "":
		return usagef("--delegated: goes with no DHT")
	case (f.serves || f.asks != "") && !inBuild[core.Routing]("delegated"):
		return absent("--delegated")
	}
	return nil
}

// routers are the modules that route, with their configurations.
func (f *dhtFlags) routers() (map[string]json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	var err error
	if f.mode != "" {
		all["kad"], err = f.config()
	}
	if f.serves {
		// Nobody asks too often here.
		all["delegatedserver"] = json.RawMessage(`{"listen": ["/ip4/127.0.0.1/tcp/0"], "rate": 1000000}`)
	}
	if f.asks != "" && err == nil {
		all["delegated"], err = json.Marshal(map[string]any{"endpoints": []string{f.asks}})
	}
	return all, err
}

// config is that of the module: of a private network that happens to have the
// protocol that is asked for, for all of it is on loopback addresses. Only the
// DHT of local networks is there as the module makes it, beside the public one.
func (f *dhtFlags) config() (json.RawMessage, error) {
	// No peer asks too often here.
	config := map[string]any{"mode": f.mode, "requests": 1_000_000, "announcements": 1_000_000}
	if f.prefix != localDHT {
		config["network"], config["protocol"] = "interop", f.prefix+"/kad/1.0.0"
		config["open_namespaces"] = []string{"example"} // that all interop peers agree on
	}
	return json.Marshal(config)
}

// dht is what a node with a DHT does with it.
type dht struct {
	core.Routers
	node   *node
	tables interface{ Stats() []core.DHTStats }
}

// dht returns the node's DHT; nil if it has none.
func (n *node) dht(f dhtFlags) *dht {
	if f.mode == "" && f.asks == "" {
		return nil
	}
	d := &dht{Routers: core.Routers{Of: n}, node: n}
	d.tables, _ = core.Find[interface{ Stats() []core.DHTStats }](n)
	return d
}

// settle returns once a routing table holds a peer, if there is one.
func (d *dht) settle(ctx context.Context) error {
	if d.tables == nil {
		return nil
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !slices.ContainsFunc(d.tables.Stats(), func(s core.DHTStats) bool { return s.Peers > 0 }) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the routing table stays empty: %w", context.Cause(ctx))
		}
	}
	return nil
}

func dhtCommand(flags *flag.FlagSet) body {
	f := dhtFlags{mode: "client"}
	f.define(flags)
	return func(ctx context.Context, in *invocation) error {
		if len(in.args) < 2 {
			return usagef("want an address and one of %s", dhtUsage)
		}
		words := in.args[1:]
		if err := errors.Join(f.check(), checkDHT(words)); err != nil {
			return err
		}
		target, err := parseTarget(in.args[0])
		if err != nil {
			return err
		}
		b, err := in.clientBlueprint(target)
		if err != nil {
			return err
		}
		b.dht = f
		// Whoever provides something must be reachable.
		if b.listen, err = listenAddrs(b.transports, "127.0.0.1", 0); err != nil {
			return err
		}
		n, err := b.start(ctx)
		if err != nil {
			return err
		}
		defer n.Close()
		d := n.dht(f)
		if _, err := n.Connect(ctx, target); err != nil {
			return err
		}
		answer, err := d.do(ctx, words)
		if err != nil {
			return err
		}
		in.out.emit(answer)
		return nil
	}
}

const dhtUsage = "find-peer ID, put KEY VALUE, get KEY, put-pk, get-pk ID, put-name TEXT, get-name ID, provide TEXT, find-providers TEXT"

// checkDHT tells whether words are one operation.
func checkDHT(words []string) error {
	arguments := map[string]int{"find-peer": 1, "put": 2, "get": 1, "put-pk": 0, "get-pk": 1, "put-name": 1, "get-name": 1, "provide": 1, "find-providers": 1}
	if want, ok := arguments[words[0]]; !ok || len(words)-1 != want {
		return usagef("dht %s: want one of %s", strings.Join(words, " "), dhtUsage)
	}
	return nil
}

type (
	done struct {
		OK bool `json:"ok"`
	}
	value struct {
		Value string `json:"value"`
	}
	named struct {
		Peer peer.ID `json:"peer"`
	}
	found struct {
		Peer  peer.ID  `json:"peer"`
		Addrs []string `json:"addrs"`
	}
	provided struct {
		CID string `json:"cid"`
	}
	providers struct {
		Providers []found `json:"providers"`
	}
)

// do runs one operation, once there is somebody to ask, and returns its answer.
func (d *dht) do(ctx context.Context, words []string) (any, error) {
	if err := checkDHT(words); err != nil {
		return nil, err
	}
	if err := d.settle(ctx); err != nil {
		return nil, err
	}
	switch args := words[1:]; words[0] {
	case "find-peer":
		id, err := peer.Decode(args[0])
		if err != nil {
			return nil, usagef("%s: %w", args[0], err)
		}
		info, err := d.FindPeer(ctx, id)
		return foundOf(info), err
	case "put":
		return done{true}, d.PutValue(ctx, args[0], []byte(args[1]))
	case "get":
		raw, err := d.GetValue(ctx, args[0])
		return value{string(raw)}, err
	case "put-pk":
		id := d.node.ID()
		return named{id}, d.PutValue(ctx, "/pk/"+string(id), peer.MarshalPublicKey(d.node.PublicKey()))
	case "get-pk":
		return d.publicKey(ctx, args[0])
	case "put-name":
		return d.putName(ctx, args[0])
	case "get-name":
		return d.name(ctx, args[0])
	case "provide":
		key, err := contentID(args[0])
		if err != nil {
			return nil, err
		}
		return provided{key.String()}, d.Provide(ctx, key.Hash())
	default: // find-providers
		return d.findProviders(ctx, args[0])
	}
}

func (d *dht) publicKey(ctx context.Context, text string) (any, error) {
	id, err := peer.Decode(text)
	if err != nil {
		return nil, usagef("%s: %w", text, err)
	}
	raw, err := d.GetValue(ctx, "/pk/"+string(id))
	if err != nil {
		return nil, err
	}
	key, err := peer.UnmarshalPublicKey(raw)
	if err != nil {
		return nil, err
	}
	return named{peer.FromPublicKey(key)}, nil
}

// nameLifetime is how long the records of IPNS that are put last.
const nameLifetime = 24 * time.Hour

// putName publishes that this node's name stands for a text.
func (d *dht) putName(ctx context.Context, text string) (any, error) {
	key, err := contentID(text)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	record, err := ipns.Seal(d.node, ipns.Record{
		Value: []byte("/ipfs/" + key.String()), Validity: now.Add(nameLifetime), Sequence: uint64(now.UnixNano()), TTL: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	id := d.node.ID()
	return named{id}, d.PutValue(ctx, "/ipns/"+string(id), record)
}

// name finds out what the name of a peer stands for.
func (d *dht) name(ctx context.Context, text string) (any, error) {
	id, err := peer.Decode(text)
	if err != nil {
		return nil, usagef("%s: %w", text, err)
	}
	raw, err := d.GetValue(ctx, "/ipns/"+string(id))
	if err != nil {
		return nil, err
	}
	record, err := ipns.Open(id, raw)
	if err != nil {
		return nil, err
	}
	return value{string(record.Value)}, nil
}

func (d *dht) findProviders(ctx context.Context, text string) (any, error) {
	key, err := contentID(text)
	if err != nil {
		return nil, err
	}
	answer := providers{Providers: []found{}}
	for info, err := range d.FindProviders(ctx, key.Hash(), 20) {
		if err != nil {
			return nil, err
		}
		answer.Providers = append(answer.Providers, foundOf(info))
	}
	if len(answer.Providers) == 0 {
		return nil, core.ErrNotFound
	}
	return answer, nil
}

func foundOf(info peer.AddrInfo) found {
	f := found{Peer: info.ID, Addrs: []string{}}
	for _, a := range info.Addrs {
		f.Addrs = append(f.Addrs, a.String())
	}
	slices.Sort(f.Addrs)
	return f
}

// contentID is the CIDv1 of a text as raw bytes.
func contentID(text string) (cid.Cid, error) {
	sum := sha256.Sum256([]byte(text))
	hash, err := multihash.Encode(sum[:], multihash.SHA2_256)
	return cid.NewCidV1(cid.Raw, hash), err
}
