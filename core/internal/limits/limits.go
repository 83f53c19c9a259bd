// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"net/netip"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Limits is the budget of one node.
type Limits struct {
	now func() time.Time

	// mu guards everything below and the fields of all scopes. It is held
	// for some tens of nanoseconds at a time.
	mu      sync.Mutex
	config  Config
	trusted []netip.Prefix
	memory  int64
	// conns and streams are counts by direction.
	conns      counts
	streams    counts
	handshakes handshakes
	// peers and protocols have entries for what is open only, so they are
	// bounded by the connections and the streams.
	peers     map[peer.ID]*peerScope
	protocols map[string]*protocolScope
	spare     *protocolScope           // the last that was left, for the next
	sources   map[netip.Prefix]*source // bounded as maxSources says
	refused   map[string]uint64        // by key; one entry each key of the configuration
}

// counts are numbers of inbound and outbound things.
type counts struct{ in, out int }

func (c *counts) of(dir core.Direction) *int {
	if dir == core.Inbound {
		return &c.in
	}
	return &c.out
}

func (c *counts) total() int { return c.in + c.out }

// protocolScope is what one protocol has.
type protocolScope struct {
	id      string
	streams counts
	memory  int64
}

// protocolKey names the streams of one protocol in one direction.
type protocolKey struct {
	id  string
	dir core.Direction
}

// peerScope is what one connected peer has.
type peerScope struct {
	id      peer.ID
	conns   int
	streams counts
	memory  int64
	// protocols has entries for open streams only.
	protocols map[protocolKey]int
}

// New returns an empty budget. The configuration must be provisioned and
// valid. The rate of connections is measured with now.
func New(c Config, now func() time.Time) *Limits {
	l := &Limits{
		now:       now,
		peers:     make(map[peer.ID]*peerScope),
		protocols: make(map[string]*protocolScope),
		sources:   make(map[netip.Prefix]*source),
		refused:   make(map[string]uint64),

		handshakes: handshakes{from: make(map[netip.Prefix]int)},
	}
	l.Update(c)
	return l
}

// Update changes the limits. Everything that is counted stays counted; where
// there is now too much, nothing more is let in until there is less.
func (l *Limits) Update(c Config) {
	trusted := c.trustedRanges()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config, l.trusted = c, trusted
}

// Target returns how many connections to keep when there are too many, and how
// long new ones are safe.
func (l *Limits) Target() (connections int, grace time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.config.Target, time.Duration(l.config.Grace)
}

// OpenConn counts a connection to or from an address, before its handshake.
// Done must be called on what it returns.
func (l *Limits) OpenConn(dir core.Direction, remote ma.Multiaddr) (*Conn, error) {
	now := l.now()
	l.mu.Lock()
	c, yield, err := l.openConn(dir, remote, now)
	l.mu.Unlock()
	if yield != nil {
		yield()
	}
	return c, err
}

// openConn counts a connection. yield, unless it is nil, is to be called for
// another one that has made room for it.
func (l *Limits) openConn(dir core.Direction, remote ma.Multiaddr, now time.Time) (c *Conn, yield func(), err error) {
	if l.conns.total() >= l.config.Connections {
		return nil, nil, l.refuse("system", "connections", l.config.Connections, "connections")
	}
	c = &Conn{limits: l, dir: dir}
	if dir == core.Inbound {
		if yield, err = l.admit(c, remote, now); err != nil {
			return nil, nil, err
		}
	}
	*l.conns.of(dir)++
	return c, yield, nil
}

// admit checks what binds inbound connections alone, and counts c with the
// handshakes and the subnets it is from.
func (l *Limits) admit(c *Conn, remote ma.Multiaddr, now time.Time) (yield func(), err error) {
	if l.conns.in >= l.config.InboundConnections {
		return nil, l.refuse("system", "inbound connections", l.config.InboundConnections, "inbound_connections")
	}
	var oldest *Conn
	if l.handshakes.list.Len() >= l.config.Handshakes {
		if oldest = l.handshakes.dispensable(now); oldest == nil {
			return nil, l.refuse("system", "inbound handshakes", l.config.Handshakes, "handshakes")
		}
	}
	l.forgetSources(now)
	origins := l.originsOf(remote)
	for _, o := range origins {
		if o.factor > 0 {
			if err := l.checkSource(o, now); err != nil {
				return nil, err
			}
		}
	}
	for i, o := range origins {
		if o.factor > 0 {
			c.sources[i] = l.enterSource(o, now)
		}
	}
	if oldest != nil {
		yield = oldest.giveWay()
	}
	l.handshakes.enter(c, sourceOf(remote), now)
	return yield, nil
}

// refuse makes the error of a limit and counts it.
func (l *Limits) refuse(scope, resource string, limit int, key string) error {
	return l.refuseKnob(scope, resource, int64(limit), key, "limits."+key)
}

func (l *Limits) refuseKnob(scope, resource string, limit int64, key, knob string) error {
	l.refused[key]++
	return &core.LimitError{Scope: scope, Resource: resource, Limit: limit, Knob: knob}
}
