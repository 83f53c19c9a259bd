// SPDX-License-Identifier: Apache-2.0 OR MIT

package unix

import (
	"errors"
	"fmt"
	"net"
	"sync"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/transport/internal/handover"
)

// listener is one transport's part in a socket.
type listener struct {
	transport *Transport
	socket    *socket
	addr      ma.Multiaddr
	place     *handover.Place[*net.UnixConn]
	close     func() error
}

// listen opens a socket, or joins the one of another instance.
func (t *Transport) listen(at endpoint) (*listener, error) {
	shares := t.shares
	if shares == nil {
		shares = &t.own
	}
	s, release, err := core.Share(shares, socketKey(at.path), func() (*socket, error) { return open(at.path, t.mode) })
	if err != nil {
		return nil, err
	}
	l := &listener{transport: t, addr: at.addr}
	if err := s.join(l); err != nil {
		return nil, errors.Join(err, release())
	}
	l.close = sync.OnceValue(func() error { return errors.Join(s.leave(l), release()) })
	return l, nil
}

// Accept implements [manet.Listener]. Its errors are final.
func (l *listener) Accept() (manet.Conn, error) {
	l.socket.serve()
	c, err := l.place.Take()
	if err != nil {
		return nil, fmt.Errorf("accept %s: %w", l.addr, err)
	}
	return &conn{UnixConn: c, addr: l.addr}, nil
}

// Close implements [manet.Listener]. The last listener's removes the file.
func (l *listener) Close() error { return l.close() }

// Addr implements [manet.Listener].
func (l *listener) Addr() net.Addr { return l.socket.unix.Addr() }

// Multiaddr implements [manet.Listener].
func (l *listener) Multiaddr() ma.Multiaddr { return l.addr }

var _ manet.Listener = (*listener)(nil)
