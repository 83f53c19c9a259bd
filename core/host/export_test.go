// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

// Relisten does at once what the monitor of the network does from time to time.
func (h *Host) Relisten() { h.relisten() }
