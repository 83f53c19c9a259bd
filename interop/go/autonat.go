// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// autonatOptions returns what a host needs to answer the versions of AutoNAT of a word. It asks with version 1 in any case, if
// there is whom to ask, and with version 2 if it answers that.
func autonatOptions(word string) (opts []libp2p.Option, err error) {
	switch word {
	case "":
		return nil, nil
	case "v1":
		return []libp2p.Option{libp2p.EnableNATService()}, nil
	case "v2":
		return []libp2p.Option{libp2p.EnableAutoNATv2()}, nil
	case "both":
		return []libp2p.Option{libp2p.EnableNATService(), libp2p.EnableAutoNATv2()}, nil
	}
	return nil, usagef("--autonat %q: want v1, v2 or both", word)
}

// reach is the answer to a line "reach": the host's own verdict by version 1, and its addresses by version 2.
type reach struct {
	Reachability string        `json:"reachability"`
	Addrs        []reachedAddr `json:"addrs"`
}

type reachedAddr struct {
	Addr         string `json:"addr"`
	Reachability string `json:"reachability"`
}

// reachWatch keeps what a host has said last.
type reachWatch struct {
	sub event.Subscription

	mu  sync.Mutex
	now reach
}

// watchReach follows what AutoNAT finds out; nil if the word is empty.
func (n *node) watchReach(word string) (*reachWatch, error) {
	if word == "" {
		return nil, nil
	}
	sub, err := n.EventBus().Subscribe([]any{new(event.EvtLocalReachabilityChanged), new(event.EvtHostReachableAddrsChanged)})
	if err != nil {
		return nil, err
	}
	w := &reachWatch{sub: sub, now: reach{reachabilityName(network.ReachabilityUnknown), []reachedAddr{}}}
	go func() { // ends with Close
		for e := range sub.Out() {
			w.note(e)
		}
	}()
	return w, nil
}

func (w *reachWatch) note(e any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case event.EvtLocalReachabilityChanged:
		w.now.Reachability = reachabilityName(e.Reachability)
	case event.EvtHostReachableAddrsChanged:
		w.now.Addrs = []reachedAddr{}
		for _, of := range []struct {
			reachability network.Reachability
			addrs        []ma.Multiaddr
		}{{network.ReachabilityPublic, e.Reachable}, {network.ReachabilityPrivate, e.Unreachable}, {network.ReachabilityUnknown, e.Unknown}} {
			for _, a := range of.addrs {
				w.now.Addrs = append(w.now.Addrs, reachedAddr{a.String(), reachabilityName(of.reachability)})
			}
		}
	}
}

func reachabilityName(r network.Reachability) string { return strings.ToLower(r.String()) }

func (w *reachWatch) reach() reach {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Close ends it.
func (w *reachWatch) Close() error {
	if w == nil {
		return nil
	}
	return w.sub.Close()
}
