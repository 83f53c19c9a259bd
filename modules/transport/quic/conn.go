// SPDX-License-Identifier: Apache-2.0 OR MIT

package quic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	ma "github.com/multiformats/go-multiaddr"
	quicgo "github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/security/tls"
	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
)

// conn is a QUIC connection to a peer.
type conn struct {
	quic          *quicgo.Conn
	key           peer.PublicKey
	peer          peer.ID
	local, remote ma.Multiaddr
}

// newConn makes a conn of a QUIC connection, which it closes if it fails. The
// remote's address is taken from the connection if it is nil.
func newConn(q *quicgo.Conn, remote ma.Multiaddr) (*conn, error) {
	c := &conn{quic: q, remote: remote}
	var err error
	c.key, err = tls.PeerKey(q.ConnectionState().TLS)
	if err == nil {
		c.local, err = multiaddr(q.LocalAddr())
	}
	if err == nil && remote == nil {
		c.remote, err = multiaddr(q.RemoteAddr())
	}
	if err != nil {
		c.CloseWithCode(core.ConnProtocolViolation)
		return nil, err
	}
	c.peer = peer.FromPublicKey(c.key)
	return c, nil
}

func multiaddr(a net.Addr) (ma.Multiaddr, error) {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return nil, fmt.Errorf("%s: is no UDP address", a)
	}
	at := udp.AddrPort()
	return udpport.QUICMultiaddr(netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
}

// OpenStream implements [core.Session]. The remote learns of the stream with the
// first that is written to it.
func (c *conn) OpenStream(ctx context.Context) (core.MuxedStream, error) {
	s, err := c.quic.OpenStreamSync(ctx)
	if err != nil {
		if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
			return nil, err
		}
		return nil, ended(err)
	}
	return &stream{quic: s}, nil
}

// AcceptStream implements [core.Session].
func (c *conn) AcceptStream() (core.MuxedStream, error) {
	s, err := c.quic.AcceptStream(context.Background())
	if err != nil {
		return nil, ended(err)
	}
	return &stream{quic: s}, nil
}

// Close implements [core.Session].
func (c *conn) Close() error { return c.CloseWithCode(core.ConnNoError) }

// CloseWithCode implements [core.Session].
func (c *conn) CloseWithCode(code core.ConnCode) error { return udpport.Close(c.quic, code) }

// Done implements [core.Session].
func (c *conn) Done() <-chan struct{} { return c.quic.Context().Done() }

// RemotePeer implements [core.MuxedConn].
func (c *conn) RemotePeer() peer.ID { return c.peer }

// RemotePublicKey implements [core.MuxedConn].
func (c *conn) RemotePublicKey() peer.PublicKey { return c.key }

// LocalMultiaddr implements [core.MuxedConn].
func (c *conn) LocalMultiaddr() ma.Multiaddr { return c.local }

// RemoteMultiaddr implements [core.MuxedConn].
func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.remote }

var _ core.MuxedConn = (*conn)(nil)
