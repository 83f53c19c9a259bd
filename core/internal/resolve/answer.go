// SPDX-License-Identifier: Apache-2.0 OR MIT

package resolve

import (
	"context"
	"net/netip"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	txtPrefix = "_dnsaddr."
	txtField  = "dnsaddr="

	// maxEntry bounds the text of one TXT record, in bytes.
	maxEntry = 4096
)

// answer is what the DNS said to a query.
type answer struct {
	ips     []netip.Addr   // at most maxEntries
	entries []ma.Multiaddr // at most maxEntries
	err     error
	took    time.Duration
}

// get asks b.
func (a *answer) get(ctx context.Context, b Backend, q query) {
	start := time.Now()
	defer func() { a.took = time.Since(start) }()
	if a.err = context.Cause(ctx); a.err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	if !q.txt {
		ips, err := b.LookupIPAddr(ctx, q.name)
		a.err = err
		for _, ip := range ips[:min(len(ips), maxEntries)] {
			if host, ok := netip.AddrFromSlice(ip.IP); ok && ip.Zone == "" {
				a.ips = append(a.ips, host.Unmap())
			}
		}
		return
	}
	name := txtPrefix + q.name
	if a.err = checkName(name); a.err != nil {
		return
	}
	texts, err := b.LookupTXT(ctx, name)
	a.err = err
	for _, text := range texts[:min(len(texts), maxEntries)] {
		if entry, ok := parseEntry(text); ok {
			a.entries = append(a.entries, entry)
		}
	}
}

// parseEntry reads a TXT record of a /dnsaddr. Other records may stand under
// the same name, so what is not understood is no error.
func parseEntry(text string) (ma.Multiaddr, bool) {
	if len(text) > maxEntry {
		return nil, false
	}
	text, ok := strings.CutPrefix(text, txtField)
	if !ok {
		return nil, false
	}
	addr, err := ma.NewMultiaddr(text)
	if err != nil {
		return nil, false
	}
	addr, err = peer.DecodeAddr(addr.Bytes())
	return addr, err == nil
}
