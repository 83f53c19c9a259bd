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
	end := func() {
		a.close()
		s.drop()
	}
	c, err := s.quic.Dial(ctx, net.UDPAddrFromAddrPort(to), config, settings.quicConfig(func(_ *quic.Conn, by uint64) bool { return a.grow(by) }))
	if err != nil {
		end()
		return nil, err
	}
	context.AfterFunc(c.Context(), end)
	return c, nil
}
