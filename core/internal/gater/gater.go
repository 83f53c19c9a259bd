// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package gater decides by rules with whom a node connects at all.
//
//	{"gater": {"deny": ["198.51.100.0/24", "12D3KooW…"]}}
//	{"gater": {"allow": ["private", "loopback"]}}
//
// It looks at addresses before a connection is made or upgraded, and at peers
// before one is dialled and once one has proved who it is. It does not look at
// connections that exist when rules change; their owner asks again.
package gater

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Config is the section "gater" of the configuration.
//
// A rule is one of:
//   - a peer ID, in any of its forms, or /p2p/ID
//   - an IP address or a range: 192.0.2.7, 10.0.0.0/8, 2001:db8::/32
//   - the same as a multiaddr: /ip4/192.0.2.7, /ip4/10.0.0.0/ipcidr/8
//   - "public", "private" or "loopback": the addresses of the Internet, of
//     local networks, and of this machine
//
// Rules about addresses look at the first component of an address alone: the
// IP address, the name, or the relay's address if it leads through a relay.
// IPv4 addresses in IPv6 form (::ffff:192.0.2.7) are IPv4 addresses.
type Config struct {
	// Allow, if it has rules about peers, lets in only peers that one of them
	// names; and if it has rules about addresses, only addresses that one of
	// them contains. Addresses that are not on an IP network, such as
	// /memory, are in no range. Default: none, which allows all.
	Allow []string `json:"allow,omitempty"`
	// Deny refuses the peers and the addresses that one of its rules names,
	// whatever allow says. A range of IPv4 addresses also denies the IPv6
	// addresses that a gateway (NAT64, 6to4) translates into them. Default: none.
	Deny []string `json:"deny,omitempty"`
}

// Validate rejects what is no rule.
func (c Config) Validate() error {
	_, err := parse(c)
	return err
}

// Gater holds the rules in force. A nil Gater allows all.
type Gater struct {
	rules atomic.Pointer[rules]
}

// rules are a configuration, parsed. They do not change.
type rules struct{ allow, deny list }

// list is one side of the rules.
type list struct {
	peers  map[peer.ID]string // the rules as they were written
	ranges []ipRange
	scopes []scope
}

// ipRange is a rule about IP addresses.
type ipRange struct {
	prefix netip.Prefix
	text   string
}

// scope is a rule that is a word.
type scope struct {
	contains func(ma.Multiaddr) bool
	text     string
}

// New returns a gater with the rules of c.
func New(c Config) (*Gater, error) {
	g := new(Gater)
	if err := g.Update(c); err != nil {
		return nil, err
	}
	return g, nil
}

// Update replaces the rules. If there is an error, the old ones stay.
func (g *Gater) Update(c Config) error {
	r, err := parse(c)
	if err != nil {
		return err
	}
	g.rules.Store(r)
	return nil
}

// load returns the rules; nil means that there are none.
func (g *Gater) load() *rules {
	if g == nil {
		return nil
	}
	return g.rules.Load()
}

// Peer returns an error that wraps [core.ErrGated] if p is refused.
func (g *Gater) Peer(p peer.ID) error {
	r := g.load()
	if r == nil {
		return nil
	}
	if rule, ok := r.deny.peers[p]; ok {
		return refused("peer "+p.String(), "denied by the rule "+rule)
	}
	if len(r.allow.peers) == 0 {
		return nil
	}
	if _, ok := r.allow.peers[p]; !ok {
		return refused("peer "+p.String(), "no rule of allow names it")
	}
	return nil
}

// Addr returns an error that wraps [core.ErrGated] if an address is refused.
func (g *Gater) Addr(a ma.Multiaddr) error {
	r := g.load()
	if r == nil {
		return nil
	}
	if rule, ok := r.deny.findDenied(a); ok {
		return refused(a.String(), "denied by the rule "+rule)
	}
	if len(r.allow.ranges)+len(r.allow.scopes) == 0 {
		return nil
	}
	ip, isIP := peer.IP(a)
	if _, ok := r.allow.find(a, ip, isIP); !ok {
		return refused(a.String(), "no rule of allow contains it")
	}
	return nil
}

func refused(what, why string) error {
	return fmt.Errorf("%s: %w: %s", what, core.ErrGated, why)
}

// find returns the first rule that contains the address.
func (l *list) find(a ma.Multiaddr, ip netip.Addr, isIP bool) (rule string, ok bool) {
	if isIP {
		i := slices.IndexFunc(l.ranges, func(r ipRange) bool { return r.prefix.Contains(ip) })
		if i >= 0 {
			return l.ranges[i].text, true
		}
	}
	for _, s := range l.scopes {
		if s.contains(a) {
			return s.text, true
		}
	}
	return "", false
}

// findDenied is find, also for the IPv4 address that a translated IPv6 address
// leads to.
func (l *list) findDenied(a ma.Multiaddr) (rule string, ok bool) {
	ip, isIP := peer.IP(a)
	if rule, ok := l.find(a, ip, isIP); ok {
		return rule, true
	}
	if ip4, ok := translated(ip); ok {
		return l.find(a, ip4, true)
	}
	return "", false
}

// The IPv6 ranges whose addresses contain the IPv4 address they lead to.
var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

func translated(ip netip.Addr) (ip4 netip.Addr, ok bool) {
	b := ip.As16()
	switch {
	case !ip.IsValid():
		return ip, false
	case nat64.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return ip, false
}
