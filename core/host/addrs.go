// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"net"
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/observed"
	"github.com/xnode-p2p/xnode/core/peer"
)

// addrs knows where the node can be reached. It plays the role [core.Addrs].
type addrs struct {
	events core.Events
	// bound lists the addresses of the listeners, interfaces the IP addresses
	// of the machine.
	bound, interfaces func() []ma.Multiaddr
	// judged tells whether a module runs that finds out what can be reached.
	judged   func() bool
	observed observed.Manager

	renewing sync.Mutex // held while the list is renewed, so that the newest stays

	mu        sync.Mutex
	rules     addrRules
	announced map[*[]ma.Multiaddr]struct{} // one entry each call of Announce
	suggested map[*[]ma.Multiaddr]struct{} // and of Suggest
	verdicts  map[string]core.Reachability // of addresses, by their bytes, as a module found out
	list      []ma.Multiaddr
	possible  []ma.Multiaddr // the candidates
	told      []ma.Multiaddr // the list in the last event
	offered   []ma.Multiaddr // the candidates when the last event told of them
	telling   bool           // somebody emits events, until told is list and offered is possible
}

func newAddrs(events core.Events, bound func() []ma.Multiaddr, judged func() bool) *addrs {
	a := &addrs{
		events:     events,
		bound:      bound,
		judged:     judged,
		interfaces: interfaceAddrs,
		announced:  make(map[*[]ma.Multiaddr]struct{}),
		suggested:  make(map[*[]ma.Multiaddr]struct{}),
	}
	core.On(events, func(e core.AddrsReachabilityChanged) {
		a.judge(e.Addrs)
		a.update()
	})
	core.On(events, func(core.ListenersChanged) { a.update() })
	core.On(events, func(e core.Identified) {
		if a.observed.Add(e.Conn, e.ObservedAddr, bound()) {
			a.update()
		}
	})
	core.On(events, func(e core.Disconnected) {
		if a.observed.Remove(e.Conn) {
			a.update()
		}
	})
	return a
}

// configure says what is told from now on. Call update after it.
func (a *addrs) configure(r addrRules) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rules = r
}

// ListenAddrs implements [core.Addrs].
func (a *addrs) ListenAddrs() []ma.Multiaddr { return a.bound() }

// Addrs implements [core.Addrs].
func (a *addrs) Addrs() []ma.Multiaddr {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.list)
}

// Candidates implements [core.Addrs].
func (a *addrs) Candidates() []ma.Multiaddr {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.possible)
}

// Announce implements [core.Addrs].
func (a *addrs) Announce(list ...ma.Multiaddr) (withdraw func()) {
	return a.enter(a.announced, list)
}

// Suggest implements [core.Addrs].
func (a *addrs) Suggest(list ...ma.Multiaddr) (withdraw func()) {
	return a.enter(a.suggested, list)
}

// enter adds a list to one of the sets until withdraw is called.
func (a *addrs) enter(set map[*[]ma.Multiaddr]struct{}, list []ma.Multiaddr) (withdraw func()) {
	entry := slices.Clone(list)
	a.mu.Lock()
	set[&entry] = struct{}{}
	a.mu.Unlock()
	a.update()
	return sync.OnceFunc(func() {
		a.mu.Lock()
		delete(set, &entry)
		a.mu.Unlock()
		a.update()
	})
}

// judge notes which addresses can be reached.
func (a *addrs) judge(list []core.AddrReachability) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.verdicts = make(map[string]core.Reachability, len(list))
	for _, r := range list {
		a.verdicts[string(r.Addr.Bytes())] = r.Reachability
	}
}

// update renews the lists and emits [core.LocalAddrsChanged] and
// [core.CandidateAddrsChanged] if they changed.
// Subscribers may announce and withdraw; everybody is told of that afterwards.
func (a *addrs) update() {
	a.renew()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.telling {
		return // whoever is, tells of this list next
	}
	a.telling = true
	for {
		var event any
		switch {
		case !slices.EqualFunc(a.told, a.list, ma.Multiaddr.Equal):
			a.told = a.list
			event = core.LocalAddrsChanged{Addrs: slices.Clone(a.list)}
		case !slices.EqualFunc(a.offered, a.possible, ma.Multiaddr.Equal):
			a.offered = a.possible
			event = core.CandidateAddrsChanged{}
		}
		if event == nil {
			break
		}
		a.mu.Unlock()
		a.events.Emit(event)
		a.mu.Lock()
	}
	a.telling = false
}

func (a *addrs) renew() {
	a.renewing.Lock()
	defer a.renewing.Unlock()
	bound := a.bound()
	list := append(reachable(bound, a.interfaces), a.observed.Addrs(bound)...)
	perhaps := a.observed.Candidates(bound)
	judged := a.judged()
	a.mu.Lock()
	defer a.mu.Unlock()
	for entry := range a.announced {
		list = append(list, *entry...)
	}
	for entry := range a.suggested {
		perhaps = append(perhaps, *entry...)
		if !judged {
			list = append(list, *entry...)
		}
	}
	perhaps = append(perhaps, list...)
	a.possible = sorted(a.rules.apply(slices.Clone(perhaps)))
	list = slices.DeleteFunc(list, func(x ma.Multiaddr) bool {
		return a.verdicts[string(x.Bytes())] == core.ReachabilityPrivate
	})
	for _, x := range perhaps {
		if a.verdicts[string(x.Bytes())] == core.ReachabilityPublic {
			list = append(list, x)
		}
	}
	a.list = sorted(a.rules.apply(list))
}

// sorted puts addresses in order, each once.
func sorted(list []ma.Multiaddr) []ma.Multiaddr {
	slices.SortFunc(list, func(x, y ma.Multiaddr) int { return x.Compare(y) })
	return slices.CompactFunc(list, ma.Multiaddr.Equal)
}

// reachable replaces unspecified addresses by those of the machine that peers
// can dial without knowing its network cards: link-local ones are left out, and
// so are those behind relays.
func reachable(bound []ma.Multiaddr, interfaces func() []ma.Multiaddr) []ma.Multiaddr {
	var list []ma.Multiaddr
	for _, b := range bound {
		switch b[len(b)-1].Code() {
		case ma.P_CIRCUIT, ma.P_WEBRTC:
			continue // whoever has a place at the relay announces it
		}
		ip, ok := peer.IP(b)
		if !ok || !ip.IsUnspecified() {
			list = append(list, b)
			continue
		}
		for _, i := range interfaces() {
			local, ok := peer.IP(i)
			if ok && local.Is4() == ip.Is4() && !local.IsLinkLocalUnicast() {
				list = append(list, ma.Join(withoutZone(i)[:1], withoutZone(b)[1:]))
			}
		}
	}
	return list
}

// withoutZone is an address from its IP address on.
func withoutZone(a ma.Multiaddr) ma.Multiaddr {
	if a[0].Protocol().Code == ma.P_IP6ZONE {
		return a[1:]
	}
	return a
}

// interfaceAddrs lists the IP addresses of the machine; none if the system does
// not tell.
func interfaceAddrs() []ma.Multiaddr {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []ma.Multiaddr
	for _, f := range found {
		if a, err := manet.FromNetAddr(f); err == nil {
			list = append(list, a)
		}
	}
	return list
}

var _ core.Addrs = (*addrs)(nil)
