// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/routing"
	mh "github.com/multiformats/go-multihash"
)

// dhtFlags are those of every command with a DHT.
type dhtFlags struct {
	mode   string // server, client or empty for none
	prefix string
}

func (f *dhtFlags) define(flags *flag.FlagSet) {
	flags.StringVar(&f.prefix, "dht-prefix", "/ipfs", "what stands before /kad/1.0.0 in the protocol of the DHT")
}

func (f *dhtFlags) check() error {
	switch {
	case f.mode != "" && f.mode != "server" && f.mode != "client":
		return usagef("--dht %q: want server or client", f.mode)
	case !strings.HasPrefix(f.prefix, "/"):
		return usagef("--dht-prefix %q: want a leading slash", f.prefix)
	}
	return nil
}

// kad is a DHT on a node, nil for none.
type kad struct{ *dht.IpfsDHT }

// startDHT adds the DHT that the flags ask for. Its protocol is set as an override, since the library has
// its own namespaces only, /pk and /ipns, under the prefix /ipfs.
func (n *node) startDHT(f dhtFlags) (*kad, error) {
	if f.mode == "" {
		return nil, nil
	}
	mode := dht.ModeServer
	if f.mode == "client" {
		mode = dht.ModeClient
	}
	d, err := dht.New(n.Host,
		dht.Mode(mode),
		dht.ProtocolPrefix("/interop"),
		dht.V1ProtocolOverride(protocol.ID(f.prefix+"/kad/1.0.0")),
		dht.Validator(record.NamespacedValidator{
			"pk":      record.PublicKeyValidator{},
			"ipns":    ipns.Validator{KeyBook: n.Peerstore()},
			"example": anything{},
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("start dht: %w", err)
	}
	return &kad{IpfsDHT: d}, nil
}

// Close stops the DHT, if there is one.
func (k *kad) Close() error {
	if k == nil {
		return nil
	}
	return k.IpfsDHT.Close()
}

// anything takes every record of the namespace that all interop peers agree on.
type anything struct{}

// Validate implements [record.Validator].
func (anything) Validate(string, []byte) error { return nil }

// Select implements [record.Validator].
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }

// settle returns once the routing table holds a peer.
func (k *kad) settle(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for k.RoutingTable().Size() == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the routing table stays empty: %w", ctx.Err())
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
			return &usageError{err}
		}
		target, err := addrInfo(in.args[0])
		if err != nil {
			return err
		}
		p, err := in.clientPlan(target, full)
		if err != nil {
			return err
		}
		// Whoever provides something must be reachable.
		if p.listen, err = listenAddrs(p.kinds, "127.0.0.1", 0); err != nil {
			return err
		}
		n, err := p.start()
		if err != nil {
			return err
		}
		defer n.Close()
		k, err := n.startDHT(f)
		if err != nil {
			return err
		}
		defer k.Close()
		if _, err := n.dial(ctx, target); err != nil {
			return err
		}
		answer, err := k.do(ctx, words)
		if err != nil {
			return err
		}
		in.out.emit(answer)
		return nil
	}
}

const dhtUsage = "find-peer ID, put KEY VALUE, get KEY, put-pk, get-pk ID, provide TEXT, find-providers TEXT"

// checkDHT tells whether words are one operation.
func checkDHT(words []string) error {
	arguments := map[string]int{"find-peer": 1, "put": 2, "get": 1, "put-pk": 0, "get-pk": 1, "provide": 1, "find-providers": 1}
	want, ok := arguments[words[0]]
	if !ok || len(words)-1 != want {
		return usagef("dht %s: want one of %s", strings.Join(words, " "), dhtUsage)
	}
	return nil
}

type (
	done struct {
		OK bool `json:"ok"`
	}
	found struct {
		Peer  peer.ID  `json:"peer"`
		Addrs []string `json:"addrs"`
	}
	value struct {
		Value string `json:"value"`
	}
	named struct {
		Peer peer.ID `json:"peer"`
	}
	provided struct {
		CID string `json:"cid"`
	}
	providers struct {
		Providers []found `json:"providers"`
	}
)

// do runs one operation, once there is somebody to ask, and returns the answer.
func (k *kad) do(ctx context.Context, words []string) (any, error) {
	if err := checkDHT(words); err != nil {
		return nil, err
	}
	if err := k.settle(ctx); err != nil {
		return nil, err
	}
	argument := ""
	if len(words) > 1 {
		argument = words[1]
	}
	switch words[0] {
	case "find-peer":
		id, err := peer.Decode(argument)
		if err != nil {
			return nil, usagef("%s: %w", argument, err)
		}
		info, err := k.FindPeer(ctx, id)
		return foundOf(info), err
	case "put":
		return done{true}, k.PutValue(ctx, argument, []byte(words[2]))
	case "get":
		raw, err := k.GetValue(ctx, argument, dht.Quorum(1))
		return value{string(raw)}, err
	case "put-pk":
		own, err := crypto.MarshalPublicKey(k.Host().Peerstore().PubKey(k.PeerID()))
		if err != nil {
			return nil, err
		}
		return named{k.PeerID()}, k.PutValue(ctx, routing.KeyForPublicKey(k.PeerID()), own)
	case "get-pk":
		id, err := peer.Decode(argument)
		if err != nil {
			return nil, usagef("%s: %w", argument, err)
		}
		// Not GetPublicKey, which asks the peer itself too.
		raw, err := k.GetValue(ctx, routing.KeyForPublicKey(id), dht.Quorum(1))
		if err != nil {
			return nil, err
		}
		key, err := crypto.UnmarshalPublicKey(raw)
		if err != nil {
			return nil, err
		}
		id, err = peer.IDFromPublicKey(key)
		return named{id}, err
	case "provide":
		c, err := contentID(argument)
		if err != nil {
			return nil, err
		}
		return provided{c.String()}, k.Provide(ctx, c, true)
	default: // find-providers
		c, err := contentID(argument)
		if err != nil {
			return nil, err
		}
		infos, err := k.FindProviders(ctx, c)
		answer := providers{Providers: []found{}}
		for _, info := range infos {
			answer.Providers = append(answer.Providers, foundOf(info))
		}
		if err == nil && len(infos) == 0 {
			err = routing.ErrNotFound
		}
		return answer, err
	}
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
	return cid.V1Builder{Codec: cid.Raw, MhType: mh.SHA2_256}.Sum([]byte(text))
}
