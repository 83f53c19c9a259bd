// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// sorts are the sorts of address that an order can name, in the default order.
var sorts = []string{"quic", "tcp", "webtransport", "websocket", "webrtc-direct"}

// mostSteps is how many staggers the addresses of one sort take at most: from
// there on they begin together.
const mostSteps = 4

// DialPolicy says in which order the addresses of a peer are tried and when each
// begins. Addresses on the Internet and those of local networks are ordered each
// for themselves and begin at once; with each sort, IPv6 and IPv4 addresses take
// turns (RFC 8305, Happy Eyeballs). An address begins earlier when nothing else
// is under way. Relays come after all direct addresses.
type DialPolicy struct {
	// Order lists sorts of address, the one to try first in front: "quic",
	// "tcp", "webtransport", "websocket", "webrtc-direct". Sorts that are
	// left out come behind those that are listed, in the default order.
	// Default: ["quic", "tcp", "webtransport", "websocket", "webrtc-direct"].
	Order []string `json:"order,omitempty" xnode:"one_of=quic|tcp|webtransport|websocket|webrtc-direct"`
	// Prefer is the IP version whose address begins first, "ip6" or "ip4".
	// Default: "ip6".
	Prefer string `json:"prefer,omitempty" xnode:"one_of=ip4|ip6"`
	// Stagger is the wait between two addresses on the Internet.
	// Default: "250ms".
	Stagger core.Duration `json:"stagger,omitempty"`
	// StaggerLocal is the wait between two addresses of local networks.
	// Default: "30ms".
	StaggerLocal core.Duration `json:"stagger_local,omitempty"`
	// RelayDelay is how much later than direct addresses relayed ones begin.
	// Default: "500ms".
	RelayDelay core.Duration `json:"relay_delay,omitempty"`
	// WebRTCDelay is how much later than others webrtc-direct addresses
	// begin: their handshake is by far the most expensive. Relayed ones
	// begin as much later than those on which a relay only helps to connect
	// directly, /p2p-circuit/webrtc. Default: "1s".
	WebRTCDelay core.Duration `json:"webrtc_delay,omitempty"`
	// NoBlackHoles tries UDP and IPv6 addresses on the Internet even if all
	// but a few of the last hundred did not answer. Otherwise only every
	// hundredth is tried then, until one answers. Default: false.
	NoBlackHoles bool `json:"no_black_holes,omitempty"`
}

// Provision sets the defaults.
func (p *DialPolicy) Provision() {
	for _, s := range sorts {
		if !slices.Contains(p.Order, s) {
			p.Order = append(p.Order[:len(p.Order):len(p.Order)], s)
		}
	}
	p.Prefer = cmp.Or(p.Prefer, "ip6")
	p.Stagger = cmp.Or(p.Stagger, core.Duration(250*time.Millisecond))
	p.StaggerLocal = cmp.Or(p.StaggerLocal, core.Duration(30*time.Millisecond))
	p.RelayDelay = cmp.Or(p.RelayDelay, core.Duration(500*time.Millisecond))
	p.WebRTCDelay = cmp.Or(p.WebRTCDelay, core.Duration(time.Second))
}

// Validate checks a policy after Provision.
func (p *DialPolicy) Validate() error {
	for i, s := range p.Order {
		if !slices.Contains(sorts, s) {
			return fmt.Errorf("order/%d: %q is no sort of address; there are %s", i, s, strings.Join(sorts, ", "))
		}
		if slices.Contains(p.Order[:i], s) {
			return fmt.Errorf("order/%d: %q is listed twice; remove one", i, s)
		}
	}
	if p.Prefer != "ip6" && p.Prefer != "ip4" {
		return fmt.Errorf(`prefer: %q is no IP version; write "ip6" or "ip4"`, p.Prefer)
	}
	for _, d := range []struct {
		key string
		v   core.Duration
	}{
		{"stagger", p.Stagger}, {"stagger_local", p.StaggerLocal},
		{"relay_delay", p.RelayDelay}, {"webrtc_delay", p.WebRTCDelay},
	} {
		if d.v < 0 {
			return fmt.Errorf("%s: %v is negative", d.key, d.v)
		}
	}
	return nil
}

