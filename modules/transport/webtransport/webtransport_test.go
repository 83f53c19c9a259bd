// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

const listenAddr = "/ip4/127.0.0.1/udp/0/quic-v1/webtransport"

func TestTransport(t *testing.T) {
	coretest.TestMuxedTransport(t, func(t *testing.T) core.MuxedTransport {
		return coretest.MustLoad[core.MuxedTransport](t, "webtransport", `{}`)
	}, ma.StringCast(listenAddr), coretest.SessionOptions{StreamCodes: true, ConnCodes: true})
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return coretest.MustLoad[*Transport](t, "webtransport", `{}`)
	})
}

func TestConfigs(t *testing.T) {
	coretest.TestConfigs[*Transport](t, "webtransport", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "patient", JSON: `{"handshake_timeout": "30s"}`},
		{Name: "too short", JSON: `{"handshake_timeout": "10ms"}`, WantErr: "want 1s to 1m"},
		{Name: "too long", JSON: `{"handshake_timeout": "1h"}`, WantErr: "want 1s to 1m"},
		{Name: "no unit", JSON: `{"handshake_timeout": 3}`, WantErr: "write a string with a unit"},
		{Name: "unknown key", JSON: `{"certificate": "a.pem"}`, WantErr: "certificate"},
	})
}
