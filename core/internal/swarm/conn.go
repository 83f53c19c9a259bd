// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Conn is a connection in the table.
type Conn struct {
	muxed core.MuxedConn
	swarm *Swarm
	scope *limits.Conn
	stat  core.ConnStat

	parting atomic.Bool    // the muxer opens no more streams
	serving sync.WaitGroup // inbound streams

	mu      sync.Mutex
	streams streamList // bounded by limits.streams_per_connection
	ended   bool
}

// acceptStreams serves the connection until it ends. The connection stays
// counted until the last handler has returned: reconnecting must not be a way
// to have more of them.
func (c *Conn) acceptStreams() {
	for {
		muxed, err := c.muxed.AcceptStream()
		if err != nil {
			break
		}
		c.acceptStream(muxed)
	}
	c.muxed.Close()
	for _, st := range c.end() {
		st.end() // reset with the session, which knows why
	}
	c.swarm.remove(c)
	c.serving.Wait()
	c.scope.Done()
}

func (c *Conn) acceptStream(muxed core.MuxedStream) {
	st := &Stream{muxed: muxed, conn: c, direction: core.Inbound}
	if err := c.scope.OpenStream(core.Inbound, &st.scope); err != nil {
		muxed.Reset(core.StreamLimitExceeded)
		c.swarm.Log.Debug("stream refused", "peer", c.RemotePeer(), "reason", err)
		return
	}
	st.charge()
	if !c.link(st) {
		muxed.Reset(core.StreamShutdown)
		st.scope.Done()
		return
	}
	c.serving.Go(st.serve)
}

// NewStream implements [core.Conn].
func (c *Conn) NewStream(ctx context.Context, protocols ...string) (core.Stream, error) {
	if c.stat.Limited && !core.LimitedAllowed(ctx) {
		return nil, fmt.Errorf("%s: %w", c.RemotePeer().Short(), core.ErrLimited)
	}
	st := &Stream{conn: c, direction: core.Outbound}
	if err := c.scope.OpenStream(core.Outbound, &st.scope); err != nil {
		if errors.Is(err, core.ErrConnClosed) {
			err = new(core.ConnError)
		}
		return nil, err
	}
	muxed, err := c.muxed.OpenStream(ctx)
	if err != nil {
		st.scope.Done()
		if errors.Is(err, core.ErrConnClosed) {
			c.parting.Store(true)
		}
		return nil, err
	}
	st.muxed = muxed
	st.charge()
	if !c.link(st) {
		st.Reset(core.StreamShutdown)
		return nil, &core.ConnError{}
	}
	if err := st.dial(ctx, protocols); err != nil {
		st.Reset(core.StreamNegotiationFailed)
		return nil, err
	}
	return st, nil
}

// link adds a stream to the connection; false if the connection has ended.
func (c *Conn) link(st *Stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.streams.push(st)
	return true
}

func (c *Conn) unlink(st *Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams.remove(st)
}

// end lets no further stream in and returns those that are open.
func (c *Conn) end() []*Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	return c.streams.all()
}

// closing reports whether the connection has ended or is about to.
func (c *Conn) closing() bool {
	select {
	case <-c.muxed.Done():
		return true
	default:
		return c.parting.Load()
	}
}

func (c *Conn) streamCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams.len
}

// Streams implements [core.Conn].
func (c *Conn) Streams() []core.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := []core.Stream{}
	for _, st := range c.streams.all() {
		if st.Protocol() != "" {
			list = append(list, st)
		}
	}
	return list
}

// RemotePeer implements [core.Conn].
func (c *Conn) RemotePeer() peer.ID { return c.muxed.RemotePeer() }

// RemotePublicKey implements [core.Conn].
func (c *Conn) RemotePublicKey() peer.PublicKey { return c.muxed.RemotePublicKey() }

// LocalMultiaddr implements [core.Conn].
func (c *Conn) LocalMultiaddr() ma.Multiaddr { return c.muxed.LocalMultiaddr() }

// RemoteMultiaddr implements [core.Conn].
func (c *Conn) RemoteMultiaddr() ma.Multiaddr { return c.muxed.RemoteMultiaddr() }

// Stat implements [core.Conn].
func (c *Conn) Stat() core.ConnStat { return c.stat }

// Close implements [core.Conn].
func (c *Conn) Close() error { return c.CloseWithCode(core.ConnNoError) }

// CloseWithCode implements [core.Conn].
func (c *Conn) CloseWithCode(code core.ConnCode) error { return c.muxed.CloseWithCode(code) }

// Done implements [core.Conn].
func (c *Conn) Done() <-chan struct{} { return c.muxed.Done() }

var _ core.Conn = (*Conn)(nil)
