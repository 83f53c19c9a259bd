// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command caddy is a Caddy with its standard modules and those of xnode.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/xnode-p2p/xnode/integrations/caddy"
	_ "github.com/xnode-p2p/xnode/modules/standard"
)

func main() { caddycmd.Main() }
