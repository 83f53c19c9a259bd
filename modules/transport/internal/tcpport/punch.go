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
	// afterRefusal is how long to wait where a dial ends at once.
	afterRefusal = 20 * time.Millisecond
)

// Punch dials an address that dials back at the same time. Of the first packets
// either way, those are lost that come before the other side has sent one.
type Punch struct {
	Dialer
	RTT time.Duration
}

// Dial dials again and again, from the same port, until the other side answers or
// ctx ends.
func (p Punch) Dial(ctx context.Context, shares core.Shares, to netip.AddrPort) (*net.TCPConn, error) {
	burst := min(max(3*p.RTT, minBurst), maxBurst)
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
			return nil, err
		case <-timer.C:
		}
	}
}
