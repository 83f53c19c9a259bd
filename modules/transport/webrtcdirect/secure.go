// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/security/noise"
	"github.com/xnode-p2p/xnode/modules/transport/internal/dtlslink"
	"github.com/xnode-p2p/xnode/modules/transport/internal/pionlog"
	"github.com/xnode-p2p/xnode/modules/transport/internal/webrtcstream"
)

// receivePriority is that of the memory for what SCTP receives.
const receivePriority = 128

var errWrongCertificate = errors.New("the listener's certificate is not that of the address")

// setup is what a connection is made with.
type setup struct {
	client bool
	// memory is the connection's. A listener has it with the handshake.
	memory   core.ConnMemory
	admitted func() core.ConnMemory
	// expect and pinned are what a dialer knows of the listener.
	expect peer.ID
	pinned hash
}

// secure makes a connection on a link, which it closes if it fails.
func (t *Transport) secure(ctx context.Context, l *dtlslink.Link, s setup) (_ *conn, err error) {
	c := &conn{link: l}
	defer func() {
		if err != nil {
			c.abandon()
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	remote, err := t.handshake(ctx, l, s)
	if err != nil {
		return nil, ended(ctx, fmt.Errorf("dtls: %w", err))
	}
	if !s.client {
		s.memory = s.admitted()
	}
	if err := c.reserve(s.memory, int(t.ReceiveBuffer)); err != nil {
		return nil, err
	}
	session, err := webrtcstream.New(ctx, l, webrtcstream.Config{
		Client:        s.client,
		Memory:        s.memory,
		MaxIncoming:   t.MaxIncomingStreams,
		ReceiveBuffer: int(t.ReceiveBuffer),
		Logs:          pionlog.Logs{To: t.log},
		Ended:         l.Ended,
	})
	if err != nil {
		return nil, ended(ctx, err)
	}
	c.Session = session
	handshake, err := session.Handshake()
	if err != nil {
		return nil, ended(ctx, err)
	}
	if err := c.authenticate(ctx, t, handshake, s, remote); err != nil {
		return nil, ended(ctx, err)
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	session.Serve()
	return c, nil
}

// ended names the end of ctx as the cause of an error that it led to.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, context.Cause(ctx)) {
		return err
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), err)
}

// handshake performs that of DTLS, and returns the hash of the remote's
// certificate. Who the remote is does not follow from it.
func (t *Transport) handshake(ctx context.Context, l *dtlslink.Link, s setup) (hash, error) {
	c := dtlslink.Config{Client: s.client, Certificate: t.certificate.tls, Logs: pionlog.Logs{To: t.log}}
	if s.client {
		c.Verify = s.pinned.verify
	}
	remote, err := l.Handshake(ctx, c)
	return hash(remote), err
}

// verify is the dialer's check of the listener's certificate.
func (h hash) verify(got [dtlslink.HashSize]byte) error {
	if hash(got) != h {
		return errWrongCertificate
	}
	return nil
}

// prologue binds the Noise handshake to the two certificates.
func prologue(client, server hash) []byte {
	return bytes.Join([][]byte{[]byte("libp2p-webrtc-noise:"), client.multihash(), server.multihash()}, nil)
}

// authenticate performs the Noise handshake, in which the listener, who may send
// first, is the initiator.
func (c *conn) authenticate(ctx context.Context, t *Transport, channel *webrtcstream.Stream, s setup, remote hash) error {
	client, server := remote, t.certificate.hash
	if s.client {
		client, server = server, client
	}
	identity, _ := core.DialIdentity(ctx, t.identity)
	secured, err := t.noise.Handshake(ctx, handshakeChannel{channel, c.link},
		core.Handshake{Identity: identity, Initiator: !s.client, Expect: s.expect},
		noise.Options{Prologue: prologue(client, server)})
	if err != nil {
		return err
	}
	c.peer, c.key = secured.RemotePeer(), secured.RemotePublicKey()
	channel.Ignore()
	return nil
}

// handshakeChannel is a data channel as Noise wants it.
type handshakeChannel struct {
	*webrtcstream.Stream
	link *dtlslink.Link
}

// LocalAddr implements [net.Conn].
func (h handshakeChannel) LocalAddr() net.Addr { return h.link.LocalAddr() }

// RemoteAddr implements [net.Conn].
func (h handshakeChannel) RemoteAddr() net.Addr { return h.link.RemoteAddr() }

// conn is a connection.
type conn struct {
	*webrtcstream.Session
	link          *dtlslink.Link
	memory        core.ConnMemory // nil if nothing is reserved
	reserved      int
	release       sync.Once
	peer          peer.ID
	key           peer.PublicKey
	local, remote ma.Multiaddr
}

func (c *conn) reserve(m core.ConnMemory, n int) error {
	if err := m.Reserve(n, receivePriority); err != nil {
		return err
	}
	c.memory, c.reserved = m, n
	return nil
}

// giveBack is called with the end of the connection.
func (c *conn) giveBack() {
	if c.memory != nil {
		c.release.Do(func() { c.memory.Release(c.reserved) })
	}
}

// abandon ends a connection that has not become one.
func (c *conn) abandon() {
	if c.Session != nil {
		_ = c.Session.Close() // always nil
	}
	_ = c.link.Close() // always nil
	c.giveBack()
}

// Close implements [core.Session].
func (c *conn) Close() error { return c.CloseWithCode(core.ConnNoError) }

// CloseWithCode implements [core.Session].
func (c *conn) CloseWithCode(code core.ConnCode) error {
	err := c.Session.CloseWithCode(code)
	c.giveBack()
	return err
}

// RemotePeer implements [core.MuxedConn].
func (c *conn) RemotePeer() peer.ID { return c.peer }

// RemotePublicKey implements [core.MuxedConn].
func (c *conn) RemotePublicKey() peer.PublicKey { return c.key }

// LocalMultiaddr implements [core.MuxedConn].
func (c *conn) LocalMultiaddr() ma.Multiaddr { return c.local }

// RemoteMultiaddr implements [core.MuxedConn].
func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.remote }

var _ core.MuxedConn = (*conn)(nil)
