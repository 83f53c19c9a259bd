// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/transport/internal/tcpport"
)

// The protocols of ALPN. By acmeTLS a certificate authority looks whether the
// node has the name that it wants a certificate for.
const (
	http11  = "http/1.1"
	acmeTLS = "acme-tls/1"
)

// errChallenge means that a certificate authority has seen what it looked for.
var errChallenge = errors.New("the challenge of a certificate authority")

// serverTLS is how clients are spoken to with certificates from s.
func serverTLS(s core.CertificateSource) *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS12,
		NextProtos:                  []string{http11, acmeTLS},
		GetCertificate:              s.Certificate,
		DynamicRecordSizingDisabled: true,
	}
}

// shake makes the handshake with a client. It leaves the connection open when it
// fails.
func (l *listener) shake(ctx context.Context, tcp tcpport.Conn) (*conn, error) {
	deadline, _ := ctx.Deadline()
	if err := tcp.SetDeadline(deadline); err != nil {
		return nil, err
	}
	seen := tcpport.AddrPort(tcp.RemoteAddr())
	from, early := seen, &prefixed{Conn: tcp}
	if l.transport.ProxyProtocol && l.transport.trusts(seen.Addr()) {
		client, err := early.readProxy()
		if err != nil {
			return nil, err
		}
		if client.IsValid() {
			from = client
		}
	}
	c, from, err := l.upgrade(ctx, early, from)
	if err != nil {
		return nil, err
	}
	if err := c.place(l, tcpport.AddrPort(tcp.LocalAddr()), from, from != seen); err != nil {
		return nil, err
	}
	return c, tcp.SetDeadline(time.Time{})
}

// upgrade makes a WebSocket of a connection that seems to come from an address.
// It returns the address of the client.
func (l *listener) upgrade(ctx context.Context, early *prefixed, from netip.AddrPort) (*conn, netip.AddrPort, error) {
	t := l.transport
	if l.tls == nil {
		r, rest, err := receiveRequest(early, l.address.path)
		if err != nil {
			return nil, from, err
		}
		// All that was read early is used or in rest: from here on the socket
		// itself is what to read from.
		rest = append(rest, early.rest...)
		return newConn(early.TCPConn, false, rest, &t.buffers), t.client(from, r.Header), nil
	}
	secure := tls.Server(early, l.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, from, err
	}
	if secure.ConnectionState().NegotiatedProtocol == acmeTLS {
		return nil, from, errChallenge
	}
	r, rest, err := receiveRequest(secure, l.address.path)
	if err != nil {
		return nil, from, err
	}
	return newConn(secure, false, rest, &t.buffers), t.client(from, r.Header), nil
}

// place notes the two ends of an accepted connection.
func (c *conn) place(l *listener, local, remote netip.AddrPort, behindProxy bool) (err error) {
	if c.local, err = l.address.multiaddr(local); err != nil {
		return err
	}
	if c.remote, err = l.address.end(remote); err != nil {
		return err
	}
	if behindProxy {
		c.remoteAddr = net.TCPAddrFromAddrPort(remote)
	}
	return nil
}

// prefixed is a connection from which something was read ahead.
type prefixed struct {
	tcpport.Conn
	rest []byte
}

// Read implements [net.Conn].
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
