// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
)

// maxWaiting bounds the connections of a listener that wait for Accept. More are
// closed.
const maxWaiting = 128

// QUICListen says how connections of one protocol are accepted.
type QUICListen struct {
	// TLS returns the configuration for a handshake. Its NextProtos are set
	// to the listener's protocol.
	TLS func(*tls.ClientHelloInfo) (*tls.Config, error)
	// Admit is asked about a connection before its handshake, with the
	// remote's address, which ends in /quic-v1. Its protocol is not known
	// then: of all listeners of a port, the latest is asked.
	Admit core.Admit
	// Settings are for the port's inbound connections.
	Settings Settings
}

// QUICListener accepts the QUIC connections of one protocol on a port.
type QUICListener struct {
	socket  *socket
	alpn    string
	options QUICListen
	waiting chan *inbound
	closed  chan struct{}
	close   sync.Once
}

// inbound is a connection whose handshake has ended.
type inbound struct {
	conn    *quic.Conn
	attempt *attempt
}

// ListenQUIC accepts connections of the protocol alpn. Of several listeners of
// one protocol the latest gets the connections.
func (p *Port) ListenQUIC(alpn string, options QUICListen) (*QUICListener, error) {
	s := p.socket
	l := &QUICListener{
		socket:  s,
		alpn:    alpn,
		options: options,
		waiting: make(chan *inbound, maxWaiting),
		closed:  make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.accepting {
		config := options.Settings.quicConfig(growInbound)
		config.GetConfigForClient = s.quicConfig
		listener, err := s.quic.Listen(s.tlsConfig(), config)
		if err != nil {
			return nil, fmt.Errorf("udp %s: %w", s.at, err)
		}
		s.accepting = true
		s.running.Go(func() { s.accept(listener) })
	}
	s.listeners = append(s.listeners, l)
	s.configureLocked()
	s.holdLocked()
	return l, nil
}

// configureLocked decides about future inbound connections.
func (s *socket) configureLocked() {
	var all Settings
	for _, l := range s.listeners {
		all = all.or(l.options.Settings.withDefaults())
	}
	s.config = all.quicConfig(growInbound)
}

func (s *socket) quicConfig(*quic.ClientInfo) (*quic.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config, nil
}

// Addr is the address that is listened on.
func (l *QUICListener) Addr() net.Addr { return net.UDPAddrFromAddrPort(l.socket.at) }

// Accept returns the next connection, and its admission, which belongs to the
// caller from then on. After Close its error satisfies errors.Is(err,
// [net.ErrClosed]).
func (l *QUICListener) Accept(ctx context.Context) (*quic.Conn, core.Admission, error) {
	for {
		select {
		case in := <-l.waiting:
			if l.deliver(in) {
				return in.conn, in.attempt.admission, nil
			}
		case <-l.closed:
			return nil, nil, fmt.Errorf("udp %s: %w", l.socket.at, net.ErrClosed)
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// deliver makes the connection the caller's, unless it has ended already.
func (l *QUICListener) deliver(in *inbound) bool {
	l.socket.mu.Lock()
	defer l.socket.mu.Unlock()
	in.attempt.delivered = !in.attempt.ended
	return in.attempt.delivered
}

// Close ends Accept and closes the connections that wait for it. Others are not
// touched. It may be called more than once.
func (l *QUICListener) Close() error {
	l.close.Do(func() {
		s := l.socket
		s.mu.Lock()
		s.listeners = slices.DeleteFunc(s.listeners, func(o *QUICListener) bool { return o == l })
		s.configureLocked()
		close(l.closed)
		s.mu.Unlock()
		for {
			select {
			case in := <-l.waiting:
				Close(in.conn, core.ConnShutdown)
				continue
			default:
			}
			break
		}
		s.drop()
	})
	return nil
}

// accept gives connections to their listeners until the socket closes.
func (s *socket) accept(from *quic.Listener) {
	for {
		c, err := from.Accept(context.Background())
		if err != nil {
			return
		}
		if code, ok := s.hand(&inbound{c, attemptOf(c.Context())}); !ok {
			c.CloseWithError(quic.ApplicationErrorCode(code), "")
		}
	}
}

// hand gives a connection to the listener of its protocol.
func (s *socket) hand(in *inbound) (refusal core.ConnCode, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := in.attempt
	a.settleLocked()
	l := a.owner
	if !slices.Contains(s.listeners, l) {
		l = s.listenerLocked(in.conn.ConnectionState().TLS.NegotiatedProtocol)
	}
	if l == nil {
		return core.ConnShutdown, false
	}
	if a.ended {
		return core.ConnNoError, false
	}
	select {
	case l.waiting <- in:
		s.holdLocked()
		a.counted = true
		return 0, true
	default:
		return core.ConnLimitExceeded, false
	}
}

// listenerLocked returns the latest listener of a protocol, or nil.
func (s *socket) listenerLocked(alpn string) *QUICListener {
	for _, l := range slices.Backward(s.listeners) {
		if l.alpn == alpn {
			return l
		}
	}
	return nil
}

// errNoListener is about a port on which nobody listens.
var errNoListener = errors.New("nobody listens")

// tlsConfig is the TLS configuration of the whole port.
func (s *socket) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: s.tlsFor}
}

// tlsFor returns the configuration of the first protocol that the client offers
// and somebody listens for.
func (s *socket) tlsFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	s.mu.Lock()
	var owner *QUICListener
	for _, alpn := range hello.SupportedProtos {
		if owner = s.listenerLocked(alpn); owner != nil {
			break
		}
	}
	known := make([]string, 0, len(s.listeners))
	for _, l := range s.listeners {
		known = append(known, l.alpn)
	}
	if a := attemptOf(hello.Context()); a != nil {
		a.owner = owner
	}
	s.mu.Unlock()

	switch {
	case len(known) == 0:
		return nil, errNoListener
	case owner == nil: // the handshake fails, and tells the client why
		return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: known}, nil
	}
	config, err := owner.options.TLS(hello)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(config.NextProtos, []string{owner.alpn}) {
		config = config.Clone()
		config.NextProtos = []string{owner.alpn}
	}
	return config, nil
}
