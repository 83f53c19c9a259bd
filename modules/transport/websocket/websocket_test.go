// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/certificate/selfsigned"
)

// The addresses of the tests: any port of the loopback interface.
var (
	plain4  = ma.StringCast("/ip4/127.0.0.1/tcp/0/ws")
	plain6  = ma.StringCast("/ip6/::1/tcp/0/ws")
	secure4 = ma.StringCast("/ip4/127.0.0.1/tcp/0/tls/ws")
)

// lenient listens on /tls/ws and does not check what it dials.
const lenient = `{"certificate": {"module": "selfsigned"}, "insecure_skip_tls_verify": true}`

func load(t testing.TB, config string) *Transport {
	t.Helper()
	return coretest.MustLoad[*Transport](t, "websocket", config)
}

func TestContract(t *testing.T) {
	for name, listen := range map[string]ma.Multiaddr{
		"ws":   plain4,
		"wss":  secure4,
		"path": ma.StringCast("/ip4/127.0.0.1/tcp/0/ws/http-path/a%2Fb%20c"),
		"sni":  ma.StringCast("/ip4/127.0.0.1/tcp/0/tls/sni/localhost/ws"),
		"ip6":  plain6,
	} {
		t.Run(name, func(t *testing.T) {
			coretest.TestRawTransport(t, load(t, lenient), listen, coretest.RawOptions{
				New: func(t *testing.T) core.RawTransport { return load(t, lenient) },
			})
		})
	}
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service { return load(t, lenient) })
}
