// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"errors"
	"fmt"
	"slices"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/gater"
	"github.com/xnode-p2p/xnode/core/peer"
)

// AddrsConfig says which addresses of the node other peers are told: by
// identify and by whatever else carries them. The node finds by itself those of
// its listeners, on all interfaces; those at which at least four peers from
// different networks saw it; and those that modules add, such as a relay's.
type AddrsConfig struct {
	// Announce are the addresses to tell instead of those that the node
	// finds. Placeholders are expanded. Default: none, which tells those.
	Announce []string `json:"announce,omitempty"`
	// Append are addresses to tell as well. Placeholders are expanded.
	// Default: none.
	Append []string `json:"append,omitempty"`
	// Filter leaves out, of the addresses that the node finds, those that one
	// of these rules names: an IP address or range such as "172.17.0.0/16",
	// or "public", "private" or "loopback". Default: none.
	Filter []string `json:"filter,omitempty"`
}

// addrRules are an AddrsConfig, parsed.
type addrRules struct {
	announce, append []ma.Multiaddr
	filter           *gater.Gater // nil lets all through
}

// rules parses the configuration.
func (c *AddrsConfig) rules() (r addrRules, err error) {
	var errs []error
	parse := func(key string, texts []string) (list []ma.Multiaddr) {
		for i, text := range texts {
			a, err := parseAnnounce(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s/%d: %w", key, i, err))
			}
			list = append(list, a)
		}
		return list
	}
	r.announce, r.append = parse("announce", c.Announce), parse("append", c.Append)
	if r.filter, err = gater.New(gater.Config{Deny: c.Filter}); err != nil {
		errs = append(errs, fmt.Errorf("filter: %w", err))
	}
	return r, errors.Join(errs...)
}

func parseAnnounce(text string) (ma.Multiaddr, error) {
	text, err := core.Expand(text)
	if err != nil {
		return nil, err
	}
	a, err := ma.NewMultiaddr(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no multiaddr: %w; an example is /dns4/node.example.org/tcp/4001", text, err)
	}
	transport, id := peer.SplitAddr(a)
	if id != "" {
		return nil, fmt.Errorf("%s names a peer; peers know the node's ID, write %s", a, transport)
	}
	if ip, ok := peer.IP(a); ok && ip.IsUnspecified() {
		return nil, fmt.Errorf("%s cannot be dialled; write an address of this node", a)
	}
	return a, nil
}

// apply makes of the addresses that the node found those to tell.
func (r addrRules) apply(found []ma.Multiaddr) []ma.Multiaddr {
	if len(r.announce) > 0 {
		return slices.Concat(r.announce, r.append)
	}
	list := slices.DeleteFunc(found, func(a ma.Multiaddr) bool { return r.filter.Addr(a) != nil })
	return append(list, r.append...)
}
