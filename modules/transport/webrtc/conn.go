// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/pion/ice/v4"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/transport/internal/dtlslink"
	"github.com/xnode-p2p/xnode/modules/transport/internal/pionlog"
	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
	"github.com/xnode-p2p/xnode/modules/transport/internal/webrtcstream"
)

const (
	// receivePriority is that of the memory for what is received.
	receivePriority = 128
	// agentMemory is about what an ICE agent keeps, in bytes.
	agentMemory = 64 << 10
)

var (
	errWrongCertificate = errors.New("the certificate is not the one that was signalled")
	errSilent           = errors.New("the remote gives no sign of life")
)

// conn is a connection.
type conn struct {
	*webrtcstream.Session
	memory        core.ConnMemory
	reserved      int
	release       sync.Once
	peer          peer.ID
	key           peer.PublicKey
	local, remote ma.Multiaddr
}

// connect makes a connection to the peer at the other end of a signalling stream.
// That peer has said which certificate is its own, on a connection on which it has
// proven who it is: no other handshake than that of DTLS is needed.
func (t *Transport) connect(ctx context.Context, s core.Stream, offerer bool, m core.ConnMemory) (_ *conn, err error) {
	c := &conn{peer: s.Conn().RemotePeer(), key: s.Conn().RemotePublicKey()}
	if err := c.reserve(m, int(t.ReceiveBuffer)+agentMemory); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.giveBack()
		}
	}()
	n, err := t.negotiate(ctx, s, offerer)
	if err != nil {
		return nil, err
	}
	link, err := n.link()
	if err != nil {
		return nil, err
	}
	if err := c.secure(ctx, t, n, link); err != nil {
		return nil, errors.Join(err, link.Close())
	}
	return c, nil
}

// link puts a link on the path that was found. Closing it ends everything below.
func (n *negotiation) link() (*dtlslink.Link, error) {
	remote, ok := n.path.RemoteAddr().(*net.UDPAddr)
	if !ok {
		return nil, errors.Join(errUnreachable, n.agent.GracefulClose()) // it is gone again
	}
	var reading sync.WaitGroup
	link := dtlslink.New(n.path.LocalAddr(), remote.AddrPort(), n.send, func() {
		_ = n.agent.GracefulClose() // always nil
		reading.Wait()
	})
	n.sockets.link.Store(link)
	reading.Go(func() { receive(n.path, link) })
	return link, nil
}

func (n *negotiation) send(b []byte, _ *net.UDPAddr) error {
	_, err := n.path.Write(b)
	if errors.Is(err, ice.ErrClosed) {
		return fmt.Errorf("%w: %w", net.ErrClosed, err)
	}
	return err
}

// receive hands what comes through the ICE library to the link: what a TURN server
// has relayed, and what came before it was settled which way is taken.
func receive(path *ice.Conn, link *dtlslink.Link) {
	b := make([]byte, dtlslink.MaxDatagram)
	for {
		n, err := path.Read(b)
		switch {
		case errors.Is(err, io.ErrShortBuffer): // nothing of DTLS is so long
		case err != nil:
			return
		case n > 0 && b[0] >= minDTLS && b[0] < maxDTLS:
			link.Receive(b[:n])
		}
	}
}

// secure performs the DTLS handshake and starts the session.
func (c *conn) secure(ctx context.Context, t *Transport, n *negotiation, link *dtlslink.Link) (err error) {
	stop := context.AfterFunc(ctx, func() { _ = link.Close() })
	defer stop()
	client := n.exchange.client()
	_, err = link.Handshake(ctx, dtlslink.Config{
		Client:      client,
		Certificate: t.certificate.tls,
		Verify:      n.exchange.remote.verify,
		Logs:        pionlog.Logs{To: t.log},
	})
	if err != nil {
		return ended(ctx, fmt.Errorf("dtls: %w", err))
	}
	if c.local, err = address(link.LocalAddr()); err != nil {
		return err
	}
	if c.remote, err = address(link.RemoteAddr()); err != nil {
		return err
	}
	session, err := webrtcstream.New(ctx, link, webrtcstream.Config{
		Client:        client,
		Memory:        c.memory,
		MaxIncoming:   t.MaxIncomingStreams,
		ReceiveBuffer: int(t.ReceiveBuffer),
		Logs:          pionlog.Logs{To: t.log},
		Ended:         link.Ended,
	})
	if err != nil {
		return ended(ctx, err)
	}
	if !stop() {
		return errors.Join(context.Cause(ctx), session.Close())
	}
	c.Session = session
	session.Serve()
	return nil
}

// verify says whether a certificate is one of those that the remote has signalled.
func (d description) verify(hash [dtlslink.HashSize]byte) error {
	if !slices.Contains(d.fingerprints, fingerprint(hash)) {
		return errWrongCertificate
	}
	return nil
}

// ended names the end of ctx as the cause of an error that it led to.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, context.Cause(ctx)) {
		return err
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), err)
}

// address writes /ip4|ip6/…/udp/N/webrtc: where one end of a connection is.
func address(at net.Addr) (ma.Multiaddr, error) {
	udp, ok := at.(*net.UDPAddr)
	if !ok {
		return nil, fmt.Errorf("an address of the %s network", at.Network())
	}
	ap := udp.AddrPort()
	a, err := udpport.Multiaddr(netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
	if err != nil {
		return nil, err
	}
	return a.Encapsulate(suffix), nil
}

func (c *conn) reserve(m core.ConnMemory, n int) error {
	if err := m.Reserve(n, receivePriority); err != nil {
		return err
	}
	c.memory, c.reserved = m, n
	return nil
}

func (c *conn) giveBack() { c.release.Do(func() { c.memory.Release(c.reserved) }) }

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

// RemoteMultiaddr implements [core.MuxedConn]: where the remote really is, or the
// TURN server that stands for it. The address that was dialled is but a way to
// find out.
func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.remote }

var _ core.MuxedConn = (*conn)(nil)
