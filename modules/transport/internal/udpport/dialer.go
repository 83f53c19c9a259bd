// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// dialLinger is how long a socket that was opened for dials stays open after the
// last of them.
const dialLinger = 10 * time.Second

// Dialer is a transport's way to the ports it dials from. A socket that nobody
// listens on stays open for some seconds after a dial, for the next one.
type Dialer struct {
	node   Node
	linger time.Duration

	mu     sync.Mutex
	closed bool
	kept   []*Port // one of each IP family at most
	timer  *time.Timer
}

// NewDialer returns a dialer for the node. It has to be closed.
func NewDialer(n Node) *Dialer { return &Dialer{node: n, linger: dialLinger} }

// Join returns the port to dial an address from, as [JoinFor] does, or one that
// nobody else joins.
func (d *Dialer) Join(to netip.AddrPort, alone bool) (*Port, error) {
	if alone {
		return joinAlone(d.node, to)
	}
	p, err := JoinFor(d.node, to)
	if err == nil && !p.socket.listed {
		d.keep(p.socket)
	}
	return p, err
}

// keep has a socket stay open for a while, which it is now.
func (d *Dialer) keep(s *socket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	if !slices.ContainsFunc(d.kept, func(p *Port) bool { return p.socket == s }) {
		p, err := share(d.node, anyPortKey{s.at.Addr()}, gone)
		if err != nil {
			return
		}
		d.kept = append(d.kept, p)
	}
	if d.timer == nil {
		d.timer = time.AfterFunc(d.linger, func() { d.release() }) // its error is that of closing
	} else {
		d.timer.Reset(d.linger)
	}
}

// release gives all up that is kept. Who calls it at the same time waits.
func (d *Dialer) release() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	for _, p := range d.kept {
		err = errors.Join(err, p.Release())
	}
	d.kept = nil
	return err
}

// Close gives up at once what is kept for later dials. Ports that were joined are
// not touched, nor are connections. It may be called more than once.
func (d *Dialer) Close() error {
	d.mu.Lock()
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
	d.mu.Unlock()
	return d.release()
}
