// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package floodsub carries messages on topics by sending each to all peers that
// want it.
//
// Spec: https://github.com/libp2p/specs/blob/master/pubsub/README.md
//
//	"pubsub": {"floodsub": {"topics": ["news"]}}
//
// It is for few peers: what gossipsub spends on a message does not grow with
// their number. Gossipsub speaks floodsub too; a node has one of the two.
package floodsub

import (
	"context"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/hub"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
)

func init() { core.Register(new(Service), core.Beta) }

// ID is the protocol's ID.
const ID = "/floodsub/1.0.0"

// Service is the xnode.pubsub.floodsub module.
type Service struct {
	hub.Config

	*hub.Hub `json:"-"`
}

// CaddyModule implements [caddy.Module].
func (*Service) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.floodsub", New: func() caddy.Module { return new(Service) }}
}

// Provision implements [caddy.Provisioner].
func (s *Service) Provision(ctx caddy.Context) error {
	return s.Config.Provision(ctx, core.Logger(ctx))
}

// Validate implements [caddy.Validator].
func (s *Service) Validate() error {
	settings, err := s.Resolve()
	if err != nil {
		return err
	}
	settings.Protocols = []hub.Protocol{{ID: ID, Version: mesh.Floodsub}}
	settings.Params = new(mesh.Params)
	settings.Params.Provision()
	s.Hub = hub.New(settings)
	return nil
}

// Start implements [core.Service].
func (s *Service) Start(ctx context.Context, n core.Node) error { return s.Hub.Start(ctx, n) }

// Close implements [core.Service].
func (s *Service) Close() error {
	if s.Hub == nil {
		return nil
	}
	return s.Hub.Close()
}

var (
	_ core.PubSub       = (*Service)(nil)
	_ core.Topics       = (*Service)(nil)
	_ caddy.Provisioner = (*Service)(nil)
	_ caddy.Validator   = (*Service)(nil)
)
