// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"math/bits"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/wire"
)

// account is the [core.StreamMemory] of one stream.
type account struct {
	conn *Conn

	// Guarded by conn.limits.mu.
	memory   int64
	protocol *protocolScope // nil unless a counted stream with a protocol has the account
	done     bool
}

// Stream implements [core.ConnMemory].
func (c *Conn) Stream() core.StreamMemory { return &account{conn: c} }

// Reserve implements [core.Memory]. A stream's own limit is for it alone, so
// it may use all of that whatever the priority.
func (a *account) Reserve(n int, priority uint8) error {
	if n <= 0 {
		return nil
	}
	l := a.conn.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.done || a.conn.done {
		return core.ErrConnClosed
	}
	if limit := l.config.MemoryPerStream; int64(n) > int64(limit)-a.memory {
		return l.refuseMemory("stream", limit, "memory_per_stream", 255)
	}
	if p := a.protocol; p != nil {
		if err := l.protocolFits(p, int64(n), priority); err != nil {
			return err
		}
	}
	if err := a.conn.fits(n, priority); err != nil {
		return err
	}
	a.add(int64(n))
	return nil
}

// Release implements [core.Memory]. More than is reserved is not released.
func (a *account) Release(n int) {
	a.conn.limits.mu.Lock()
	defer a.conn.limits.mu.Unlock()
	if n > 0 {
		a.add(-min(int64(n), a.memory))
	}
}

// Done implements [core.StreamMemory].
func (a *account) Done() {
	a.conn.limits.mu.Lock()
	defer a.conn.limits.mu.Unlock()
	a.add(-a.memory)
	a.done = true
}

func (a *account) add(n int64) {
	if a.conn.done {
		return // which has given all back
	}
	a.memory += n
	a.conn.addMemory(n)
	if a.protocol != nil {
		a.protocol.memory += n
	}
}

// join charges what the account has to a protocol, instead of the one it was
// charged to before; nil is none.
func (a *account) join(p *protocolScope) {
	if a.protocol != nil {
		a.protocol.memory -= a.memory
	}
	if a.protocol = p; p != nil {
		p.memory += a.memory
	}
}

// protocolFits reports that n bytes more are within the protocol's limit.
func (l *Limits) protocolFits(p *protocolScope, n int64, priority uint8) error {
	limit, key, knob := l.config.MemoryPerProtocol, "memory_per_protocol", "limits.memory_per_protocol"
	if own := l.config.Protocols[p.id].Memory; own > 0 {
		limit, key, knob = own, "protocols", protocolKnob(p.id, "memory")
	}
	if n <= allowed(int64(limit), priority)-p.memory {
		return nil
	}
	return l.refuseKnob("protocol "+wire.Text(p.id, maxName), "bytes of memory", allowed(int64(limit), priority), key, knob)
}

// allowed is the part of a limit that a priority may use: (1+priority)/256.
func allowed(limit int64, priority uint8) int64 {
	hi, lo := bits.Mul64(uint64(max(limit, 0)), uint64(priority)+1)
	return int64(hi<<56 | lo>>8)
}

var _ core.StreamMemory = (*account)(nil)
