// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// modelConn is a connection as the naive model knows it.
type modelConn struct {
	conn    *Conn
	dir     core.Direction
	peer    int // -1 in handshake
	memory  int // that of streams not included
	streams []*modelStream
}

type modelStream struct {
	scope    *Stream
	account  core.StreamMemory
	memory   int
	dir      core.Direction
	protocol string
}

// model recounts everything from a list at every step.
type model struct {
	l     *Limits
	conns []*modelConn
}

// expect counts what is open.
func (m *model) expect() (s Stat) {
	peers, protocols := map[int]bool{}, map[string]bool{}
	for _, c := range m.conns {
		s.Memory += int64(c.memory)
		if c.dir == core.Inbound {
			s.Inbound++
			if c.peer < 0 {
				s.Handshakes++
			}
		} else {
			s.Outbound++
		}
		if c.peer >= 0 {
			peers[c.peer] = true
		}
		for _, st := range c.streams {
			if st.dir == core.Inbound {
				s.InboundStreams++
			} else {
				s.OutboundStreams++
			}
			s.Memory += int64(st.memory)
			if st.protocol != "" {
				protocols[st.protocol] = true
			}
		}
	}
	s.Peers, s.Protocols = len(peers), len(protocols)
	return s
}

// check compares the counters with the model, and every peer's with its own.
func (m *model) check(t *rapid.T) {
	if got, want := m.l.Stat(), m.expect(); got != want {
		t.Fatalf("counted %+v, want %+v", got, want)
	}
	protocols := map[string]int64{}
	memory, conns, streams := map[peer.ID]int64{}, map[peer.ID]int{}, map[peer.ID]int{}
	for _, c := range m.conns {
		if c.peer >= 0 {
			memory[peerID(c.peer)] += int64(c.memory)
			conns[peerID(c.peer)]++
			streams[peerID(c.peer)] += len(c.streams)
		}
		for _, st := range c.streams {
			memory[peerID(c.peer)] += int64(st.memory)
			protocols[st.protocol] += int64(st.memory)
		}
	}
	for id, p := range m.l.protocols {
		if p.memory != protocols[id] || p.memory > int64(m.l.config.MemoryPerProtocol) || p.streams.total() == 0 {
			t.Fatalf("protocol has %+v, want %d bytes", p, protocols[id])
		}
	}
	for id, p := range m.l.peers {
		if p.memory != memory[id] || p.conns != conns[id] || p.streams.total() != streams[id] {
			t.Fatalf("peer has %+v, want %d bytes, %d connections, %d streams", p, memory[id], conns[id], streams[id])
		}
		for key, n := range p.protocols {
			if all := *m.l.protocols[key.id].streams.of(key.dir); n < 1 || n > all {
				t.Fatalf("%v: %d of %d", key, n, all)
			}
		}
	}
	cfg := &m.l.config
	s := m.l.Stat()
	if s.Memory > int64(cfg.Memory) || s.Inbound+s.Outbound > cfg.Connections || s.Inbound > cfg.InboundConnections ||
		s.Handshakes > cfg.Handshakes || s.InboundStreams+s.OutboundStreams > cfg.Streams || s.InboundStreams > cfg.InboundStreams {
		t.Fatalf("over a limit: %+v", s)
	}
}

// TestRandom opens and closes at random; the counters always equal the model
// and end at zero.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Connections: 8, Streams: 12, Memory: 1000, StreamsPerConnection: 4, ConnectionsPerPeer: 3}
		if err := c.Provision(); err != nil {
			t.Fatal(err)
		}
		m := &model{l: New(c, newClock().now)}
		direction := rapid.SampledFrom([]core.Direction{core.Inbound, core.Outbound})
		pick := func(t *rapid.T) *modelConn {
			if len(m.conns) == 0 {
				t.Skip("no connection")
			}
			return m.conns[rapid.IntRange(0, len(m.conns)-1).Draw(t, "conn")]
		}
		pickStream := func(t *rapid.T) (*modelConn, int) {
			c := pick(t)
			if len(c.streams) == 0 {
				t.Skip("no stream")
			}
			return c, rapid.IntRange(0, len(c.streams)-1).Draw(t, "stream")
		}
		t.Repeat(map[string]func(*rapid.T){
			"": m.check,
			"open": func(t *rapid.T) {
				dir := direction.Draw(t, "dir")
				if c, err := m.l.OpenConn(dir, local); err == nil {
					m.conns = append(m.conns, &modelConn{conn: c, dir: dir, peer: -1})
				}
			},
			"peer": func(t *rapid.T) {
				c, p := pick(t), rapid.IntRange(0, 2).Draw(t, "peer")
				if c.conn.SetPeer(peerID(p)) == nil {
					c.peer = p
				}
			},
			"reserve": func(t *rapid.T) {
				c, n := pick(t), rapid.IntRange(-10, 500).Draw(t, "bytes")
				if c.conn.Reserve(n, rapid.Byte().Draw(t, "priority")) == nil {
					c.memory += max(n, 0)
				}
			},
			"release": func(t *rapid.T) {
				c, n := pick(t), rapid.IntRange(-10, 500).Draw(t, "bytes")
				c.conn.Release(n)
				c.memory -= min(max(n, 0), c.memory)
			},
			"stream": func(t *rapid.T) {
				c, st := pick(t), &modelStream{scope: new(Stream), dir: direction.Draw(t, "dir")}
				if c.conn.OpenStream(st.dir, st.scope) == nil {
					st.account = c.conn.Stream()
					st.scope.Charge(st.account)
					c.streams = append(c.streams, st)
				}
			},
			"protocol": func(t *rapid.T) {
				c, i := pickStream(t)
				id := rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "id")
				if c.streams[i].scope.SetProtocol(id, 2) == nil {
					c.streams[i].protocol = id
				}
			},
			"reserve for a stream": func(t *rapid.T) {
				c, i := pickStream(t)
				n := rapid.IntRange(-10, 300).Draw(t, "bytes")
				if c.streams[i].account.Reserve(n, rapid.Byte().Draw(t, "priority")) == nil {
					c.streams[i].memory += max(n, 0)
				}
			},
			"release of a stream": func(t *rapid.T) {
				c, i := pickStream(t)
				n := rapid.IntRange(-10, 300).Draw(t, "bytes")
				c.streams[i].account.Release(n)
				c.streams[i].memory -= min(max(n, 0), c.streams[i].memory)
			},
			"end": func(t *rapid.T) {
				c, i := pickStream(t)
				if rapid.Bool().Draw(t, "account first") {
					c.streams[i].account.Done()
					c.streams[i].scope.Done()
				} else {
					c.streams[i].scope.Done()
					c.streams[i].account.Done()
				}
				c.streams = append(c.streams[:i], c.streams[i+1:]...)
			},
			"close": func(t *rapid.T) {
				c := pick(t)
				c.conn.Done()
				for i, other := range m.conns {
					if other == c {
						m.conns = append(m.conns[:i], m.conns[i+1:]...)
						break
					}
				}
			},
		})
		for _, c := range m.conns {
			c.conn.Done()
		}
		if s := m.l.Stat(); s != (Stat{}) {
			t.Fatalf("not all given back: %+v", s)
		}
	})
}
