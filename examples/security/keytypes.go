// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package keytypes secures connections with another security, and refuses peers
// whose keys are not of the types that it wants.
//
//	"security": [{"module": "keytypes", "channel": {"module": "noise"}, "key_types": ["ed25519"]}]
//
// On the wire it is the other one.
package keytypes

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Security), core.Development) }

// Security is the xnode.security.keytypes module.
type Security struct {
	// Channel is the security that does the work.
	// Default: {"module": "noise"}.
	Channel core.One[core.Security] `json:"channel,omitempty"`
	// KeyTypes are the types of keys that peers may have: "ed25519",
	// "secp256k1", "ecdsa", "rsa". Default: all.
	KeyTypes []string `json:"key_types,omitempty"`

	core.SecureChannel `json:"-"` // the other security
}

// CaddyModule implements [caddy.Module].
func (*Security) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.security.keytypes", New: func() caddy.Module { return new(Security) }}
}

// Provision implements [caddy.Provisioner].
func (s *Security) Provision(ctx caddy.Context) error {
	if s.Channel == nil {
		s.Channel = core.One[core.Security](`{"module": "noise"}`)
	}
	loaded, err := s.Channel.Load(ctx)
	if err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	channel, ok := loaded.Module.(core.SecureChannel)
	if !ok {
		return fmt.Errorf("channel: %s authenticates nobody; name a secure channel, such as noise", loaded.Name)
	}
	s.SecureChannel = channel
	return nil
}

// Validate implements [caddy.Validator].
func (s *Security) Validate() error {
	for _, t := range s.KeyTypes {
		if !slices.Contains([]string{"ed25519", "secp256k1", "ecdsa", "rsa"}, t) {
			return fmt.Errorf("key_types: %q is no type of key; write ed25519, secp256k1, ecdsa or rsa", t)
		}
	}
	return nil
}

// Start implements [core.Service], for the other security.
func (s *Security) Start(ctx context.Context, n core.Node) error {
	if inner, ok := s.SecureChannel.(core.Service); ok {
		return inner.Start(ctx, n)
	}
	return nil
}

// Close implements [core.Service].
func (s *Security) Close() error {
	if inner, ok := s.SecureChannel.(core.Service); ok {
		return inner.Close()
	}
	return nil
}

// Secure implements [core.SecureChannel].
func (s *Security) Secure(ctx context.Context, conn net.Conn, h core.Handshake) (core.SecureConn, error) {
	c, err := s.SecureChannel.Secure(ctx, conn, h)
	if err != nil {
		return nil, err
	}
	if t := strings.ToLower(c.RemotePublicKey().Type().String()); len(s.KeyTypes) > 0 && !slices.Contains(s.KeyTypes, t) {
		return nil, fmt.Errorf("%s has a key of type %s, which is not wanted", c.RemotePeer(), t)
	}
	return c, nil
}

var (
	_ core.SecureChannel = (*Security)(nil)
	_ core.Service       = (*Security)(nil)
)
