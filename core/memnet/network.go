// SPDX-License-Identifier: Apache-2.0 OR MIT

package memnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

var (
	// ErrRefused is the reason for a failed dial: nobody listens there.
	ErrRefused = errors.New("connection refused")
	// ErrInUse is the reason for a failed listen: somebody listens there.
	ErrInUse = errors.New("address already in use")
)

// backlog is how many connections of one listener may wait to be accepted.
// Further dials wait for their turn.
const backlog = 128

// Options are the properties of a network.
type Options struct {
	// Delay is the latency of each direction of a connection. Dialling takes
	// it twice.
	Delay time.Duration
	// Loss is the part of the writes, from 0 to 1, that are lost on the way and
	// sent again, as a transport does that loses nothing: they take a round trip
	// and 200 ms longer, and what comes behind them waits. It takes a Delay.
	Loss float64
	// Buffer is how many bytes a connection takes in each direction before
	// a write waits for the reader. Default: [DefaultBuffer].
	Buffer int
}

// Network connects the listeners and dialers of one process. Its methods may be
// called from any number of goroutines.
type Network struct {
	options Options

	mu        sync.Mutex
	listeners map[Addr]*Listener
	last      Addr // the number that was picked last
}

// New returns a network without listeners.
func New(o Options) *Network {
	if o.Buffer <= 0 {
		o.Buffer = DefaultBuffer
	}
	return &Network{options: o, listeners: make(map[Addr]*Listener)}
}

// Listen binds /memory/N; for N = 0 it picks a free number.
func (n *Network) Listen(a ma.Multiaddr) (manet.Listener, error) {
	addr, err := parse(a)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr == 0 {
		addr = n.pickLocked()
	}
	if _, taken := n.listeners[addr]; taken {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: ErrInUse}
	}
	l := &Listener{
		network: n,
		addr:    addr,
		waiting: make(chan *Conn, backlog),
		closed:  make(chan struct{}),
	}
	n.listeners[addr] = l
	return l, nil
}

// Dial connects to /memory/N. It ends with ctx.
func (n *Network) Dial(ctx context.Context, a ma.Multiaddr) (manet.Conn, error) {
	addr, err := parse(a)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	conn, err := n.dial(ctx, addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: addr, Err: err}
	}
	return conn, nil
}

func (n *Network) dial(ctx context.Context, to Addr) (*Conn, error) {
	if err := sleep(ctx, n.options.Delay); err != nil {
		return nil, err
	}
	l, from := n.find(to)
	if l == nil {
		if err := sleep(ctx, n.options.Delay); err != nil {
			return nil, err
		}
		return nil, ErrRefused
	}
	local, remote := pipe(n.options.Buffer, n.options.Delay, from, to)
	local.in.loss, local.out.loss = n.options.Loss, n.options.Loss
	if err := l.offer(ctx, remote); err != nil {
		return nil, err
	}
	if err := sleep(ctx, n.options.Delay); err != nil {
		local.Close()
		return nil, err
	}
	return local, nil
}

// find returns who listens at an address, or nil, and an address for who dials it.
func (n *Network) find(to Addr) (*Listener, Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.listeners[to]
	if l == nil {
		return nil, 0
	}
	return l, n.pickLocked()
}

// pickLocked returns a number at which nobody listens.
func (n *Network) pickLocked() Addr {
	for {
		n.last++
		if _, taken := n.listeners[n.last]; !taken && n.last != 0 {
			return n.last
		}
	}
}

func (n *Network) remove(l *Listener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[l.addr] == l {
		delete(n.listeners, l.addr)
	}
}

// parse returns the number of a /memory address.
func parse(a ma.Multiaddr) (Addr, error) {
	if len(a) != 1 || a[0].Code() != ma.P_MEMORY {
		return 0, fmt.Errorf("%s: want /memory/N", a)
	}
	var addr Addr
	for _, b := range a[0].RawValue() { // eight bytes, big-endian
		addr = addr<<8 | Addr(b)
	}
	return addr, nil
}

// sleep waits for d or for the end of ctx, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
