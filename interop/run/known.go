// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import "github.com/xnode-p2p/xnode/interop/internal/peers"

// known is something that another peer cannot do. Every run checks that it
// still cannot: a cell that passes all the same makes the run fail.
type known struct {
	server, client string       // "" for any
	stack          *peers.Stack // nil for any
	operation      string       // "" for all
	// why is a sentence, with the evidence.
	why string
}

// knowns lists what other peers cannot do.
func knowns() []known {
	return nil
}

// knownReason says why a cell cannot work; empty if it should.
func knownReason(r *row, operation string) string {
	for _, k := range knowns() {
		if (k.server == "" || k.server == r.Server) && (k.client == "" || k.client == r.Client) &&
			(k.stack == nil || *k.stack == r.Stack) && (k.operation == "" || k.operation == operation) {
			return k.why
		}
	}
	return ""
}
