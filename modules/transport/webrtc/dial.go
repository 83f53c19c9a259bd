// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// partingTime bounds the wait for the other side to close the signalling stream
// after this one has.
const partingTime = 10 * time.Second

var (
	errAlias = errors.New("somebody who is made up has no connection to signal on")
	errRelay = errors.New("no relay to signal through: want …/p2p/RELAY/p2p-circuit/webrtc")
)

// dial connects to p, which it reaches through a relay at first.
func (t *Transport) dial(ctx context.Context, a ma.Multiaddr, p peer.ID, m core.ConnMemory) (*conn, error) {
	circuit, ok := splitAddress(a)
	switch {
	case !ok:
		return nil, errShape
	case t.node == nil:
		return nil, errNotStarted
	}
	if _, alias := core.DialIdentity(ctx, t.node); alias {
		return nil, errAlias
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(t.HandshakeTimeout), errTimeout)
	defer cancel()
	s, relayed, err := t.signal(ctx, circuit, p)
	if err != nil {
		return nil, fmt.Errorf("signalling: %w", ended(ctx, err))
	}
	c, err := t.connect(ctx, s, true, m)
	if err != nil {
		s.Reset(core.StreamNoError)
		return nil, err
	}
	t.part(s, relayed)
	return c, nil
}

// signal opens a signalling stream on a connection that there is, or else on one
// through the relay, which it then returns, too.
func (t *Transport) signal(ctx context.Context, circuit ma.Multiaddr, p peer.ID) (_ core.Stream, relayed core.Conn, err error) {
	ctx = core.AllowLimited(ctx)
	conns := t.node.ConnsTo(p)
	if len(conns) == 0 {
		if circuit == nil {
			return nil, nil, errRelay
		}
		relayed, err = t.node.Connect(core.ThroughRelay(ctx), peer.AddrInfo{ID: p, Addrs: []ma.Multiaddr{circuit}})
		if err != nil {
			return nil, nil, err
		}
		conns = []core.Conn{relayed}
	}
	var errs []error
	for _, c := range conns {
		s, err := c.NewStream(ctx, SignallingID)
		if err == nil {
			return s, relayed, nil
		}
		errs = append(errs, err)
	}
	return nil, nil, errors.Join(errs...)
}

// part closes the signalling stream, and then the connection through a relay that
// was made for it, if nobody else uses that: what the relay gives is for others.
// To close that at once could take away what is still on its way to the remote.
func (t *Transport) part(s core.Stream, relayed core.Conn) {
	_ = s.CloseWrite() // the remote may be gone from there
	s.SetDeadline(time.Now().Add(partingTime))
	t.run(func(ctx context.Context) {
		defer context.AfterFunc(ctx, func() { s.Reset(core.StreamNoError) })()
		if _, err := io.Copy(io.Discard, io.LimitReader(s, maxMessages*maxMessage)); err != nil {
			s.Reset(core.StreamNoError)
		}
		s.Close()
		if relayed != nil && len(relayed.Streams()) == 0 {
			relayed.Close()
		}
	})
}
