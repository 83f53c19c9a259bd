// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"maps"
	"slices"
	"sync"

	"github.com/xnode-p2p/xnode/core"
)

// registration is a handler of a [FakeNode].
type registration struct {
	node     *FakeNode
	protocol string
	handler  core.StreamHandler
	options  core.HandleOptions

	wg      sync.WaitGroup
	mu      sync.Mutex
	removed bool
	streams map[*fakeStream]struct{} // those it serves
}

// Handle implements [core.Streams].
func (n *FakeNode) Handle(protocol string, h core.StreamHandler, opts ...core.HandleOption) (remove func()) {
	r := &registration{node: n, protocol: protocol, handler: h, streams: make(map[*fakeStream]struct{})}
	for _, o := range opts {
		o(&r.options)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handlers = append(n.handlers, r)
	return r.remove
}

// find returns the latest handler of a protocol, or nil.
func (n *FakeNode) find(protocol string) *registration {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range slices.Backward(n.handlers) {
		if r.protocol == protocol || (r.options.Match != nil && r.options.Match(protocol)) {
			return r
		}
	}
	return nil
}

func (r *registration) remove() {
	r.node.mu.Lock()
	r.node.handlers = slices.DeleteFunc(r.node.handlers, func(o *registration) bool { return o == r })
	r.node.mu.Unlock()
	r.mu.Lock()
	r.removed = true
	streams := slices.Collect(maps.Keys(r.streams))
	r.mu.Unlock()
	for _, s := range streams {
		s.Reset(core.StreamShutdown)
	}
	r.wg.Wait()
}

// serve runs the handler on a stream, or resets the stream if that is too many.
func (r *registration) serve(s *fakeStream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.removed {
		s.Reset(core.StreamShutdown)
		return
	}
	if most := r.options.MaxStreamsPerPeer; most > 0 && r.countLocked(s) >= most {
		s.Reset(core.StreamLimitExceeded)
		return
	}
	r.streams[s] = struct{}{}
	r.wg.Go(func() {
		err := r.handler(s)
		r.mu.Lock()
		delete(r.streams, s)
		r.mu.Unlock()
		r.node.handled(err)
		if err != nil {
			s.Reset(core.StreamNoError)
		} else {
			s.Close()
		}
	})
}

// countLocked counts the streams of the peer that s is from.
func (r *registration) countLocked(s *fakeStream) int {
	n := 0
	for o := range r.streams {
		if o.conn.remote == s.conn.remote {
			n++
		}
	}
	return n
}
