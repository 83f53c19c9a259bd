// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

const (
	// Between two first packets of a punch is three times what a packet takes
	// there and back, so that an answer finds its dial even if the two sides
	// have not begun at the same moment, but no less and no more than this. The
	// system itself would send the second one after a second, the third after
	// three.
	minBurst, maxBurst = 200 * time.Millisecond, time.Second
	// anyBurst is the time where it is not known what a packet takes: then it is
	// for the other side to be quick, and for this one to be there when what the
	// system says again after a second comes.
	anyBurst = 1500 * time.Millisecond
	// afterRefusal is how long to wait where a dial ends at once.
	afterRefusal = 20 * time.Millisecond
)

// Punch dials an address that dials back at the same time. Of the first packets
// either way, those are lost that come before the other side has sent one.
type Punch struct {
	Dialer
	RTT time.Duration // 0 if it is not known
}

// Dial dials again and again, from the same port, until the other side answers or
// ctx ends. What comes in from there meanwhile is a connection of the same punch, and
// ends like one that was dialled.
func (p Punch) Dial(ctx context.Context, shares core.Shares, to netip.AddrPort) (Conn, error) {
	ports, release, err := openPorts(shares)
	if err != nil {
		return Conn{}, err
	}
	defer release()
	defer ports.punch(to)()
	burst := anyBurst
	if p.RTT > 0 {
		burst = min(max(3*p.RTT, minBurst), maxBurst)
	}
	for {
		// Both sides in step would close what the other is about to answer.
		d := p.Dialer
		d.Timeout = burst + rand.N(burst/4)
		c, err := d.Dial(ctx, shares, to)
		if err == nil {
			return c, nil
		}
		timer := time.NewTimer(afterRefusal)
		select {
		case <-ctx.Done():
			timer.Stop()
			return Conn{}, err
		case <-timer.C:
		}
	}
}

// punch notes an address to which a hole is being punched, until done is called.
func (p *ports) punch(to netip.AddrPort) (done func()) {
	add := func(n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.punched == nil {
			p.punched = make(map[netip.AddrPort]int)
		}
		if p.punched[to] += n; p.punched[to] == 0 {
			delete(p.punched, to)
		}
	}
	add(1)
	return func() { add(-1) }
}

// accepted makes a connection of one that has come in.
func (p *ports) accepted(c *net.TCPConn) Conn {
	p.mu.Lock()
	part := len(p.punched) > 0 && p.punched[AddrPort(c.RemoteAddr())] > 0
	p.mu.Unlock()
	return Conn{TCPConn: c, traceless: part && leaveNoTrace(c)}
}
