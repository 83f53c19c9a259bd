// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"sync"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// pipe hides the field's name, which is that of a method of a stream.
type pipe struct{ *memnet.Conn }

// fakeStream is one end of a stream between two [FakeNode]s.
type fakeStream struct {
	pipe
	protocol  string
	direction core.Direction
	conn      *fakeConn
	ended     sync.Once
}

// newStreams returns the two ends of a stream: that of the conn, which opens
// it, and that of its other end.
func newStreams(c *fakeConn, protocol string) (local, remote *fakeStream) {
	a, b := memnet.Pipe()
	local = &fakeStream{pipe: pipe{a}, protocol: protocol, direction: core.Outbound, conn: c}
	remote = &fakeStream{pipe: pipe{b}, protocol: protocol, direction: core.Inbound, conn: c.other}
	return local, remote
}

// Protocol implements [core.Stream].
func (s *fakeStream) Protocol() string { return s.protocol }

// Conn implements [core.Stream].
func (s *fakeStream) Conn() core.Conn { return s.conn }

// Direction implements [core.Stream].
func (s *fakeStream) Direction() core.Direction { return s.direction }

// Close implements [core.MuxedStream].
func (s *fakeStream) Close() error {
	s.end()
	return s.pipe.Conn.Close()
}

// Reset implements [core.MuxedStream].
func (s *fakeStream) Reset(code core.StreamCode) error {
	s.end()
	s.pipe.Conn.Abort(&core.StreamError{Code: code}, &core.StreamError{Code: code, Remote: true})
	return nil
}

// end takes the stream off its connection's list.
func (s *fakeStream) end() {
	s.ended.Do(func() { s.conn.forget(s) })
}
