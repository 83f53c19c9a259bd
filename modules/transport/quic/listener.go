// SPDX-License-Identifier: Apache-2.0 OR MIT

package quic

import (
	"context"
	ctls "crypto/tls"
	"errors"
	"fmt"
	"sync"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
)

// listener accepts connections on one port.
type listener struct {
	quic  *udpport.QUICListener
	addr  ma.Multiaddr
	close func() error
}

func (t *Transport) listen(a ma.Multiaddr, admit core.Admit) (*listener, error) {
	at, err := endpoint(a)
	if err != nil {
		return nil, err
	}
	n, identity, _, err := t.running()
	if err != nil {
		return nil, err
	}
	port, err := udpport.Join(n, at)
	if err != nil {
		return nil, err
	}
	addr, err := udpport.QUICMultiaddr(port.Addr())
	if err != nil {
		return nil, errors.Join(err, port.Release())
	}
	server := identity.Config("", []string{alpn})
	q, err := port.ListenQUIC(alpn, udpport.QUICListen{
		TLS:      func(*ctls.ClientHelloInfo) (*ctls.Config, error) { return server, nil },
		Admit:    admit,
		Settings: t.settings(),
	})
	if err != nil {
		return nil, errors.Join(err, port.Release())
	}
	port.WarnBuffers(t.log)
	return &listener{
		quic:  q,
		addr:  addr,
		close: sync.OnceValue(func() error { return errors.Join(q.Close(), port.Release()) }),
	}, nil
}

// Accept implements [core.MuxedListener]. Its errors are final.
func (l *listener) Accept() (core.MuxedConn, core.Admission, error) {
	for {
		q, admission, err := l.quic.Accept(context.Background())
		if err != nil {
			return nil, nil, fmt.Errorf("accept %s: %w", l.addr, err)
		}
		c, err := newConn(q, nil)
		if err == nil {
			return c, admission, nil
		}
		admission.Done() // its key was good in the handshake
	}
}

// Close implements [core.MuxedListener].
func (l *listener) Close() error { return l.close() }

// Multiaddr implements [core.MuxedListener].
func (l *listener) Multiaddr() ma.Multiaddr { return l.addr }

var _ core.MuxedListener = (*listener)(nil)
