// SPDX-License-Identifier: Apache-2.0 OR MIT

package throttle

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/transport/quic"
	_ "github.com/xnode-p2p/xnode/modules/transport/tcp"
)

func TestContract(t *testing.T) {
	tr := coretest.MustLoad[core.RawTransport](t, "throttle", `{"rate": "1GiB"}`)
	coretest.TestRawTransport(t, tr, ma.StringCast("/ip4/127.0.0.1/tcp/0"))
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Transport](t, "throttle", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "another transport", JSON: `{"transport": {"module": "tcp"}, "rate": "64KiB"}`},
		{Name: "too slow", JSON: `{"rate": "1B"}`, WantErr: "too slow"},
		{Name: "a transport with security", JSON: `{"transport": {"module": "quic"}}`, WantErr: "brings its own security"},
		{Name: "unknown key", JSON: `{"rat": "1MiB"}`, WantErr: `unknown field "rat"`},
	})
}
