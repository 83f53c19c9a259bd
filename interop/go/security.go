// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/insecure"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
)

// channel is one security protocol: how a libp2p host takes it and how a bare node builds it.
type channel struct {
	full func() libp2p.Option
	bare func(crypto.PrivKey, []upgrader.StreamMuxer) (sec.SecureTransport, error)
}

// securities returns what --security names, in the order in which it is offered.
func securities(name string) ([]channel, error) {
	overNoise := channel{
		full: func() libp2p.Option { return libp2p.Security(noise.ID, noise.New) },
		bare: func(key crypto.PrivKey, muxers []upgrader.StreamMuxer) (sec.SecureTransport, error) {
			return noise.New(noise.ID, key, muxers)
		},
	}
	overTLS := channel{
		full: func() libp2p.Option { return libp2p.Security(tls.ID, tls.New) },
		bare: func(key crypto.PrivKey, muxers []upgrader.StreamMuxer) (sec.SecureTransport, error) {
			return tls.New(tls.ID, key, muxers)
		},
	}
	plain := channel{
		full: func() libp2p.Option { return libp2p.NoSecurity },
		bare: func(key crypto.PrivKey, _ []upgrader.StreamMuxer) (sec.SecureTransport, error) {
			id, err := peer.IDFromPrivateKey(key)
			if err != nil {
				return nil, err
			}
			return insecure.NewWithIdentity(insecure.ID, id, key), nil
		},
	}
	switch name {
	case "noise":
		return []channel{overNoise}, nil
	case "tls":
		return []channel{overTLS}, nil
	case "both":
		return []channel{overTLS, overNoise}, nil
	case "plaintext":
		return []channel{plain}, nil
	}
	return nil, usagef("--security %q: want noise, tls, both or plaintext", name)
}

func secureTransports(name string, key crypto.PrivKey, muxers []upgrader.StreamMuxer) ([]sec.SecureTransport, error) {
	chosen, err := securities(name)
	if err != nil {
		return nil, err
	}
	var built []sec.SecureTransport
	for _, c := range chosen {
		t, err := c.bare(key, muxers)
		if err != nil {
			return nil, fmt.Errorf("security %s: %w", name, err)
		}
		built = append(built, t)
	}
	return built, nil
}

// layers names what a connection is made of, in the words of the command line. A transport that
// secures and multiplexes itself is its own muxer.
type layers struct {
	Transport string `json:"transport"`
	Security  string `json:"security"`
	Muxer     string `json:"muxer"`
}

func layersOf(c network.Conn) layers {
	state := c.ConnState()
	l := layers{Transport: state.Transport, Security: string(state.Security), Muxer: string(state.StreamMultiplexer)}
	switch l.Security {
	case noise.ID:
		l.Security = "noise"
	case tls.ID:
		l.Security = "tls"
	case insecure.ID:
		l.Security = "plaintext"
	}
	if l.Muxer == yamux.ID {
		l.Muxer = "yamux"
	}
	switch l.Transport {
	case "websocket":
		l.Transport = "ws"
		if overTLS(c.RemoteMultiaddr()) {
			l.Transport = "wss"
		}
	case "quic-v1":
		l = layers{Transport: "quic", Security: "tls", Muxer: "quic"}
	case "webtransport", "webrtc-direct":
		l.Security, l.Muxer = "noise", l.Transport
	}
	return l
}

func overTLS(addr ma.Multiaddr) bool {
	for _, c := range addr {
		if c.Code() == ma.P_TLS || c.Code() == ma.P_WSS {
			return true
		}
	}
	return false
}
