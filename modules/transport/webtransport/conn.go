// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"context"
	"errors"
	"net"
	"sync"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// conn is a session whose remote is known, with the QUIC connection that serves
// nothing but it: each ends with the other.
type conn struct {
	quic          *quic.Conn
	session       *webtransport.Session
	id            peer.ID
	key           peer.PublicKey
	local, remote ma.Multiaddr

	running sync.WaitGroup
	done    chan struct{}
	reason  *core.ConnError // set before done is closed
}

// start begins to wait for the end.
func (c *conn) start() {
	c.done = make(chan struct{})
	c.running.Go(func() {
		defer close(c.done)
		<-c.session.Context().Done()
		session := sessionEnd(c.session)
		closeQUIC(c.quic, localCode(session))
		c.reason = connEnd(session, context.Cause(c.quic.Context()))
	})
}

// OpenStream implements [core.Session].
func (c *conn) OpenStream(ctx context.Context) (core.MuxedStream, error) {
	s, err := c.session.OpenStreamSync(ctx)
	switch {
	case err == nil:
		return &stream{conn: c, wt: s}, nil
	case c.ended(err):
		return nil, c.end()
	}
	return nil, err
}

// AcceptStream implements [core.Session].
func (c *conn) AcceptStream() (core.MuxedStream, error) {
	s, err := c.session.AcceptStream(context.Background())
	if err != nil {
		return nil, c.end()
	}
	return &stream{conn: c, wt: s}, nil
}

// ended tells whether an error of a stream is that of the connection: whether
// it has ended, or is about to.
func (c *conn) ended(err error) bool {
	if errors.Is(err, net.ErrClosed) || c.session.Context().Err() != nil {
		return true
	}
	_, session := errors.AsType[*webtransport.SessionError](err)
	_, http := errors.AsType[*http3.Error](err)
	return session || http
}

// end waits for the end, which has begun, and returns the reason.
func (c *conn) end() error {
	<-c.done
	return c.reason
}

// Close implements [core.Session].
func (c *conn) Close() error { return c.CloseWithCode(core.ConnNoError) }

// CloseWithCode implements [core.Session]. It does not wait for the remote.
func (c *conn) CloseWithCode(code core.ConnCode) error {
	// This leaves the remote a few milliseconds to take the code, and the end
	// of the QUIC connection, which carries it too, waits for nobody.
	_ = c.session.CloseWithError(webtransport.SessionErrorCode(code), "")
	c.running.Wait()
	return nil
}

// Done implements [core.Session].
func (c *conn) Done() <-chan struct{} { return c.done }

// RemotePeer implements [core.MuxedConn].
func (c *conn) RemotePeer() peer.ID { return c.id }

// RemotePublicKey implements [core.MuxedConn].
func (c *conn) RemotePublicKey() peer.PublicKey { return c.key }

// LocalMultiaddr implements [core.MuxedConn].
func (c *conn) LocalMultiaddr() ma.Multiaddr { return c.local }

// RemoteMultiaddr implements [core.MuxedConn].
func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.remote }

var _ core.MuxedConn = (*conn)(nil)
