// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	blankhost "github.com/libp2p/go-libp2p/p2p/host/blank"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
)

const userAgent = "xnode-interop-go/go-libp2p@0.51.0"

// shape says how much of a libp2p host a node is.
type shape int

const (
	// full is what libp2p.New builds.
	full shape = iota
	// bare is a swarm with its upgrader and stream handlers: no identify, in either direction.
	bare
	// identifying is bare with the identify service, the lightest node that behaves like a host on the wire.
	identifying
)

// plan is what a node is built from.
type plan struct {
	shape    shape
	key      crypto.PrivKey
	kinds    []kind
	security string
	network  pnet.PSK // nil for none
	listen   []ma.Multiaddr
	relay    relayFlags
	autonat  string // versions, as --autonat has them
}

// modules returns one kind for each transport that the node needs.
func (p plan) modules() []kind {
	var found []kind
	for _, k := range p.kinds {
		if !slices.ContainsFunc(found, func(f kind) bool { return f.module == k.module }) {
			found = append(found, k)
		}
	}
	return found
}

// node is a running go-libp2p node with no limits, no connection manager and no metrics.
type node struct {
	host.Host
	swarm   *swarm.Swarm
	shape   shape
	ids     identify.IDService // nil when bare
	closers []func() error     // after the host, last first
}

func (p plan) start() (*node, error) {
	if p.shape == full {
		return p.startFull()
	}
	n := &node{shape: p.shape}
	if err := p.startBare(n); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (p plan) startFull() (*node, error) {
	resources, err := unlimited()
	if err != nil {
		return nil, err
	}
	opts := []libp2p.Option{
		libp2p.Identity(p.key),
		libp2p.UserAgent(userAgent),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.DisableMetrics(),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
	}
	opts = append(opts, p.relay.options()...)
	asks, err := autonatOptions(p.autonat)
	if err != nil {
		return nil, err
	}
	opts = append(opts, asks...)
	if len(p.listen) == 0 {
		opts = append(opts, libp2p.NoListenAddrs)
	} else {
		opts = append(opts, libp2p.ListenAddrs(p.listen...))
	}
	if p.network != nil {
		opts = append(opts, libp2p.PrivateNetwork(p.network))
	}
	for _, k := range p.modules() {
		opts = append(opts, k.full())
	}
	chosen, err := securities(p.security)
	if err != nil {
		return nil, err
	}
	for _, s := range chosen {
		opts = append(opts, s.full())
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("start host: %w", err)
	}
	n := &node{Host: h, swarm: h.Network().(*swarm.Swarm)}
	n.ids = h.(interface{ IDService() identify.IDService }).IDService()
	return n, nil
}

// startBare fills n as far as it gets, so that the caller can close what there is.
func (p plan) startBare(n *node) error {
	id, err := peer.IDFromPrivateKey(p.key)
	if err != nil {
		return err
	}
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		return err
	}
	n.closers = append(n.closers, store.Close)
	if err := errors.Join(store.AddPrivKey(id, p.key), store.AddPubKey(id, p.key.GetPublic())); err != nil {
		return err
	}
	resources, err := unlimited()
	if err != nil {
		return err
	}
	n.closers = append(n.closers, resources.Close)
	bus := eventbus.NewBus()
	if n.swarm, err = swarm.NewSwarm(id, store, bus, swarm.WithResourceManager(resources)); err != nil {
		return err
	}
	n.closers = append(n.closers, n.swarm.Close)

	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	channels, err := secureTransports(p.security, p.key, muxers)
	if err != nil {
		return err
	}
	up, err := upgrader.New(channels, muxers, p.network, resources, nil)
	if err != nil {
		return err
	}
	of := &parts{key: p.key, upgrader: up, rcmgr: resources}
	for _, k := range p.modules() {
		t, err := k.bare(of)
		if err == nil {
			err = n.swarm.AddTransport(t)
		}
		if err != nil {
			n.closers = append(of.closers, n.closers...)
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	n.closers = append(of.closers, n.closers...)
	if len(p.listen) > 0 {
		if err := n.swarm.Listen(p.listen...); err != nil {
			return err
		}
	}
	blank := blankhost.NewBlankHost(n.swarm, blankhost.WithEventBus(bus))
	if blank == nil {
		return errors.New("start bare host: no peer record of its own")
	}
	n.Host = blank
	if p.shape == bare {
		return nil
	}
	ids, err := identify.NewIDService(blank, identify.UserAgent(userAgent))
	if err != nil {
		return err
	}
	ids.Start()
	n.ids = ids
	n.closers = append(n.closers, ids.Close)
	return nil
}

// Close stops the node and waits for it.
func (n *node) Close() error {
	var errs []error
	if n.Host != nil && len(n.closers) == 0 {
		errs = append(errs, n.Host.Close())
	}
	for i := len(n.closers) - 1; i >= 0; i-- {
		errs = append(errs, n.closers[i]())
	}
	return errors.Join(errs...)
}

// unlimited returns a resource manager that accounts as a deployed node's does and never refuses.
func unlimited() (network.ResourceManager, error) {
	any4 := []rcmgr.ConnLimitPerSubnet{{PrefixLength: 0, ConnCount: math.MaxInt}}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(rcmgr.InfiniteLimits),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(any4, any4),
		rcmgr.WithConnRateLimiters(&rate.Limiter{}))
}
