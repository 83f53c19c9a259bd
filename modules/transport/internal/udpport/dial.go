// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"

	"github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
)

// DialQUIC connects to an address from the port. It ends with ctx. What the
// connection buffers is taken from m until it ends.
func (p *Port) DialQUIC(ctx context.Context, to netip.AddrPort, config *tls.Config, settings Settings, m core.ConnMemory) (*quic.Conn, error) {
	s := p.socket
	s.mu.Lock()
	s.holdLocked()
	s.mu.Unlock()
	a := &account{memory: m}
	gone := make(chan struct{})
	end := func() {
		defer close(gone)
		a.close()
		s.drop()
	}
	ctx = withGone(ctx, gone) // a connection keeps the values of the context
	c, err := s.quic.Dial(ctx, net.UDPAddrFromAddrPort(to), config, settings.quicConfig(func(_ *quic.Conn, by uint64) bool { return a.grow(by) }))
	if err != nil {
		end()
		return nil, err
	}
	context.AfterFunc(c.Context(), end)
	return c, nil
}

// goneKey is where the context of a connection has a channel that is closed when
// its socket has forgotten it.
type goneKey struct{}

func withGone(ctx context.Context, gone <-chan struct{}) context.Context {
	return context.WithValue(ctx, goneKey{}, gone)
}

// Close closes a connection that was dialled or accepted on a port, with a code
// for the remote. It waits until the port has forgotten the connection: if
// nobody else uses the port, it can be bound anew then.
func Close(c *quic.Conn, code core.ConnCode) error {
	err := c.CloseWithError(quic.ApplicationErrorCode(code), "")
	if gone, ok := c.Context().Value(goneKey{}).(<-chan struct{}); ok {
		<-gone
	}
	return err
}
