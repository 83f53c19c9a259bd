// SPDX-License-Identifier: Apache-2.0 OR MIT

package caddy

import (
	"encoding/json"
	"os"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("libp2p", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("libp2p", httpcaddyfile.Before, "encode")
	httpcaddyfile.RegisterGlobalOption("xnode", parseNode)
}

// parseHandler reads the directive of a site:
//
//	libp2p [<matcher>]
func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next()
	if h.NextArg() {
		return nil, h.ArgErr()
	}
	if h.NextBlock(0) {
		return nil, h.Errf("unknown option %s", h.Val())
	}
	return new(Handler), nil
}

// parseNode reads the global option that names a file with the configuration of
// the node, as it stands under apps/xnode:
//
//	xnode <file.json>
func parseNode(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next()
	var path string
	if !d.Args(&path) || d.NextArg() {
		return nil, d.ArgErr()
	}
	if existing != nil {
		return nil, d.Err("there is one node in a configuration")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, d.Errf("xnode: %w", err)
	}
	if !json.Valid(b) {
		return nil, d.Errf("xnode: %s is not JSON", path)
	}
	return httpcaddyfile.App{Name: "xnode", Value: b}, nil
}
