// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package echo sends back what a peer sends, until the peer ends its side of the
// stream: /echo/1.0.0.
//
// Spec: none; the protocol is that of the libp2p examples.
//
//	"protocols": {"echo": {}}
//
// It does not run over limited connections.
package echo

import (
	"context"
	"io"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

func init() { core.Register(new(Service), core.Beta) }

// ID is the protocol's ID.
const ID = "/echo/1.0.0"

// Service is the xnode.protocol.echo module.
type Service struct{ remove func() }

// CaddyModule implements [caddy.Module].
func (*Service) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.echo", New: func() caddy.Module { return new(Service) }}
}

// Start implements [core.Service].
func (s *Service) Start(_ context.Context, n core.Node) error {
	s.remove = n.Handle(ID, serve)
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

// serve implements [core.StreamHandler]. When it returns, the node closes the
// stream, and the peer reads the end.
func serve(s core.Stream) error {
	_, err := wire.Copy(s, s)
	return err
}

// Echo sends data to p and returns what comes back, at most one byte more than
// was sent. It ends with ctx.
func Echo(ctx context.Context, n core.Streams, p peer.ID, data []byte) ([]byte, error) {
	s, err := n.NewStream(ctx, p, ID)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { s.Reset(core.StreamNoError) })()

	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Write(data); err == nil {
			s.CloseWrite()
		}
	})
	back, err := io.ReadAll(io.LimitReader(s, int64(len(data))+1))
	if err != nil || len(back) != len(data) {
		s.Reset(core.StreamNoError) // the write may be waiting
	}
	wg.Wait()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return back, err
	}
	return back, s.Close()
}

var _ core.Protocol = (*Service)(nil)
