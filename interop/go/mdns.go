// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// lan is a node's part in multicast DNS. The library does not tell who has gone.
type lan struct {
	service mdns.Service

	mu    sync.Mutex
	found map[peer.ID][]string
}

// startLAN tells the local networks of the node, and looks for others; it is nil without --mdns.
func (n *node) startLAN(wanted bool) (*lan, error) {
	if !wanted {
		return nil, nil
	}
	l := &lan{found: map[peer.ID][]string{}}
	l.service = mdns.NewMdnsService(n, "", l)
	if err := l.service.Start(); err != nil {
		return nil, err
	}
	return l, nil
}

// HandlePeerFound implements mdns.Notifee.
func (l *lan) HandlePeerFound(p peer.AddrInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range p.Addrs {
		if text := a.String(); !slices.Contains(l.found[p.ID], text) {
			l.found[p.ID] = append(l.found[p.ID], text)
		}
	}
}

// discovered is the answer to a line of that name.
type discovered struct {
	Discovered []foundPeer `json:"discovered"`
}

type foundPeer struct {
	Peer  string   `json:"peer"`
	Addrs []string `json:"addrs"`
}

func (l *lan) discovered() discovered {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := discovered{[]foundPeer{}}
	for id, addrs := range l.found {
		d.Discovered = append(d.Discovered, foundPeer{id.String(), slices.Clone(addrs)})
	}
	return d
}

// Close says goodbye.
func (l *lan) Close() error {
	if l == nil {
		return nil
	}
	return l.service.Close()
}
