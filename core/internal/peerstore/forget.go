// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerstore

import (
	"slices"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// Forget removes everything about p, permanent addresses included. If p is
// ForgetAddr removes one address of p, which turned out to lead elsewhere.
func (b *Book) ForgetAddr(p peer.ID, addr ma.Multiaddr) {
	bytes, ok := compact(p, addr)
	if !ok {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[p]
	if e == nil {
		return
	}
	b.change(e, b.moment(), func() {
		e.addrs = slices.DeleteFunc(e.addrs, func(a address) bool { return a.bytes == bytes })
	})
}
