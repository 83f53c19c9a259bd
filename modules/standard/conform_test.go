// SPDX-License-Identifier: Apache-2.0 OR MIT

package standard_test

import (
	"testing"

	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/standard"
)

// What 'xnode conform' runs for the modules of the standard distribution, but for
// those that have the suite in their own packages.
func TestConform(t *testing.T) {
	coretest.Conform(t, nil, "xnode.muxer.yamux", "xnode.security.noise", "xnode.transport.tcp", "xnode.storage.memory",
		"xnode.protocol.ping", "xnode.identity.file", "xnode.pubsub.validator.json")
}
