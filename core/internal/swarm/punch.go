// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// punches are the addresses to which holes are being punched by dials that are
// the client. What comes in from there has crossed the dial on its way and found
// the listener in place of it; it is the same connection to the other side, which
// takes this one for the client.
type punches struct {
	mu    sync.Mutex
	dials map[string][]punched // bounded by those under way and their addresses
}

// punched is a dial of which a connection may be a part.
type punched struct {
	peer peer.ID
	dial core.PunchDial
}

// expect notes the addresses of a dial until done is called.
func (p *punches) expect(key dialKey, attempts []*attempt) (done func()) {
	if key.punch.Role != core.PunchClient {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dials == nil {
		p.dials = make(map[string][]punched)
	}
	dial := punched{key.peer, key.punch}
	for _, a := range attempts {
		key := string(a.Addr.Bytes())
		p.dials[key] = append(p.dials[key], dial)
	}
	return func() { p.remove(dial, attempts) }
}

func (p *punches) remove(dial punched, attempts []*attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range attempts {
		key := string(a.Addr.Bytes())
		i := slices.Index(p.dials[key], dial)
		if p.dials[key] = slices.Delete(p.dials[key], i, i+1); len(p.dials[key]) == 0 {
			delete(p.dials, key)
		}
	}
}

// client returns the dial as part of which a connection that comes in from an
// address is to be treated, if there is one.
func (p *punches) client(remote ma.Multiaddr) (dial punched, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.dials) == 0 {
		return dial, false
	}
	dials := p.dials[string(remote.Bytes())]
	if len(dials) == 0 {
		return dial, false
	}
	return dials[0], true
}

// securityOf returns what a peer has agreed to on a connection that there is; empty
// without one.
func (s *Swarm) securityOf(p peer.ID) string {
	if c := s.best(p, limited); c != nil {
		return c.stat.Security
	}
	return ""
}

// opening is the length of the header of multistream-select, with which a side
// may begin that waits for the other's proposal. More than that says that it does
// not wait.
const opening = len("\x13/multistream/1.0.0\n")

// hear waits for the other side to propose something. If it does not, this side is
// the one that has to. An error shows when the returned connection is used.
func hear(ctx context.Context, raw manet.Conn, wait time.Duration) (conn manet.Conn, first bool) {
	if wait == 0 {
		return raw, true
	}
	stop := context.AfterFunc(ctx, func() { raw.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw.SetReadDeadline(time.Now().Add(wait))
	head := make([]byte, opening+1)
	n, err := io.ReadFull(raw, head)
	raw.SetReadDeadline(time.Time{})
	var timeout net.Error
	return &heard{raw, head[:n]}, errors.As(err, &timeout) && timeout.Timeout()
}

// heard is a connection of which something has been read.
type heard struct {
	manet.Conn
	head []byte // to be read again; of one reader
}

// Read implements [net.Conn].
func (h *heard) Read(p []byte) (int, error) {
	if len(h.head) == 0 || len(p) == 0 {
		return h.Conn.Read(p)
	}
	n := copy(p, h.head)
	h.head = h.head[n:]
	return n, nil
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
