// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/seek"
)

const (
	// namespace stands before the name of a topic where peers meet, whatever
	// the protocol: all stacks that meet have it so.
	namespace = "floodsub:"
	// seekInterval is how often it is checked whether topics have enough peers.
	seekInterval = time.Second
	// maxSeeks bounds what is advertised and looked for at once.
	maxSeeks = 16
	// advertiseTimeout and findTimeout are how long that may take.
	advertiseTimeout = time.Minute
	findTimeout      = 10 * time.Second
	// maxFound bounds the peers that are taken from one search.
	maxFound = 100
	// source is what the events of peers that were found say.
	source = "pubsub"
)

// seeks looks for peers of the node's topics until the hub closes.
func (h *Hub) seeks() {
	ticker := time.NewTicker(seekInterval)
	defer ticker.Stop()
	slots := make(chan struct{}, maxSeeks)
	for {
		meetings := core.FindAll[core.Meeting](h.node)
		advertise, find := h.due(len(meetings) > 0, maxSeeks-len(slots))
		run := func(list []string, do func([]core.Meeting, string)) {
			for _, topic := range list {
				slots <- struct{}{} // there is room
				h.wg.Go(func() {
					defer func() { <-slots }()
					do(meetings, topic)
				})
			}
		}
		run(advertise, h.advertise)
		run(find, h.find)
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// due is what it is time for.
func (h *Hub) due(possible bool, most int) (advertise, find []string) {
	if !possible {
		return nil, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	peers := make(map[string]int)
	for topic := range h.topics {
		if len(namespace)+len(topic) <= core.MaxNamespace {
			peers[topic] = h.router.Members(topic)
		}
	}
	return h.seeker.Due(time.Now(), peers, most)
}

// advertise tells others of a topic, where one of the places is enough.
func (h *Hub) advertise(meetings []core.Meeting, topic string) {
	ctx, cancel := context.WithTimeout(h.ctx, advertiseTimeout)
	defer cancel()
	var mu sync.Mutex
	var lasts time.Duration
	var errs []error
	h.each(meetings, func(m core.Meeting) {
		got, err := m.Advertise(ctx, namespace+topic, 0)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs = append(errs, err)
		} else if lasts == 0 || got < lasts {
			lasts = got
		}
	})
	if lasts == 0 {
		h.Log.Debug("topic not advertised", "topic", wire.Text(topic, 64), "error", errors.Join(errs...))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seeker.Advertised(topic, lasts, time.Now())
}

// find looks for peers of a topic.
func (h *Hub) find(meetings []core.Meeting, topic string) {
	ctx, cancel := context.WithTimeout(h.ctx, findTimeout)
	defer cancel()
	var mu sync.Mutex
	fresh := 0
	h.each(meetings, func(m core.Meeting) {
		taken := 0
		for info, err := range m.FindPeers(ctx, namespace+topic, maxFound) {
			if err != nil {
				h.Log.Debug("peers of a topic not found", "topic", wire.Text(topic, 64), "error", err)
				break
			}
			if h.worthwhile(info.ID) {
				h.node.AddPeerAddrs(info.ID, core.DiscoveredTTL, info.Addrs...)
				h.node.Emit(core.PeerDiscovered{Peer: info, Source: source})
				h.connect([]peer.ID{info.ID})
				mu.Lock()
				fresh++
				mu.Unlock()
			}
			if taken++; taken >= maxFound {
				break
			}
		}
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seeker.Found(topic, fresh, time.Now())
}

// each calls do for all at once, and waits. What panics is left out.
func (h *Hub) each(meetings []core.Meeting, do func(core.Meeting)) {
	var wg sync.WaitGroup
	for _, m := range meetings {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					h.Log.Error("panic in a module that finds peers", "panic", p)
				}
			}()
			do(m)
		})
	}
	wg.Wait()
}

// worthwhile reports whether a peer that was found is to be dialled. There is
// room for another dial if it is.
func (h *Hub) worthwhile(p peer.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return p != h.self && p != "" && h.remotes[p] == nil && len(h.dialing) < cap(h.dialing) && h.seeker.Try(p, time.Now())
}

// newSeeker returns what decides about it; nil if nobody is to be looked for.
func (h *Hub) newSeeker() *seek.Seeker {
	if h.Discovery == nil {
		return nil
	}
	return seek.New(h.Discovery, h.rand)
}
