// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"context"
	crand "crypto/rand"
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	// punchSize is that of the packets that open a way, in bytes.
	punchSize = 64
	// The time between two of them is by chance between these.
	minPunch, maxPunch = 10 * time.Millisecond, 200 * time.Millisecond
)

// Punch sends packets that mean nothing to an address, so that what comes from
// there finds a way in, until ctx ends. It returns why that is. The first byte is
// not one that a QUIC packet, or STUN, begins with.
func (p *Port) Punch(ctx context.Context, to netip.AddrPort) error {
	b := make([]byte, punchSize)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		crand.Read(b)
		b[0] = 8 | b[0]&7
		if err := p.WriteTo(b, to); err != nil {
			return err
		}
		timer.Reset(minPunch + rand.N(maxPunch-minPunch))
	}
}
