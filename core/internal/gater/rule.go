// SPDX-License-Identifier: Apache-2.0 OR MIT

package gater

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/internal/subnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// errNoRule ends the error of every text that is no rule.
var errNoRule = errors.New(`write a peer ID, an IP address, a range such as "10.0.0.0/8", or "public", "private" or "loopback"`)

func parse(c Config) (*rules, error) {
	r := new(rules)
	var errs []error
	for _, side := range []struct {
		key   string
		texts []string
		list  *list
	}{{"allow", c.Allow, &r.allow}, {"deny", c.Deny, &r.deny}} {
		for i, text := range side.texts {
			if err := side.list.add(text); err != nil {
				errs = append(errs, fmt.Errorf("%s: %d: %w", side.key, i, err))
			}
		}
	}
	return r, errors.Join(errs...)
}

// add parses one rule.
func (l *list) add(text string) error {
	switch text {
	case "public":
		l.scopes = append(l.scopes, scope{peer.IsPublic, text})
		return nil
	case "private":
		l.scopes = append(l.scopes, scope{peer.IsPrivate, text})
		return nil
	case "loopback":
		l.scopes = append(l.scopes, scope{peer.IsLoopback, text})
		return nil
	}
	if strings.HasPrefix(text, "/") {
		return l.addMultiaddr(text)
	}
	if p, err := subnet.Parse(text); err == nil {
		l.ranges = append(l.ranges, ipRange{p, text})
		return nil
	}
	id, err := peer.Decode(text)
	if err != nil {
		return fmt.Errorf("%q is no rule: %w", text, errNoRule)
	}
	l.addPeer(id, text)
	return nil
}

func (l *list) addPeer(id peer.ID, text string) {
	if l.peers == nil {
		l.peers = make(map[peer.ID]string)
	}
	l.peers[id] = text
}

// addMultiaddr parses /p2p/ID, /ip4/…, /ip6/… and the latter two with /ipcidr.
func (l *list) addMultiaddr(text string) error {
	a, err := ma.NewMultiaddr(text)
	if err != nil {
		return fmt.Errorf("%q is no rule: %w", text, err)
	}
	if rest, id := peer.SplitAddr(a); id != "" && len(rest) == 0 {
		l.addPeer(id, text)
		return nil
	}
	ip, ok := peer.IP(a)
	if !ok || a[0].Code() == ma.P_IP6ZONE {
		return fmt.Errorf("%q is no rule: of a multiaddr, only /ip4 and /ip6, with or without /ipcidr, and /p2p", text)
	}
	p := netip.PrefixFrom(ip, ip.BitLen())
	switch {
	case len(a) == 1:
	case len(a) == 2 && a[1].Code() == ma.P_IPCIDR:
		raw, _ := netip.AddrFromSlice(a[0].RawValue())
		bits := int(a[1].RawValue()[0])
		if bits > raw.BitLen() {
			return fmt.Errorf("%q is no rule: the address has %d bits", text, raw.BitLen())
		}
		p = subnet.Unmap(netip.PrefixFrom(raw, bits))
	default:
		return fmt.Errorf("%q is no rule: nothing but /ipcidr may follow the IP address", text)
	}
	l.ranges = append(l.ranges, ipRange{p, text})
	return nil
}
