// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

var loopback = ma.StringCast("/ip4/127.0.0.1/udp/0/webrtc-direct")

func TestMuxedTransport(t *testing.T) {
	coretest.TestMuxedTransport(t, func(t *testing.T) core.MuxedTransport {
		return coretest.MustLoad[core.MuxedTransport](t, "webrtcdirect", `{}`)
	}, loopback,
		// SCTP has no flow control for single streams.
		coretest.SessionOptions{StreamCodes: true, NoBackpressure: true})
}
