// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcp

import (
	"fmt"
	"net"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/modules/transport/internal/tcpport"
)

// listener accepts what is neither TLS nor HTTP on one port.
type listener struct {
	*tcpport.Listener

	transport *Transport
	addr      ma.Multiaddr
}

// Accept implements [manet.Listener]. Its errors are final. Connections that are
// over before they begin do not show.
func (l *listener) Accept() (manet.Conn, error) {
	for {
		tcp, err := l.Listener.Accept()
		if err != nil {
			return nil, fmt.Errorf("accept %s: %w", l.addr, err)
		}
		if c, err := l.transport.wrap(tcp, nil, nil); err == nil {
			return c, nil
		}
	}
}

// Addr implements [manet.Listener].
func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.Listener.Addr()) }

// Multiaddr implements [manet.Listener].
func (l *listener) Multiaddr() ma.Multiaddr { return l.addr }

var _ manet.Listener = (*listener)(nil)
