// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"context"
	"net"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/webtransport-go"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/security/noise"
)

// closingTime is how long the remote may take to close the first stream.
const closingTime = 10 * time.Second

// identify proves to the server of a session who this node is, and learns who
// the server is: expect, who must know the certificates that the address names.
func (t *Transport) identify(ctx context.Context, c *conn, expect peer.ID, e endpoint) error {
	s, err := c.session.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	remote, err := t.handshake(ctx, c, s, core.Handshake{Initiator: true, Expect: expect}, noise.Options{})
	if err != nil {
		return err
	}
	return e.verifyTold(remote.RemoteCertHashes())
}

// identifyClient is the same on the server.
func (t *Transport) identifyClient(ctx context.Context, c *conn, certHashes [][]byte) error {
	s, err := c.session.AcceptStream(ctx)
	if err != nil {
		return err
	}
	_, err = t.handshake(ctx, c, s, core.Handshake{}, noise.Options{CertHashes: certHashes})
	return err
}

// handshake runs Noise on the first stream of a session, which serves nothing
// else: the session is encrypted already.
func (t *Transport) handshake(ctx context.Context, c *conn, s *webtransport.Stream, h core.Handshake, o noise.Options) (*noise.Conn, error) {
	h.Identity, _ = core.DialIdentity(ctx, t.node)
	remote, err := t.noise.Handshake(ctx, noiseStream{s, c.quic}, h, o)
	if err != nil {
		return nil, err
	}
	c.id, c.key = remote.RemotePeer(), remote.RemotePublicKey()
	_ = s.Close() // the last message may be on its way still
	c.running.Go(func() { finishNoise(s) })
	return remote, nil
}

// finishNoise waits for the remote to close the first stream. To stop it at once
// would be an error to js-libp2p, which waits for its close to be acknowledged.
// What else a remote says on it is nobody's.
func finishNoise(s *webtransport.Stream) {
	_ = s.SetReadDeadline(time.Now().Add(closingTime))
	_, _ = s.Read(make([]byte, 1))
	s.CancelRead(webtransport.StreamErrorCode(core.StreamNoError))
}

// noiseStream makes a stream a [net.Conn].
type noiseStream struct {
	*webtransport.Stream
	quic *quic.Conn
}

// LocalAddr implements [net.Conn].
func (s noiseStream) LocalAddr() net.Addr { return s.quic.LocalAddr() }

// RemoteAddr implements [net.Conn].
func (s noiseStream) RemoteAddr() net.Addr { return s.quic.RemoteAddr() }

var _ net.Conn = noiseStream{}
