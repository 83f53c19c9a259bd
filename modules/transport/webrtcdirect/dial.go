// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/transport/internal/dtlslink"
)

const (
	// firstCheck is how long a dialer waits for the answer to its first binding
	// request; each further wait is twice as long, up to lastCheck.
	firstCheck = 50 * time.Millisecond
	lastCheck  = 800 * time.Millisecond
	// consentInterval is how often the dialer asks whether the listener still
	// wants what it sends, RFC 7675.
	consentInterval = 5 * time.Second
	// socketBuffer is how much a dialer's socket may hold, in bytes. What the
	// system gives at first is less than a burst of SCTP's.
	socketBuffer = 2 << 20
)

// dialled is the socket of a connection to a listener.
type dialled struct {
	udp        *net.UDPConn
	link       *dtlslink.Link
	username   string // of the requests
	fragment   []byte // of both sides, and the password
	tieBreaker uint64
	answered   chan struct{} // closed with the first answer
	first      sync.Once
	done       chan struct{} // closed with the link
	wg         sync.WaitGroup

	mu          sync.Mutex
	transaction [12]byte // of the latest request
}

func (t *Transport) dial(ctx context.Context, a ma.Multiaddr, p peer.ID, m core.ConnMemory) (*conn, error) {
	at, h, hashed, err := parseAddress(a)
	switch {
	case err != nil:
		return nil, err
	case !hashed:
		return nil, fmt.Errorf("%s: %w", a, errNoHash)
	case t.node == nil:
		return nil, fmt.Errorf("%s: %w", a, errNotStarted)
	}
	c, err := t.dialAt(ctx, at, setup{client: true, memory: m, expect: p, pinned: h})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	c.remote = a
	return c, nil
}

func (t *Transport) dialAt(ctx context.Context, at netip.AddrPort, s setup) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(t.HandshakeTimeout), errTimeout)
	defer cancel()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	d, err := open(at)
	if err != nil {
		return nil, err
	}
	d.wg.Go(d.read)
	if err := d.check(ctx); err != nil {
		return nil, errors.Join(err, d.link.Close())
	}
	d.wg.Go(d.consent)
	c, err := t.secure(ctx, d.link, s)
	if err != nil {
		return nil, err
	}
	if c.local, err = address(d.udp.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	d.link.Watch(time.Duration(t.IdleTimeout))
	return c, nil
}

// open makes a socket for one connection, on which nothing but that is received.
func open(at netip.AddrPort) (*dialled, error) {
	udp, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	_ = udp.SetReadBuffer(socketBuffer) // as far as the system lets it
	fragment := newFragment()
	d := &dialled{
		udp:      udp,
		username: fragment + ":" + fragment,
		fragment: []byte(fragment),
		answered: make(chan struct{}),
		done:     make(chan struct{}),
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // it cannot fail
	d.tieBreaker = binary.BigEndian.Uint64(b[:])
	d.link = dtlslink.New(udp.LocalAddr(), at, d.send, func() {
		close(d.done)
		_ = udp.Close()
		d.wg.Wait()
	})
	return d, nil
}

func (d *dialled) send(b []byte, _ *net.UDPAddr) error {
	_, err := d.udp.Write(b)
	return err
}

// read receives datagrams until the link is closed. Errors are those of single
// datagrams, such as that nobody listens.
func (d *dialled) read() {
	b := make([]byte, dtlslink.MaxDatagram)
	for {
		n, err := d.udp.Read(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || n == 0:
		case b[0] <= 3:
			d.stun(b[:n])
		case b[0] >= minDTLS && b[0] < maxDTLS:
			d.link.Receive(b[:n])
		}
	}
}

// stun handles an answer of the listener's, or a request: not all listeners are
// passive.
func (d *dialled) stun(b []byte) {
	m, err := parseSTUN(b)
	if err != nil || !m.verify(d.fragment) {
		return
	}
	switch m.kind {
	case bindingRequest:
		if string(m.username) == d.username {
			_ = d.send(respond(m, d.link.RemoteAddr().(*net.UDPAddr).AddrPort(), d.fragment), nil)
		}
	case bindingResponse:
		d.mu.Lock()
		latest := m.transaction == d.transaction
		d.mu.Unlock()
		if latest {
			d.link.Heard()
			d.first.Do(func() { close(d.answered) })
		}
	}
}

func (d *dialled) ask() error {
	b, transaction := request(d.username, d.fragment, d.tieBreaker)
	d.mu.Lock()
	d.transaction = transaction
	d.mu.Unlock()
	return d.send(b, nil)
}

// check asks until there is an answer.
func (d *dialled) check(ctx context.Context) error {
	for wait := firstCheck; ; wait = min(2*wait, lastCheck) {
		_ = d.ask() // it is asked again
		timer := time.NewTimer(wait)
		select {
		case <-d.answered:
			timer.Stop()
			return nil
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("no answer: %w", context.Cause(ctx))
		}
	}
}

// consent asks from time to time, until the link is closed. Without an answer
// the link is closed for being silent.
func (d *dialled) consent() {
	ticker := time.NewTicker(consentInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = d.ask()
		case <-d.done:
			return
		}
	}
}