// ranked is an address and how long after the dial's start it may begin.
type ranked struct {
	addr  ma.Multiaddr
	delay time.Duration
}

// rank orders the addresses of one peer.
func (p *DialPolicy) rank(addrs []ma.Multiaddr) []ranked {
	var local, public, relayed, signalled []ma.Multiaddr
	for _, a := range addrs {
		switch {
		case isRelayed(a):
			relayed = append(relayed, a)
		case has(a, ma.P_CIRCUIT):
			signalled = append(signalled, a)
		case peer.IsPublic(a):
			public = append(public, a)
		default:
			local = append(local, a)
		}
	}
	list := p.schedule(local, 0, time.Duration(p.StaggerLocal))
	list = append(list, p.schedule(public, 0, time.Duration(p.Stagger))...)
	begin := time.Duration(p.RelayDelay)
	if len(list) == 0 {
		begin = 0
	}
	list = append(list, p.schedule(signalled, begin, time.Duration(p.Stagger))...)
	if len(signalled) > 0 { // which connects directly, if that is given the time
		begin += time.Duration(p.WebRTCDelay)
	}
	list = append(list, p.schedule(relayed, begin, time.Duration(p.Stagger))...)
	slices.SortStableFunc(list, func(a, b ranked) int { return cmp.Compare(a.delay, b.delay) })
	return list
}

// schedule gives the addresses of one group their delays, sort by sort.
func (p *DialPolicy) schedule(addrs []ma.Multiaddr, begin, step time.Duration) []ranked {
	bySort := make(map[int][]ma.Multiaddr)
	for _, a := range addrs {
		i := slices.Index(p.Order, sortOf(a)) // -1 for what is none of them
		bySort[i] = append(bySort[i], a)
	}
	list := make([]ranked, 0, len(addrs))
	at := begin
	for i := -1; i < len(p.Order); i++ {
		if i >= 0 && p.Order[i] == "webrtc-direct" && at > begin {
			at = max(at, begin+time.Duration(p.WebRTCDelay))
		}
		last := at
		for n, a := range p.takeTurns(bySort[i]) {
			last = at + time.Duration(min(n, mostSteps))*step
			list = append(list, ranked{a, last})
		}
		if len(bySort[i]) > 0 {
			at = last + step
		}
	}
	return list
}

// takeTurns orders the addresses of one sort: one of the preferred IP version,
// one of the other, and so on.
func (p *DialPolicy) takeTurns(addrs []ma.Multiaddr) []ma.Multiaddr {
	var first, second []ma.Multiaddr
	for _, a := range addrs {
		if has(a, ma.P_IP6) == (p.Prefer == "ip6") {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	list := make([]ma.Multiaddr, 0, len(addrs))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			list = append(list, first[i])
		}
		if i < len(second) {
			list = append(list, second[i])
		}
	}
	return list
}

// sortOf is the sort of an address, by its most telling part; empty for what no
// order names, such as /memory. Of a relayed address it is that of the relay's.
func sortOf(a ma.Multiaddr) string {
	sort := ""
	for _, c := range a {
		switch c.Code() {
		case ma.P_TCP:
			sort = "tcp"
		case ma.P_QUIC_V1:
			sort = "quic"
		case ma.P_WEBTRANSPORT:
			sort = "webtransport"
		case ma.P_WS, ma.P_WSS:
			sort = "websocket"
		case ma.P_WEBRTC_DIRECT:
			sort = "webrtc-direct"
		case ma.P_CIRCUIT:
			return sort
		}
	}
	return sort
}

// isRelayed tells whether a connection to an address goes through a relay. One to
// …/p2p-circuit/webrtc does not: the relay only helps to make it.
func isRelayed(a ma.Multiaddr) bool {
	return has(a, ma.P_CIRCUIT) && a[len(a)-1].Code() != ma.P_WEBRTC
}

func has(a ma.Multiaddr, protocol int) bool {
	for _, c := range a {
		if c.Protocol().Code == protocol {
			return true
		}
	}
	return false
}
