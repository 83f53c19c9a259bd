// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"errors"
	"fmt"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// maxProviderAddrs is how many addresses of a provider are stored.
const maxProviderAddrs = 32

// answerFindNode names the peers closest to a key. If the key is the ID of a
// peer that this node knows, that peer comes first, be it a server or not.
func (d *dht) answerFindNode(req *request) (*kadwire.Buffer, error) {
	if err := checkKey(req.Key); err != nil {
		return nil, err
	}
	answer := kadwire.NewBuffer(kadwire.FindNode, nil, req.Cluster)
	target, err := peer.FromBytes(req.Key)
	if err != nil {
		target = ""
	} else if p := d.known(target); p != nil {
		answer.Closer(p)
	}
	d.addCloser(answer, req, target)
	return answer, nil
}

// known is a peer as others are told of it; nil if it has no address to tell.
func (d *dht) known(p peer.ID) []byte {
	addrs := d.node.PeerAddrs(p)
	if p == d.node.ID() {
		addrs = d.node.Addrs()
	}
	if addrs = d.scope.own(addrs); len(addrs) == 0 {
		return nil
	}
	return kadwire.AppendPeer(nil, p, addrs)
}

// addCloser names the peers closest to the key of a request, without who asks
// and one that is named already.
func (d *dht) addCloser(answer *kadwire.Buffer, req *request, named peer.ID) {
	d.contacts.nearest(keyspace.Of(req.Key), d.kad.BucketSize, req.conn.RemotePeer(), named, func(encoded []byte) {
		answer.Closer(encoded)
	})
}

// checkKey says why a key is none of anything.
func checkKey(key []byte) error {
	if len(key) == 0 || len(key) > record.MaxKey {
		return fmt.Errorf("key of %d bytes, want 1 to %d: %w", len(key), record.MaxKey, errRefused)
	}
	return nil
}

func (d *dht) answerGetProviders(req *request) (*kadwire.Buffer, error) {
	if err := checkContentKey(req.Key); err != nil {
		return nil, err
	}
	answer := kadwire.NewBuffer(kadwire.GetProviders, req.Key, req.Cluster)
	d.addCloser(answer, req, "")
	err := d.providers.get(req.Key, time.Now(), func(_ peer.ID, encoded []byte) bool {
		return answer.Provider(encoded)
	})
	if err != nil {
		answer.Free()
		return nil, err
	}
	return answer, nil
}

// answerAddProvider takes who asks for a provider of content, and nobody else. One
// that has no address of the network's kind is taken without any: it may be
// found in another way.
func (d *dht) answerAddProvider(req *request) error {
	if err := checkContentKey(req.Key); err != nil {
		return err
	}
	from := req.conn.RemotePeer()
	for _, p := range req.Providers {
		if p.ID != from {
			continue
		}
		addrs := d.scope.filter(p, req.conn.RemoteMultiaddr())
		if len(addrs) == 0 && !p.HasAddrs() {
			return fmt.Errorf("provider without an address: %w", errRefused)
		}
		addrs = addrs[:min(len(addrs), maxProviderAddrs)]
		return d.addProvider(req.Key, from, kadwire.AppendPeer(nil, from, addrs))
	}
	return fmt.Errorf("no provider is the sender: %w", errRefused)
}

// addProvider notes a provider, which is stored soon.
func (d *dht) addProvider(key []byte, p peer.ID, encoded []byte) error {
	defer wake(d.wakeStore)
	return d.providers.add(key, p, encoded, time.Now())
}

func (d *dht) answerGetValue(req *request) (*kadwire.Buffer, error) {
	if err := checkKey(req.Key); err != nil {
		return nil, err
	}
	stored, err := d.values.raw(req.Key)
	if err != nil && !errors.Is(err, core.ErrNotFound) {
		return nil, err
	}
	answer := kadwire.NewBuffer(kadwire.GetValue, req.Key, req.Cluster)
	if err == nil {
		answer.Record(stored)
	}
	d.addCloser(answer, req, "")
	return answer, nil
}

// answerPutValue stores a record, and sends it back when it is.
func (d *dht) answerPutValue(req *request) (*kadwire.Buffer, error) {
	if err := checkKey(req.Key); err != nil {
		return nil, err
	}
	if req.Record == nil {
		return nil, fmt.Errorf("no record: %w", errRefused)
	}
	var r record.ValueRecord
	if err := r.Unmarshal(req.Record); err != nil {
		return nil, err
	}
	if err := d.values.put(string(req.Key), &r, time.Now()); err != nil {
		return nil, err
	}
	answer := kadwire.NewBuffer(kadwire.PutValue, req.Key, req.Cluster)
	answer.Record(req.Record)
	return answer, nil
}
