// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// fakeConn is one end of a connection between two [FakeNode]s.
type fakeConn struct {
	local, remote *FakeNode
	other         *fakeConn    // the other end
	at            ma.Multiaddr // the local address, if it is not the node's
	stat          core.ConnStat
	done          chan struct{}

	mu      sync.Mutex
	closed  *core.ConnError // why, once it is closed
	streams map[*fakeStream]struct{}
}

// newConns returns the two ends of a connection.
func newConns(from, to *FakeNode, limited bool) (out, in *fakeConn) {
	end := func(local, remote *FakeNode, d core.Direction) *fakeConn {
		return &fakeConn{
			local: local, remote: remote,
			stat:    core.ConnStat{Direction: d, Opened: time.Now(), Limited: limited, Transport: "coretest"},
			done:    make(chan struct{}),
			streams: make(map[*fakeStream]struct{}),
		}
	}
	out, in = end(from, to, core.Outbound), end(to, from, core.Inbound)
	out.other, in.other = in, out
	return out, in
}

func (c *fakeConn) RemotePeer() peer.ID             { return c.remote.ID() }
func (c *fakeConn) RemotePublicKey() peer.PublicKey { return c.remote.PublicKey() }
func (c *fakeConn) LocalMultiaddr() ma.Multiaddr {
	if c.at != nil {
		return c.at
	}
	return c.local.addr
}
func (c *fakeConn) RemoteMultiaddr() ma.Multiaddr { return c.remote.addr }
func (c *fakeConn) Stat() core.ConnStat           { return c.stat }
func (c *fakeConn) Done() <-chan struct{}         { return c.done }

// Streams implements [core.Conn].
func (c *fakeConn) Streams() []core.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]core.Stream, 0, len(c.streams))
	for s := range c.streams {
		list = append(list, s)
	}
	return list
}

// NewStream implements [core.Conn].
func (c *fakeConn) NewStream(ctx context.Context, protocols ...string) (core.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.stat.Limited && !core.LimitedAllowed(ctx) {
		return nil, core.ErrLimited
	}
	for _, protocol := range protocols {
		r := c.remote.find(protocol)
		if r == nil || (c.stat.Limited && !r.options.Limited) {
			continue
		}
		local, remote := newStreams(c, protocol)
		if err := c.add(local); err != nil {
			return nil, err
		}
		if err := c.other.add(remote); err != nil {
			local.Reset(core.StreamNoError)
			return nil, err
		}
		r.serve(remote)
		return local, nil
	}
	return nil, &core.ProtocolError{Protocols: protocols}
}

func (c *fakeConn) add(s *fakeStream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return c.closed
	}
	c.streams[s] = struct{}{}
	return nil
}

func (c *fakeConn) forget(s *fakeStream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, s)
}

// Close implements [core.Conn].
func (c *fakeConn) Close() error { return c.CloseWithCode(core.ConnNoError) }

// CloseWithCode implements [core.Conn].
func (c *fakeConn) CloseWithCode(code core.ConnCode) error {
	c.end(&core.ConnError{Code: code})
	c.other.end(&core.ConnError{Code: code, Remote: true})
	return nil
}

func (c *fakeConn) end(why *core.ConnError) {
	c.mu.Lock()
	if c.closed != nil {
		c.mu.Unlock()
		return
	}
	c.closed = why
	streams := slices.Collect(maps.Keys(c.streams))
	c.mu.Unlock()
	for _, s := range streams {
		s.Reset(core.StreamNoError)
	}
	close(c.done)
	c.local.disconnected(c)
}

var (
	_ core.Conn   = (*fakeConn)(nil)
	_ core.Stream = (*fakeStream)(nil)
)
