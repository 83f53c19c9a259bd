// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// punches are the addresses to which holes are being punched by dials that are
// the client. What comes in from there has crossed the dial on its way and found
// the listener in place of it; it is the same connection to the other side, which
// takes this one for the client.
type punches struct {
	mu    sync.Mutex
	addrs map[string]int // dials; bounded by those under way and their addresses
}

// expect notes the addresses of a dial until done is called.
func (p *punches) expect(dial core.PunchDial, attempts []*attempt) (done func()) {
	if dial.Role != core.PunchClient {
		return func() {}
	}
	p.add(attempts, 1)
	return func() { p.add(attempts, -1) }
}

func (p *punches) add(attempts []*attempt, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.addrs == nil {
		p.addrs = make(map[string]int)
	}
	for _, a := range attempts {
		key := string(a.Addr.Bytes())
		if p.addrs[key] += n; p.addrs[key] == 0 {
			delete(p.addrs, key)
		}
	}
}

// client reports whether a connection that comes in from an address is one whose
// client this side is.
func (p *punches) client(remote ma.Multiaddr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.addrs) > 0 && p.addrs[string(remote.Bytes())] > 0
}

// punchPause is the wait after a connection that was lost in its handshake.
const punchPause = 50 * time.Millisecond

// punchesAgain reports, after a pause, whether a dial that punches is to go on: the
// other side may have given the connection up that this side has just got, and be
// about to make another.
func (s *Swarm) punchesAgain(ctx context.Context, err error) bool {
	var mismatch *core.PeerMismatchError
	var limit *core.LimitError
	if err == nil || !isPunch(ctx) || errors.As(err, &mismatch) || errors.As(err, &limit) {
		return false
	}
	timer := time.NewTimer(punchPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func isPunch(ctx context.Context) bool {
	_, ok := core.Punching(ctx)
	return ok
}

func isPunchServer(ctx context.Context) bool {
	p, _ := core.Punching(ctx)
	return p.Role == core.PunchServer
}
