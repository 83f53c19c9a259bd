// SPDX-License-Identifier: Apache-2.0 OR MIT

package resolve

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// node is an address in the tree of what addresses stand for.
type node struct {
	head   ma.Multiaddr // what is looked up, or a leaf
	suffix ma.Multiaddr // what goes behind every result: /p2p-circuit and on
	want   peer.ID      // who must be at head; empty for anyone
	found  []*node
}

// newNode returns the node of an address that is to lead to want. A relayed
// address is looked up as an address of the relay.
func newNode(addr ma.Multiaddr, want peer.ID) (*node, error) {
	if transport, id := peer.SplitAddr(addr); id != "" && want != "" {
		if id != want {
			return nil, &core.PeerMismatchError{Want: want, Got: id}
		}
		addr = transport
	}
	circuit := slices.IndexFunc(addr, func(c ma.Component) bool { return c.Code() == ma.P_CIRCUIT })
	if circuit < 0 {
		return &node{head: addr, want: want}, nil
	}
	if circuit == 0 {
		return nil, fmt.Errorf("a relayed address without a relay: %w", peer.ErrInvalidAddr)
	}
	n := &node{head: addr[:circuit:circuit], suffix: addr[circuit:]}
	_, n.want = peer.SplitAddr(n.head)
	return n, nil
}

// whole is the address with its suffix.
func (n *node) whole() ma.Multiaddr {
	if len(n.suffix) == 0 {
		return n.head
	}
	return slices.Concat(n.head, n.suffix)
}

// query is one question to the DNS.
type query struct {
	name string
	txt  bool
}

func (n *node) query() query {
	return query{name: strings.ToLower(n.head[0].Value()), txt: n.head[0].Code() == ma.P_DNSADDR}
}

// children are the usable results in the answer to n's query.
func (n *node) children(a *answer) []*node {
	var list []*node
	add := func(head ma.Multiaddr) {
		child, err := newNode(head, n.want)
		if err != nil {
			return
		}
		if len(n.suffix) > 0 {
			if n.want != "" { // the relay's ID is part of a relayed address
				child.head = peer.JoinAddr(child.head, n.want)
			}
			child.suffix = slices.Concat(child.suffix, n.suffix)
		}
		if _, err := peer.DecodeAddr(child.whole().Bytes()); err == nil {
			list = append(list, child)
		}
	}
	rest := n.head[1:]
	named := withName(rest, n.query().name)
	for _, ip := range a.ips {
		if host := hostOf(n.head[0].Code(), ip); host != nil {
			add(slices.Concat(ma.Multiaddr{*host}, named))
		}
	}
	for _, entry := range a.entries {
		transport, id := peer.SplitAddr(entry)
		if endsIn(entry, rest) || n.want != "" && id == n.want && endsIn(transport, rest) {
			add(entry)
		}
	}
	return list
}

// withName is what stands behind a name, with the name as /sni where a server
// proves that it has it: behind /tls, and behind /quic-v1 of a WebTransport
// address without certificate hashes. /wss is written out as /tls/sni/…/ws.
func withName(rest ma.Multiaddr, name string) ma.Multiaddr {
	sni, err := ma.NewComponent("sni", name)
	if err != nil || slices.ContainsFunc(rest, func(c ma.Component) bool { return c.Code() == ma.P_SNI }) {
		return rest
	}
	for i, c := range rest {
		next := 0
		if i+1 < len(rest) {
			next = rest[i+1].Code()
		}
		switch {
		case c.Code() == ma.P_WSS:
			return slices.Concat(rest[:i], ma.Multiaddr{*tls, *sni, *ws}, rest[i+1:])
		case c.Code() == ma.P_TLS && next == ma.P_WS, c.Code() == ma.P_QUIC_V1 && next == ma.P_WEBTRANSPORT && !hasCertHash(rest):
			return slices.Concat(rest[:i+1], ma.Multiaddr{*sni}, rest[i+1:])
		}
	}
	return rest
}

func hasCertHash(a ma.Multiaddr) bool {
	return slices.ContainsFunc(a, func(c ma.Component) bool { return c.Code() == ma.P_CERTHASH })
}

var tls, ws = must(ma.NewComponent("tls", "")), must(ma.NewComponent("ws", ""))

func must(c *ma.Component, err error) *ma.Component {
	if err != nil {
		panic(err)
	}
	return c
}

// hostOf returns the component for an IP address, or nil if it is not of the
// family that the DNS component asks for.
func hostOf(code int, ip netip.Addr) *ma.Component {
	proto := "ip6"
	if ip.Is4() {
		proto = "ip4"
	}
	if code == ma.P_DNS4 && proto != "ip4" || code == ma.P_DNS6 && proto != "ip6" {
		return nil
	}
	c, err := ma.NewComponent(proto, ip.String())
	if err != nil {
		return nil
	}
	return c
}

func endsIn(addr, end ma.Multiaddr) bool {
	return len(addr) >= len(end) && addr[len(addr)-len(end):].Equal(end)
}

// isDNS tells whether an address has to be looked up.
func isDNS(addr ma.Multiaddr) bool {
	if len(addr) == 0 {
		return false
	}
	switch addr[0].Code() {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		return true
	}
	return false
}

const (
	maxName  = 253 // of a name, without the dot at the end
	maxLabel = 63
)

// checkName accepts what the DNS can carry: letters, digits, hyphens and
// underscores in labels of at most 63 bytes, 253 bytes in all.
func checkName(name string) error {
	if name != "" && name[len(name)-1] == '.' {
		name = name[:len(name)-1]
	}
	if len(name) > maxName {
		return fmt.Errorf("%d bytes: %w", len(name), ErrName)
	}
	label := 0
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '.' && label > 0:
			label = 0
			continue
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			label++
		default:
			return fmt.Errorf("byte %#02x: %w", c, ErrName)
		}
		if label > maxLabel {
			return fmt.Errorf("label of more than %d bytes: %w", maxLabel, ErrName)
		}
	}
	if label == 0 {
		return fmt.Errorf("empty label: %w", ErrName)
	}
	return nil
}
