// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"errors"
	"fmt"
	"net/netip"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// ruleSet are the parsed entries of a list of [Access].
type ruleSet struct {
	peers  map[peer.ID]bool
	ranges []netip.Prefix
}

// provision parses the lists. key is where they stand in the configuration.
func (a *Access) provision(key string) (err error) {
	var errs []error
	parse := func(list string, texts []string) (r ruleSet) {
		for i, text := range texts {
			if err := r.add(text); err != nil {
				errs = append(errs, fmt.Errorf("%s/%s/%d: %w", key, list, i, err))
			}
		}
		return r
	}
	a.allow, a.deny = parse("allow", a.Allow), parse("deny", a.Deny)
	return errors.Join(errs...)
}

// add parses one entry. Placeholders are expanded.
func (r *ruleSet) add(text string) error {
	text, err := core.Expand(text)
	if err != nil {
		return err
	}
	if id, err := peer.Decode(text); err == nil {
		if r.peers == nil {
			r.peers = make(map[peer.ID]bool)
		}
		r.peers[id] = true
		return nil
	}
	if ip, err := netip.ParseAddr(text); err == nil {
		ip = ip.WithZone("").Unmap()
		r.ranges = append(r.ranges, netip.PrefixFrom(ip, ip.BitLen()))
		return nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf(`%q is neither a peer ID nor an IP address or range; an example of each is 12D3KooW…, "192.0.2.1" and "192.0.2.0/24"`, text)
	}
	r.ranges = append(r.ranges, p.Masked())
	return nil
}

func (r *ruleSet) has(p peer.ID, from ma.Multiaddr) bool {
	if r.peers[p] {
		return true
	}
	ip, ok := peer.IP(from)
	if !ok {
		return false
	}
	for _, prefix := range r.ranges {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// allows reports whether p, who is at from, may.
func (a *Access) allows(p peer.ID, from ma.Multiaddr) bool {
	if a.deny.has(p, from) {
		return false
	}
	return len(a.Allow) == 0 || a.allow.has(p, from)
}
