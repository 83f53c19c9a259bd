// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// errNoOwnAddrs means that nobody could reach this node for what it provides.
var errNoOwnAddrs = errors.New("this node has no address that others could reach it at; let it listen, or have a relay")

// Provide implements [core.ContentRouting]. It tells the DHT of the
// configuration, or that of the local network if the other has no peers.
func (k *Kad) Provide(ctx context.Context, key []byte) error {
	if err := checkContentKey(key); err != nil {
		return err
	}
	d, err := k.first()
	if err != nil {
		return err
	}
	ctx, end := d.begin(ctx, time.Duration(k.QueryTimeout))
	defer end()
	if err := d.provide(ctx, key); err != nil {
		return fmt.Errorf("provide: %w", err)
	}
	return nil
}

// first returns the first of the DHTs that has peers.
func (k *Kad) first() (*dht, error) {
	dhts, err := k.running()
	if err != nil {
		return nil, err
	}
	for _, d := range dhts {
		if d.contacts.size() > 0 {
			return d, nil
		}
	}
	return dhts[0], nil
}

// provide tells the peers closest to content that this node has it.
func (d *dht) provide(ctx context.Context, key []byte) error {
	addrs := d.scope.own(d.node.Addrs())
	if len(addrs) == 0 {
		return errNoOwnAddrs
	}
	own := kadwire.AppendPeer(nil, d.node.ID(), addrs)
	if err := d.addProvider(key, d.node.ID(), own); err != nil {
		return err
	}
	message := kadwire.NewBuffer(kadwire.AddProvider, key, 0)
	defer message.Free()
	message.Provider(own)
	frame := message.Frame()
	if d.kad.ProvideMode == provideOptimistic && d.atlas.size() == 0 {
		if done, err := d.provideOptimistic(ctx, key, frame); done {
			return err
		}
	}
	return d.spread(ctx, key, func(ctx context.Context, p peer.ID) error {
		return d.announce(ctx, p, frame)
	})
}

// spread does something with each of the peers closest to a key, as soon as it is
// likely that a peer is one of them. It fails if that goes well with none.
func (d *dht) spread(ctx context.Context, key []byte, do func(context.Context, peer.ID) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	well, begun := 0, make(map[peer.ID]bool)
	begin := func(p peer.ID) {
		if begun[p] {
			return
		}
		begun[p] = true
		wg.Go(func() {
			err := do(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				well++
			} else {
				errs = append(errs, err)
			}
		})
	}
	closest, err := d.mapped(keyspace.Of(key)), error(nil)
	if len(closest) > 0 {
		closest = append(closest, d.besideMapped(ctx, key, closest)...)
	} else {
		closest, err = d.lookup(ctx, search{request: kadwire.FindNode, key: key, near: begin})
	}
	if err == nil {
		for _, p := range closest {
			begin(p.ID)
		}
	}
	wg.Wait()
	switch {
	case well > 0:
		return nil
	case err != nil:
		return err
	case len(errs) == 0:
		return errNoPeers
	}
	return errors.Join(errs...)
}

// announce sends an announcement of content to a peer.
func (d *dht) announce(ctx context.Context, p peer.ID, frame []byte) error {
	d.stats.asked[kadwire.AddProvider].Add(1)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(d.kad.RequestTimeout))
	defer cancel()
	err := d.lines.send(ctx, p, frame)
	if err != nil {
		d.stats.failed.Add(1)
	}
	return err
}

// FindProviders implements [core.ContentRouting].
func (k *Kad) FindProviders(ctx context.Context, key []byte, count int) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		if err := checkContentKey(key); err != nil {
			yield(peer.AddrInfo{}, err)
			return
		}
		dhts, err := k.running()
		if err != nil {
			yield(peer.AddrInfo{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		found := newStream[peer.AddrInfo](ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			_, err := race(dhts, cancel, func(d *dht) (struct{}, bool, error) {
				return struct{}{}, false, d.findProviders(ctx, key, found.send)
			})
			found.end(err)
		})
		seen := map[peer.ID]bool{dhts[0].node.ID(): true}
		for p, err := range found.all {
			if err != nil {
				yield(peer.AddrInfo{}, fmt.Errorf("find providers: %w", err))
				return
			}
			if seen[p.ID] {
				continue
			}
			seen[p.ID] = true
			if !yield(p, nil) {
				return
			}
			if count--; count == 0 {
				return
			}
		}
	}
}

// findProviders sends the providers of content that this node and others know,
// until send returns false.
func (d *dht) findProviders(ctx context.Context, key []byte, send func(peer.AddrInfo) bool) error {
	ctx, end := d.begin(ctx, time.Duration(d.kad.QueryTimeout))
	defer end()
	stopped := false // by who looks
	err := d.providers.get(key, time.Now(), func(_ peer.ID, encoded []byte) bool {
		if p, err := kadwire.DecodePeer(encoded); err == nil {
			stopped = !send(peer.AddrInfo{ID: p.ID, Addrs: d.scope.filter(p, nil)})
		}
		return !stopped
	})
	if err != nil {
		d.log.Warn("stored providers", "error", err) // others may have them
	}
	if stopped {
		return nil
	}
	_, err = d.lookup(ctx, search{
		request: kadwire.GetProviders, key: key,
		heard: func(_ peer.ID, at ma.Multiaddr, answer *kadwire.Message) (found int, enough bool) {
			for _, p := range answer.Providers {
				found++
				addrs := d.scope.filter(p, at)
				if len(addrs) > 0 {
					d.node.AddPeerAddrs(p.ID, core.TempTTL, addrs...)
				} else {
					addrs = d.node.PeerAddrs(p.ID)
				}
				if stopped = !send(peer.AddrInfo{ID: p.ID, Addrs: addrs}); stopped {
					break
				}
			}
			return found, stopped
		},
		over: func() bool { return stopped },
	})
	return err
}
