// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package gossipsub carries messages on topics over a mesh of few peers, and
// gossips about them to others: gossipsub 1.0 to 1.3, and floodsub for peers
// that speak nothing else.
//
// Spec: https://github.com/libp2p/specs/tree/master/pubsub/gossipsub
//
//	"pubsub": {"gossipsub": {"topics": ["news"]}}
//
// The extension of version 1.3 for partial messages is for programs, which say
// what the parts of a message are; see core.PartialTopics.
package gossipsub

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/gater"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/hub"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/score"
)

func init() { core.Register(new(Service), core.Beta) }

// protocols are those that the module speaks, the newest first.
var protocols = []hub.Protocol{
	{ID: "/meshsub/1.3.0", Version: mesh.V13},
	{ID: "/meshsub/1.2.0", Version: mesh.V12},
	{ID: "/meshsub/1.1.0", Version: mesh.V11},
	{ID: "/meshsub/1.0.0", Version: mesh.V10},
	{ID: "/floodsub/1.0.0", Version: mesh.Floodsub},
}

// Service is the xnode.pubsub.gossipsub module.
type Service struct {
	hub.Config

	// Params are the parameters of the mesh and of gossip.
	Params mesh.Params `json:"params,omitzero"`

	// Score says what peers are judged by; those that do badly are left out.
	// Default: {}, which judges what they do against the protocol alone.
	Score *score.Params `json:"score,omitempty"`

	// PeerGater drops messages by chance when there are more than the validators
	// have room for: those of peers first whose messages have mostly been of no
	// use. {} is one with the usual parameters.
	// Default: none; what there is no room for is dropped whoever sent it.
	PeerGater *gater.Params `json:"peer_gater,omitempty"`

	// PartialMessages speaks the extension for partial messages, on those topics
	// whose messages some module takes apart. {} is with the usual parameters.
	// Default: none; peers are not told of it.
	PartialMessages *mesh.PartialParams `json:"partial_messages,omitempty"`

	*hub.Hub `json:"-"`
}

// CaddyModule implements [caddy.Module].
func (*Service) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.gossipsub", New: func() caddy.Module { return new(Service) }}
}

// Provision implements [caddy.Provisioner].
func (s *Service) Provision(ctx caddy.Context) error {
	s.Params.Provision()
	if s.Score == nil {
		s.Score = new(score.Params)
	}
	s.Score.Provision()
	if s.PeerGater != nil {
		s.PeerGater.Provision()
	}
	if s.PartialMessages != nil {
		s.PartialMessages.Provision()
	}
	return s.Config.Provision(ctx, core.Logger(ctx))
}

// Validate implements [caddy.Validator].
func (s *Service) Validate() error {
	settings, err := s.Resolve()
	err = errors.Join(err, within("params", s.Params.Validate()), within("score", s.Score.Validate()))
	if s.PeerGater != nil {
		err = errors.Join(err, within("peer_gater", s.PeerGater.Validate()))
	}
	if s.PartialMessages != nil {
		err = errors.Join(err, within("partial_messages", s.PartialMessages.Validate()))
	}
	if err != nil {
		return err
	}
	settings.Protocols = protocols
	settings.Params = &s.Params
	settings.Score = s.Score
	settings.Gater = s.PeerGater
	settings.Partial = s.PartialMessages
	s.Hub = hub.New(settings)
	return nil
}

func within(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
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
	_ core.PubSub        = (*Service)(nil)
	_ core.Topics        = (*Service)(nil)
	_ core.TopicRecorder = (*Service)(nil)
	_ core.PartialTopics = (*Service)(nil)
	_ caddy.Provisioner  = (*Service)(nil)
	_ caddy.Validator    = (*Service)(nil)
)
