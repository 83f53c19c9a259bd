// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/config"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
)

// parts is what transports are built from when no libp2p host does it.
type parts struct {
	key      crypto.PrivKey
	upgrader transport.Upgrader
	rcmgr    network.ResourceManager
	conns    *quicreuse.ConnManager // made by the first transport that needs it
	closers  []func() error
}

// quicConns returns the sockets that QUIC and WebTransport share.
func (p *parts) quicConns() (*quicreuse.ConnManager, error) {
	if p.conns != nil {
		return p.conns, nil
	}
	reset, err := config.PrivKeyToStatelessResetKey(p.key)
	if err != nil {
		return nil, err
	}
	token, err := config.PrivKeyToTokenGeneratorKey(p.key)
	if err != nil {
		return nil, err
	}
	if p.conns, err = quicreuse.NewConnManager(reset, token); err != nil {
		return nil, err
	}
	p.closers = append(p.closers, p.conns.Close)
	return p.conns, nil
}

func listenUDP(network string, at *net.UDPAddr) (net.PacketConn, error) {
	return net.ListenUDP(network, at)
}

func fullWebSocket() libp2p.Option {
	server, err := selfSigned()
	if err != nil {
		return func(*libp2p.Config) error { return err }
	}
	return libp2p.Transport(websocket.New, websocket.WithTLSConfig(server), websocket.WithTLSClientConfig(unchecked()))
}

func bareWebSocket(p *parts) (transport.Transport, error) {
	server, err := selfSigned()
	if err != nil {
		return nil, err
	}
	return websocket.New(p.upgrader, p.rcmgr, nil, websocket.WithTLSConfig(server), websocket.WithTLSClientConfig(unchecked()))
}

// unchecked trusts whatever certificate a server has: who the peer is gets proved inside.
func unchecked() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// selfSigned returns what a server with a certificate that nobody trusts needs.
func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	about := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}
