// SPDX-License-Identifier: Apache-2.0 OR MIT

package standard_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

// usurper is somebody else's module that has the ID of ours.
type usurper struct{}

func (*usurper) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.echo", New: func() caddy.Module { return new(usurper) }}
}
func (*usurper) Start(context.Context, core.Node) error { return nil }
func (*usurper) Close() error                           { return nil }

// Who builds two modules of one ID into a binary is told which packages they are of.
func TestCollisionNamesBothPackages(t *testing.T) {
	defer func() {
		text := fmt.Sprint(recover())
		for _, want := range []string{"xnode.protocol.echo", "xnode/modules/standard_test", "xnode/modules/protocol/echo", "leave out one"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q does not say %q", text, want)
			}
		}
	}()
	core.Register(new(usurper))
}
