// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import ma "github.com/multiformats/go-multiaddr"

// Relisten does at once what the monitor of the network does from time to time.
func (h *Host) Relisten() { h.relisten() }

// MoveTo does at once what the monitor of the network does when the machine has
// other addresses.
func (h *Host) MoveTo(interfaces ...ma.Multiaddr) {
	h.addrs.renewing.Lock()
	h.addrs.interfaces = func() []ma.Multiaddr { return interfaces }
	h.addrs.renewing.Unlock()
	h.networkChanged()
}
