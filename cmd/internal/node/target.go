// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// TXT looks up TXT records; a [*net.Resolver] does.
type TXT interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

const (
	maxRecords = 100 // TXT records that are looked at
	maxListed  = 8   // peers that an error lists
)

// Target reads what people write to name a peer: a peer ID, an address that
// ends in /p2p/ID, or a domain, which stands for /dnsaddr/DOMAIN. The peer of a
// /dnsaddr without /p2p/ID is looked up.
func Target(ctx context.Context, text string, dns TXT) (peer.AddrInfo, error) {
	if isDomain(text) {
		text = "/dnsaddr/" + text
	}
	if p, err := peer.ParseAddrInfo(text); err == nil {
		return p, nil
	}
	addr, err := ma.NewMultiaddr(text)
	if err != nil {
		return peer.AddrInfo{}, unreadable(text, err)
	}
	if len(addr) == 1 && addr[0].Protocol().Code == ma.P_DNSADDR {
		id, err := peerOf(ctx, addr[0].Value(), dns)
		return peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{addr}}, err
	}
	if _, id := peer.SplitAddr(addr); id == "" {
		return peer.AddrInfo{}, fmt.Errorf(
			"%s lacks the peer ID: write %s/p2p/ID; the node prints its ID when it starts, and so does 'xnode id' beside it", text, text)
	}
	_, err = peer.ParseAddrInfo(text)
	return peer.AddrInfo{}, err
}

// NamesPeerOnly tells whether a text is a peer ID without any address.
func NamesPeerOnly(text string) bool {
	p, err := peer.ParseAddrInfo(text)
	return err == nil && len(p.Addrs) == 0
}

// isDomain tells whether a text looks like a domain rather than a peer ID or
// an address: those have no dots.
func isDomain(text string) bool {
	letters := strings.Trim(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz0123456789-._")
	return strings.Contains(text, ".") && letters == "" && net.ParseIP(text) == nil
}

// unreadable says what a text that is no address might be meant to be.
func unreadable(text string, err error) error {
	if host, port, split := net.SplitHostPort(text); split == nil && !strings.HasPrefix(text, "/") {
		kind := "dns"
		if ip := net.ParseIP(host); ip != nil {
			kind = "ip4"
			if ip.To4() == nil {
				kind = "ip6"
			}
		}
		return fmt.Errorf("%s lacks the transport and the peer ID: write /%s/%s/tcp/%s/p2p/ID; the node prints its ID when it starts", text, kind, host, port)
	}
	if strings.HasPrefix(text, "/") {
		return fmt.Errorf("%q is no address: %w; an example is /ip4/192.0.2.1/tcp/4001/p2p/ID", text, err)
	}
	return fmt.Errorf("%q is neither a peer ID, nor an address such as /ip4/192.0.2.1/tcp/4001/p2p/ID, nor a domain", text)
}

// peerOf finds the one peer that the TXT records of a domain speak of.
func peerOf(ctx context.Context, domain string, dns TXT) (peer.ID, error) {
	records, err := dns.LookupTXT(ctx, "_dnsaddr."+domain)
	if err != nil {
		return "", fmt.Errorf("/dnsaddr/%s: %w", domain, err)
	}
	var ids []peer.ID
	for _, r := range records[:min(len(records), maxRecords)] {
		text, ok := strings.CutPrefix(r, "dnsaddr=")
		if !ok {
			continue
		}
		if p, err := peer.ParseAddrInfo(text); err == nil && !slices.Contains(ids, p.ID) {
			ids = append(ids, p.ID)
		}
	}
	switch len(ids) {
	case 0:
		return "", fmt.Errorf("/dnsaddr/%s: its TXT records at _dnsaddr.%s name no peer: write /dnsaddr/%s/p2p/ID", domain, domain, domain)
	case 1:
		return ids[0], nil
	}
	slices.Sort(ids)
	var b strings.Builder
	for _, id := range ids[:min(len(ids), maxListed)] {
		fmt.Fprintf(&b, "\n  /dnsaddr/%s/p2p/%s", domain, id)
	}
	return "", errors.New("/dnsaddr/" + domain + " leads to several peers; name one:" + b.String())
}
