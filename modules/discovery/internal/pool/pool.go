// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package pool is the one place where the discoverers of a node put the peers
// that they find. It remembers each peer once, whoever has found it, tells the
// node of what is new, and connects to as many as the discoverers want, with
// care: few dials at a time, and longer and longer waits between those to a
// peer that cannot be reached.
package pool

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// dialTimeout bounds a dial; the node's own limit is shorter, as a rule.
const dialTimeout = time.Minute

// key is what the pool of a node is shared under.
type key struct{}

// pool is what the discoverers of one node have found.
type pool struct {
	node core.Node
	wake chan struct{} // holds one sign that something has happened

	stop  func()
	wg    sync.WaitGroup
	quiet []func() // end subscriptions

	mu      sync.Mutex
	ledger  *ledger
	members []*Member
}

// Member is one discoverer in the pool of its node.
type Member struct {
	source  Source
	log     *slog.Logger
	pool    *pool
	release func() error
	count   int // peers that it has found; belongs to the pool's ledger
}

// Join makes a discoverer a member of the node's pool. It must leave when it
// closes.
func Join(n core.Node, s Source, log *slog.Logger) (*Member, error) {
	p, release, err := core.Share(n, key{}, func() (*pool, error) { return open(n), nil })
	if err != nil {
		return nil, err
	}
	m := &Member{source: s, log: log, pool: p, release: release}
	p.mu.Lock()
	p.members = append(p.members, m)
	p.mu.Unlock()
	return m, nil
}

func open(n core.Node) *pool {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pool{node: n, wake: make(chan struct{}, 1), stop: cancel, ledger: newLedger(n.ID(), rand.Uint64())}
	p.quiet = []func(){
		core.On(n, func(core.Connected) { p.signal() }),
		core.On(n, func(e core.Disconnected) {
			if e.Last {
				p.disconnected(e.Conn.RemotePeer())
			}
		}),
	}
	p.wg.Go(func() { p.run(ctx) })
	return p
}

// Close implements [io.Closer]: the last member has left.
func (p *pool) Close() error {
	for _, quiet := range p.quiet {
		quiet()
	}
	p.stop()
	p.wg.Wait()
	return nil
}

// Found says that a peer is at these addresses for ttl; zero means until it is
// lost.
func (m *Member) Found(found peer.AddrInfo, ttl time.Duration) {
	p := m.pool
	p.mu.Lock()
	fresh := p.ledger.found(m, found, ttl, time.Now())
	known := p.ledger.entries[found.ID] != nil
	p.mu.Unlock()
	if !known {
		return // there are too many already, or it is this node
	}
	if !m.source.Configured {
		p.node.AddPeerAddrs(found.ID, core.DiscoveredTTL, found.Addrs[:min(len(found.Addrs), maxAddrs)]...)
	}
	if fresh {
		p.node.Emit(core.PeerDiscovered{Peer: found, Source: m.source.Name})
		p.signal()
	}
}

// Lost says that a peer is no longer to be found.
func (m *Member) Lost(id peer.ID) {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	m.pool.ledger.lost(m, id)
}

// Discovered lists what the member has found.
func (m *Member) Discovered() []core.PeerDiscovered {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	return m.pool.ledger.list(m, time.Now())
}

// Leave takes back what the member has found. It may be called more than once.
func (m *Member) Leave() error {
	p := m.pool
	p.mu.Lock()
	p.ledger.leave(m)
	p.members = slices.DeleteFunc(p.members, func(o *Member) bool { return o == m })
	p.mu.Unlock()
	return m.release()
}

func (p *pool) disconnected(id peer.ID) {
	p.mu.Lock()
	p.ledger.disconnected(id, time.Now())
	p.mu.Unlock()
	p.signal()
}

func (p *pool) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run dials.
func (p *pool) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		connected := make(map[peer.ID]bool)
		for _, c := range p.node.Conns() {
			connected[c.RemotePeer()] = true
		}
		p.mu.Lock()
		now := time.Now()
		dials, wake := p.ledger.step(p.members, connected, now)
		p.mu.Unlock()
		for _, d := range dials {
			p.wg.Go(func() { p.dial(ctx, d) })
		}
		timer.Stop()
		if !wake.IsZero() {
			timer.Reset(wake.Sub(now))
		}
	}
}

func (p *pool) dial(ctx context.Context, d peer.AddrInfo) {
	bounded, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	_, err := p.node.Connect(bounded, d)
	if ctx.Err() != nil {
		return // the pool closes
	}
	p.mu.Lock()
	news := p.ledger.dialed(d.ID, err, time.Now())
	var log *slog.Logger
	level := slog.LevelDebug
	if e := p.ledger.entries[d.ID]; err != nil && e != nil {
		for m := range e.finds {
			if log == nil || m.source.Configured {
				log = m.log
			}
			if news && m.source.Configured {
				level = slog.LevelWarn
			}
		}
	}
	p.mu.Unlock()
	if log != nil {
		if mismatch, ok := errors.AsType[*core.PeerMismatchError](err); ok {
			log.Log(ctx, level, "another peer than the configured one answers; correct its ID", "peer", mismatch.Want, "answers", mismatch.Got)
		} else {
			log.Log(ctx, level, "peer cannot be reached; it is tried again later", "peer", d.ID, "error", err)
		}
	}
	p.signal()
}

var _ io.Closer = (*pool)(nil)
