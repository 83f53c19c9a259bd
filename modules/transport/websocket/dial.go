// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/transport/internal/tcpport"
)

// Dial implements [core.RawTransport]. The proxies that the environment may name
// are not used.
func (t *Transport) Dial(ctx context.Context, a ma.Multiaddr) (manet.Conn, error) {
	to, err := parse(a)
	if err != nil {
		return nil, err
	}
	if to.name != "" {
		return nil, fmt.Errorf("%s: the name is to be resolved first", a)
	}
	if name := core.DialName(ctx); isHostname(name) {
		to.dialled = name
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(t.ConnectTimeout))
	defer cancel()
	dialled, err := tcpport.Dialer{}.Dial(ctx, t.ports(), to.at)
	if err != nil {
		return nil, err
	}
	tcp := dialled.TCPConn // from a port of its own, and so nothing but that
	stop := context.AfterFunc(ctx, func() { _ = tcp.SetDeadline(time.Unix(1, 0)) })
	c, err := t.connect(ctx, tcp, &to)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		tcp.Close()
		return nil, err
	}
	c.remote = a
	return c, nil
}

// connect makes the handshake with a server. It leaves the connection open when
// it fails.
func (t *Transport) connect(ctx context.Context, tcp *net.TCPConn, to *address) (*conn, error) {
	var socket net.Conn = tcp
	if to.secure {
		config := t.clientTLS.Clone()
		config.ServerName = to.serverName()
		secure := tls.Client(tcp, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS with %s: %w", config.ServerName, err)
		}
		socket = secure
	}
	rest, err := sendRequest(socket, to)
	if err != nil {
		return nil, err
	}
	c := newConn(socket, true, rest, &t.buffers)
	c.local, err = to.end(tcpport.AddrPort(tcp.LocalAddr()))
	return c, err
}

// sendRequest asks a server for a WebSocket. What was read behind its answer is
// rest.
func sendRequest(c io.ReadWriter, to *address) (rest []byte, err error) {
	var random [16]byte
	rand.Read(random[:])
	key := base64.StdEncoding.EncodeToString(random[:])
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: "+version+"\r\nSec-WebSocket-Key: %s\r\n\r\n", to.target(), to.host(), key)
	if err != nil {
		return nil, err
	}
	head, rest, err := readHead(c)
	if err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: http.MethodGet})
	if err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	return rest, checkResponse(r, key)
}

// checkResponse tells what is wrong with the answer to a request with a key.
func checkResponse(r *http.Response, key string) error {
	switch {
	case r.StatusCode != http.StatusSwitchingProtocols:
		return fmt.Errorf("no WebSocket: the server answers with status %d", r.StatusCode)
	case !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		return errors.New("no WebSocket: the server switches to another protocol")
	case r.Header.Get(wsAccept) != acceptOf(key):
		return errors.New("no WebSocket: the server's answer is not one to this request")
	case len(r.Header[wsExtensions]) > 0 || len(r.Header[wsProtocol]) > 0:
		return errors.New("the server chooses an extension or a protocol that it was not offered")
	}
	return nil
}
