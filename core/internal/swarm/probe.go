// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/internal/multistream"
	"github.com/xnode-p2p/xnode/core/peer"
)

// errNoIP is the reason not to probe an address.
var errNoIP = errors.New("begins with no IP address")

// Probe implements [core.Prober]. It uses neither the back-off nor the counts of
// black holes: what others ask for says nothing about what this node needs.
func (s *Swarm) Probe(ctx context.Context, p peer.ID, a ma.Multiaddr) (core.Probe, error) {
	c, err := s.probe(ctx, p, a)
	if err != nil {
		return nil, fmt.Errorf("probe %s: %w", a, err)
	}
	return c, nil
}

func (s *Swarm) probe(ctx context.Context, p peer.ID, addr ma.Multiaddr) (*probe, error) {
	if err := s.CanProbe(p, addr); err != nil {
		return nil, err
	}
	alias, err := newAlias()
	if err != nil {
		return nil, err
	}
	policy := s.policy.Load()
	select {
	case policy.slots <- struct{}{}:
		defer func() { <-policy.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	timeout := time.Duration(policy.AttemptTimeout)
	ctx, cancel := context.WithTimeoutCause(core.DialAs(ctx, alias), timeout, &timeoutError{after: timeout})
	defer cancel()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	at := &attempt{DialAttempt: core.DialAttempt{Addr: addr}}
	if err := s.attempt(ctx, p, at); err != nil {
		return nil, err
	}
	c := &probe{muxed: at.muxed, scope: at.scope}
	c.running.Go(c.refuse)
	return c, nil
}

// CanProbe implements [core.Prober].
func (s *Swarm) CanProbe(p peer.ID, a ma.Multiaddr) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return net.ErrClosed
	}
	if err := p.Validate(); err != nil {
		return err
	}
	if p == s.Identity.ID() {
		return core.ErrSelf
	}
	if _, ok := peer.IP(a); !ok {
		return errNoIP
	}
	if err := s.Gater.Peer(p); err != nil {
		return err
	}
	var own []ma.Multiaddr
	if s.OwnAddrs != nil {
		own = s.OwnAddrs()
	}
	return s.refuseAddr(&dial{key: dialKey{peer: p, direct: true}}, a, true, own)
}

// probe is a connection outside the table.
type probe struct {
	muxed   core.MuxedConn
	scope   *limits.Conn
	running sync.WaitGroup
}

// refuse resets what the other side opens, so that it need not wait.
func (c *probe) refuse() {
	for {
		st, err := c.muxed.AcceptStream()
		if err != nil {
			return
		}
		st.Reset(core.StreamNegotiationFailed)
	}
}

// OpenStream implements [core.Probe].
func (c *probe) OpenStream(ctx context.Context, protocol string) (core.MuxedStream, error) {
	muxed, err := c.muxed.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	st := &probeStream{MuxedStream: muxed}
	if deadline, ok := ctx.Deadline(); ok {
		muxed.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { muxed.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err = st.negotiation.Dial(muxed, []string{protocol}); err == nil {
		err = st.negotiation.Confirm()
	}
	if err != nil {
		muxed.Reset(core.StreamNegotiationFailed)
		return nil, withCause(ctx, err)
	}
	return st, nil
}

// Close implements [core.Probe].
func (c *probe) Close() error {
	err := c.muxed.Close()
	c.running.Wait()
	c.scope.Done()
	return err
}

// probeStream is a stream on which a protocol has been agreed.
type probeStream struct {
	core.MuxedStream
	negotiation multistream.Stream
}

// Read implements [core.MuxedStream].
func (st *probeStream) Read(p []byte) (int, error) { return st.negotiation.Read(p) }

// Write implements [core.MuxedStream].
func (st *probeStream) Write(p []byte) (int, error) { return st.negotiation.Write(p) }

// alias is an identity that lasts as long as a probe.
type alias struct {
	key peer.PrivateKey
	id  peer.ID
}

func newAlias() (*alias, error) {
	key, err := peer.GenerateKey(peer.Ed25519, nil)
	if err != nil {
		return nil, err
	}
	return &alias{key, peer.FromPublicKey(key.Public())}, nil
}

// ID implements [core.Identity].
func (a *alias) ID() peer.ID { return a.id }

// PublicKey implements [core.Identity].
func (a *alias) PublicKey() peer.PublicKey { return a.key.Public() }

// Sign implements [core.Identity].
func (a *alias) Sign(data []byte) ([]byte, error) { return a.key.Sign(data) }

var _ core.Prober = (*Swarm)(nil)
