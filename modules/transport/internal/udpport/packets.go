// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// maxDatagram is the largest datagram that is received, in bytes: what
	// quic-go makes room for.
	maxDatagram = 1452
	// maxQueued bounds the datagrams that wait for ReadFrom. More are dropped.
	maxQueued = 256
)

// Packets are the datagrams of a port that are not QUIC's: STUN and DTLS, as RFC
// 9443 tells them apart. It is a [net.PacketConn].
type Packets struct {
	socket *socket
	owns   func(remote netip.AddrPort) bool
	queue  chan datagram
	closed chan struct{}
	close  sync.Once

	mu       sync.Mutex
	deadline time.Time
	moved    chan struct{} // closed when the deadline changes

	retired bool // guarded by the socket's lock
}

// datagram is one that has been received. Its buffer belongs to the pool.
type datagram struct {
	buffer *[]byte
	from   net.Addr
}

// Packets receives the datagrams of the port that are not QUIC's. Where several
// do, as during a reload, each gets those from the remotes that owns says are
// its own, and the latest gets the rest. owns must not block; nil owns none.
func (p *Port) Packets(owns func(remote netip.AddrPort) bool) *Packets {
	s := p.socket
	k := &Packets{
		socket: s,
		owns:   owns,
		queue:  make(chan datagram, maxQueued),
		closed: make(chan struct{}),
		moved:  make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets = append(s.packets, k)
	s.holdLocked()
	return k
}

// readPackets distributes datagrams until the socket closes.
func (s *socket) readPackets() {
	for {
		buffer := s.buffer()
		*buffer = (*buffer)[:maxDatagram]
		n, from, err := s.quic.ReadNonQUICPacket(context.Background(), *buffer)
		if err != nil {
			return
		}
		*buffer = (*buffer)[:n]
		s.distribute(buffer, from)
	}
}

// distribute gives a datagram to whose it is, and the buffer back if it is nobody's.
func (s *socket) distribute(buffer *[]byte, from net.Addr) {
	if to := s.receiver(*buffer, from); to == nil || !to.enqueue(datagram{buffer, from}) {
		s.pool.Put(buffer)
	}
}

// buffer returns one for a datagram.
func (s *socket) buffer() *[]byte {
	if b, ok := s.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, maxDatagram)
	return &b
}

// receiver decides whose a datagram is.
func (s *socket) receiver(b []byte, from net.Addr) *Packets {
	if len(b) == 0 || (b[0] > 3 && b[0] < 20) { // neither STUN nor DTLS
		return nil
	}
	s.mu.Lock()
	all := s.packets
	s.mu.Unlock()
	remote := addrPort(from)
	var latest *Packets
	for _, k := range slices.Backward(all) {
		if k.owns != nil && k.owns(remote) {
			return k
		}
		if latest == nil && !s.isRetired(k) {
			latest = k
		}
	}
	return latest
}

func (s *socket) isRetired(k *Packets) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return k.retired
}

func (k *Packets) enqueue(d datagram) bool {
	select {
	case k.queue <- d:
		return true
	default:
		return false
	}
}

// Retire leaves datagrams from unknown remotes to others. Those from its own
// still come.
func (k *Packets) Retire() {
	k.socket.mu.Lock()
	defer k.socket.mu.Unlock()
	k.retired = true
}

// Close implements [net.PacketConn]. It may be called more than once.
func (k *Packets) Close() error {
	k.close.Do(func() {
		s := k.socket
		s.mu.Lock()
		// Readers may hold the slice.
		s.packets = slices.DeleteFunc(slices.Clone(s.packets), func(o *Packets) bool { return o == k })
		close(k.closed)
		s.mu.Unlock()
		s.drop()
	})
	return nil
}

// ReadFrom implements [net.PacketConn].
func (k *Packets) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		k.mu.Lock()
		deadline, moved := k.deadline, k.moved
		k.mu.Unlock()
		var timeout <-chan time.Time
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left <= 0 {
				return 0, nil, os.ErrDeadlineExceeded
			}
			timer := time.NewTimer(left)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case d := <-k.queue:
			n := copy(b, *d.buffer)
			k.socket.pool.Put(d.buffer)
			return n, d.from, nil
		case <-k.closed:
			return 0, nil, k.errClosed()
		case <-timeout:
			return 0, nil, os.ErrDeadlineExceeded
		case <-moved:
		}
	}
}

func (k *Packets) errClosed() error { return fmt.Errorf("udp %s: %w", k.socket.at, net.ErrClosed) }

// WriteTo implements [net.PacketConn].
func (k *Packets) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-k.closed:
		return 0, k.errClosed()
	default:
		return k.socket.quic.WriteTo(b, to)
	}
}

// LocalAddr implements [net.PacketConn].
func (k *Packets) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(k.socket.at) }

// SetReadDeadline implements [net.PacketConn].
func (k *Packets) SetReadDeadline(t time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deadline = t
	close(k.moved)
	k.moved = make(chan struct{})
	return nil
}

// SetDeadline implements [net.PacketConn].
func (k *Packets) SetDeadline(t time.Time) error { return k.SetReadDeadline(t) }

// SetWriteDeadline implements [net.PacketConn]. Writes do not wait.
func (k *Packets) SetWriteDeadline(time.Time) error { return nil }

var _ net.PacketConn = (*Packets)(nil)
