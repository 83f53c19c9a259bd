// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package greeting greets whoever opens a stream: /greeting/1.0.0.
//
//	"protocols": {"greeting": {"text": "good day"}}
//
// What a peer sends is not read.
package greeting

import (
	"context"
	"fmt"
	"io"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func init() { core.Register(new(Service), core.Development) }

// ID is the protocol's ID.
const ID = "/greeting/1.0.0"

// maxText bounds a greeting, in bytes.
const maxText = 1024

// Service is the xnode.protocol.greeting module.
type Service struct {
	// Text is the greeting, in at most 1024 bytes.
	// Default: "hello".
	Text string `json:"text,omitempty"`

	node   core.Node
	remove func()
}

// CaddyModule implements [caddy.Module].
func (*Service) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.greeting", New: func() caddy.Module { return new(Service) }}
}

// Provision implements [caddy.Provisioner].
func (s *Service) Provision(caddy.Context) error {
	if s.Text == "" {
		s.Text = "hello"
	}
	return nil
}

// Validate implements [caddy.Validator].
func (s *Service) Validate() error {
	if len(s.Text) > maxText {
		return fmt.Errorf("text: it has %d bytes; the most is %d", len(s.Text), maxText)
	}
	return nil
}

// Start implements [core.Service].
func (s *Service) Start(_ context.Context, n core.Node) error {
	s.node = n
	s.remove = n.Handle(ID, func(stream core.Stream) error {
		_, err := io.WriteString(stream, s.Text)
		return err
	})
	return nil
}

// Close implements [core.Service].
func (s *Service) Close() error {
	if s.remove != nil {
		s.remove()
		s.remove = nil
	}
	return nil
}

// Greeting asks p for its greeting. It ends with ctx.
func Greeting(ctx context.Context, n core.Streams, p peer.ID) (string, error) {
	s, err := n.NewStream(ctx, p, ID)
	if err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset(core.StreamNoError) })()
	text, err := io.ReadAll(io.LimitReader(s, maxText))
	if err != nil {
		return "", err
	}
	return string(text), s.Close()
}

// Commands implements [core.Commander]: 'xnode greeting greet PEER'.
func (s *Service) Commands() []core.Command {
	return []core.Command{{
		Name: "greeting greet", Usage: "PEER", Short: "Asks a peer for its greeting",
		Run: func(ctx context.Context, args []string) (any, error) {
			if len(args) != 1 {
				return nil, fmt.Errorf("%d arguments; name one peer", len(args))
			}
			p, err := peer.Decode(args[0])
			if err != nil {
				return nil, err
			}
			text, err := Greeting(ctx, s.node, p)
			return map[string]string{"peer": p.String(), "text": text}, err
		},
	}}
}

var (
	_ core.Protocol  = (*Service)(nil)
	_ core.Commander = (*Service)(nil)
)
