// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// addrs knows where the node can be reached. It plays the role [core.Addrs].
type addrs struct {
	events core.Events
	bound  func() []ma.Multiaddr

	updating sync.Mutex // held while the list is renewed and told of

	mu        sync.Mutex
	announced map[*[]ma.Multiaddr]struct{} // one entry each call of Announce
	list      []ma.Multiaddr
}

func newAddrs(events core.Events, bound func() []ma.Multiaddr) *addrs {
	return &addrs{events: events, bound: bound, announced: make(map[*[]ma.Multiaddr]struct{})}
}

// ListenAddrs implements [core.Addrs].
func (a *addrs) ListenAddrs() []ma.Multiaddr { return a.bound() }

// Addrs implements [core.Addrs].
func (a *addrs) Addrs() []ma.Multiaddr {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.list)
}

// Announce implements [core.Addrs].
func (a *addrs) Announce(list ...ma.Multiaddr) (withdraw func()) {
	entry := slices.Clone(list)
	a.mu.Lock()
	a.announced[&entry] = struct{}{}
	a.mu.Unlock()
	a.update()
	return sync.OnceFunc(func() {
		a.mu.Lock()
		delete(a.announced, &entry)
		a.mu.Unlock()
		a.update()
	})
}

// update renews the list and emits [core.LocalAddrsChanged] if it changed.
func (a *addrs) update() {
	a.updating.Lock()
	defer a.updating.Unlock()
	list := reachable(a.bound())
	a.mu.Lock()
	for entry := range a.announced {
		list = append(list, *entry...)
	}
	slices.SortFunc(list, func(x, y ma.Multiaddr) int { return x.Compare(y) })
	list = slices.CompactFunc(list, ma.Multiaddr.Equal)
	changed := !slices.EqualFunc(a.list, list, ma.Multiaddr.Equal)
	a.list = list
	a.mu.Unlock()
	if changed {
		a.events.Emit(core.LocalAddrsChanged{Addrs: slices.Clone(list)})
	}
}

// reachable replaces unspecified addresses by those of the interfaces.
func reachable(bound []ma.Multiaddr) []ma.Multiaddr {
	var list []ma.Multiaddr
	var interfaces []ma.Multiaddr
	for _, b := range bound {
		ip, ok := peer.IP(b)
		if !ok || !ip.IsUnspecified() {
			list = append(list, b)
			continue
		}
		if interfaces == nil {
			interfaces, _ = manet.InterfaceMultiaddrs()
		}
		for _, i := range interfaces {
			if local, ok := peer.IP(i); ok && local.Is4() == ip.Is4() && !local.IsLinkLocalUnicast() {
				list = append(list, ma.Join(i, b[1:]))
			}
		}
	}
	return list
}

var _ core.Addrs = (*addrs)(nil)
