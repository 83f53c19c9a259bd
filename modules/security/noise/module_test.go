// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"context"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{"module": "noise"}`:                   "",
		`{"module": "noise", "prologue": "x"}`:  "prologue",
		`{"module": "noise", "muxers": ["/y"]}`: "muxers",
	} {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		loaded, err := core.One[core.Security](config).Load(ctx)
		cancel()
		switch {
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q in it", config, err, want)
		case want == "" && err != nil:
			t.Errorf("%s: %v", config, err)
		case want == "" && loaded.Module.Protocol() != "/noise":
			t.Errorf("%s: protocol %q", config, loaded.Module.Protocol())
		}
	}
}
