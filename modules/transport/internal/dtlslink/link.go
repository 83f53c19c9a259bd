// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package dtlslink protects the packets of WebRTC connections with DTLS: the
// library's handshake, and records of our own after it.
package dtlslink

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/xnode-p2p/xnode/core"
)

const (
	// maxFlight bounds the datagrams of a handshake that wait for the DTLS
	// library, and maxBurst those of a connection that wait for SCTP.
	maxFlight = 16
	maxBurst  = 256
)

// errSilent means that a remote has not been heard of for the idle timeout.
var errSilent = errors.New("the remote gives no sign of life")

// Link carries one connection in datagrams. It is the net.Conn under SCTP; before
// that, its handshakeConn is the net.PacketConn under the DTLS library.
type Link struct {
	send   func(b []byte, to *net.UDPAddr) error
	local  net.Addr
	remote atomic.Pointer[net.UDPAddr]
	closed func() // is called once, when the link has closed
	// Prove is called once, when the remote has proven its address, unless it
	// is nil. With an error the remote is refused. It is set before the
	// handshake.
	Prove    func() error
	proving  sync.Once
	refused  error
	admitted atomic.Bool

	flights, data *inbox
	records       atomic.Pointer[records]
	library       atomic.Pointer[dtls.Conn] // nil when it is done with
	seen          atomic.Int64              // when the remote was last heard of, in Unix nanoseconds

	closing sync.Once
	mu      sync.Mutex // guards what follows
	idle    *time.Timer
	end     *core.ConnError // why the link has closed; nil if it was told to
}

// New makes a link that has no keys yet. It sends with send, and calls closed once,
// when it has closed.
func New(local net.Addr, remote netip.AddrPort, send func([]byte, *net.UDPAddr) error, closed func()) *Link {
	l := &Link{send: send, local: local, closed: closed, flights: newInbox(maxFlight), data: newInbox(maxBurst)}
	l.remote.Store(net.UDPAddrFromAddrPort(remote))
	l.Heard()
	return l
}

// Heard notes that the remote is alive.
func (l *Link) Heard() { l.seen.Store(time.Now().UnixNano()) }

// Watch closes the link once nothing is heard of the remote for a while.
func (l *Link) Watch(patience time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := patience - time.Since(time.Unix(0, l.seen.Load()))
	if left > 0 {
		l.idle = time.AfterFunc(left, func() { l.Watch(patience) })
		return
	}
	l.endLocked(&core.ConnError{Cause: errSilent})
}

// Fail closes the link because of an error, without waiting for it.
func (l *Link) Fail(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(&core.ConnError{Cause: why})
}

// endLocked closes the link in the background, unless it has ended before.
func (l *Link) endLocked(why *core.ConnError) {
	if l.end != nil {
		return
	}
	l.end = why
	if l.idle != nil {
		l.idle.Stop()
	}
	l.idle = time.AfterFunc(0, func() { l.Close() })
}

// Receive takes a DTLS datagram from the socket, and does not keep b.
func (l *Link) Receive(b []byte) {
	for {
		record, rest := nextRecord(b)
		if record == nil {
			return
		}
		encrypted := record[3]|record[4] != 0
		switch kind := record[0]; {
		case kind == typeData && !encrypted:
			// The DTLS library would end the connection for it.
		case kind == typeData || kind == typeAlert && encrypted && l.records.Load() != nil:
			l.data.put(record)
		default:
			l.flights.put(record)
		}
		b = rest
	}
}

// Read implements [net.Conn]: it returns what one record has.
func (l *Link) Read(p []byte) (int, error) {
	for {
		it, err := l.data.take()
		if err != nil {
			return 0, err
		}
		n, err := l.open(p, it.buffer[:it.size])
		datagrams.Put(it.buffer)
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (l *Link) open(p, record []byte) (int, error) {
	if len(p) < len(record)-recordSpace {
		return 0, io.ErrShortBuffer
	}
	content, ok := l.records.Load().open(p[:0], record)
	if !ok {
		return 0, nil
	}
	l.Heard()
	l.settle()
	if record[0] == typeData {
		return len(content), nil
	}
	// All alerts end the connection but warnings other than close_notify.
	if len(content) == 2 && (content[0] == 2 || content[1] == 0) {
		l.mu.Lock()
		l.end = &core.ConnError{Remote: true}
		l.mu.Unlock()
		return 0, io.EOF
	}
	return 0, nil
}

// settle ends the DTLS library's part: the remote has finished the handshake.
func (l *Link) settle() {
	if l.library.Load() == nil {
		return
	}
	if c := l.library.Swap(nil); c != nil {
		_ = c.Close() // it would say goodbye, which is kept back
	}
}

// Write implements [net.Conn]: it sends p as one record.
func (l *Link) Write(p []byte) (int, error) {
	if err := l.write(typeData, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l *Link) write(kind byte, p []byte) error {
	buffer := datagrams.Get().(*[MaxDatagram]byte)
	defer datagrams.Put(buffer)
	b, err := l.records.Load().seal(buffer[:0], kind, p)
	if err != nil {
		return err
	}
	if err := l.send(b, l.remote.Load()); errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil // a datagram that is not sent is a datagram lost
}

// refusal is a DTLS alert in the clear: access denied. It is shorter than what
// it answers, and tells nothing. Its number is above those of the datagrams that
// asked for the proof of the address.
var refusal = []byte{typeAlert, versionHigh, versionLow, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 2, 49}

// Refuse tells a remote that has no keys yet that it is not let in.
func (l *Link) Refuse() { _ = l.Send(refusal) } // or it will find out

// Send sends a datagram as it is.
func (l *Link) Send(b []byte) error { return l.send(b, l.remote.Load()) }

// Admitted tells whether the remote has proven its address, and was let in.
func (l *Link) Admitted() bool { return l.admitted.Load() }

// Close implements [net.Conn]. It tells the remote.
func (l *Link) Close() error {
	l.closing.Do(func() {
		if l.records.Load() != nil {
			_ = l.write(typeAlert, []byte{1, 0}) // close_notify
		}
		l.flights.close()
		l.data.close()
		l.settle()
		l.mu.Lock()
		if l.idle != nil {
			l.idle.Stop()
		}
		l.mu.Unlock()
		l.closed()
	})
	return nil
}

// Ended tells why the link has closed, nil if it does not know.
func (l *Link) Ended() *core.ConnError {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// LocalAddr implements [net.Conn].
func (l *Link) LocalAddr() net.Addr { return l.local }

// RemoteAddr implements [net.Conn].
func (l *Link) RemoteAddr() net.Addr { return l.remote.Load() }

// SetDeadline implements [net.Conn].
func (l *Link) SetDeadline(t time.Time) error { return l.SetReadDeadline(t) }

// SetReadDeadline implements [net.Conn].
func (l *Link) SetReadDeadline(t time.Time) error {
	l.data.setDeadline(t)
	return nil
}

// SetWriteDeadline implements [net.Conn]. Writes do not wait.
func (l *Link) SetWriteDeadline(time.Time) error { return nil }

// handshakeConn is what the DTLS library has of a link.
type handshakeConn struct{ link *Link }

// ReadFrom implements [net.PacketConn].
func (h handshakeConn) ReadFrom(p []byte) (int, net.Addr, error) {
	it, err := h.link.flights.take()
	if err != nil {
		return 0, nil, err
	}
	defer datagrams.Put(it.buffer)
	return copy(p, it.buffer[:it.size]), h.link.remote.Load(), nil
}

// WriteTo implements [net.PacketConn].
func (h handshakeConn) WriteTo(p []byte, _ net.Addr) (int, error) {
	if r := h.link.records.Load(); r != nil && !r.ofHandshake(p) {
		return len(p), nil
	}
	if h.link.Prove != nil && isServerHello(p) {
		if err := h.link.Proven(); err != nil {
			return 0, err
		}
	}
	_ = h.link.send(p, h.link.remote.Load()) // as in link.write
	return len(p), nil
}

// Proven is called when the library goes on with a handshake: the remote has
// returned the cookie that was sent to its address.
func (l *Link) Proven() error {
	l.proving.Do(func() {
		if l.refused = l.Prove(); l.refused != nil {
			l.Refuse()
		}
		l.admitted.Store(l.refused == nil)
	})
	return l.refused
}

// ofHandshake tells whether a datagram of the library's may still be sent: if it
// is of the handshake, and has no number that is used again.
func (r *records) ofHandshake(b []byte) bool {
	for {
		record, rest := nextRecord(b)
		if record == nil {
			return true
		}
		epoch, number := uint16(record[3])<<8|uint16(record[4]), recordNumber(record)
		if record[0] == typeAlert || epoch > 0 && number >= r.start {
			return false
		}
		b = rest
	}
}

// Close implements [net.PacketConn].
func (h handshakeConn) Close() error {
	h.link.flights.close()
	return nil
}

// LocalAddr implements [net.PacketConn].
func (h handshakeConn) LocalAddr() net.Addr { return h.link.local }

// SetDeadline implements [net.PacketConn].
func (h handshakeConn) SetDeadline(t time.Time) error { return h.SetReadDeadline(t) }

// SetReadDeadline implements [net.PacketConn].
func (h handshakeConn) SetReadDeadline(t time.Time) error {
	h.link.flights.setDeadline(t)
	return nil
}

// SetWriteDeadline implements [net.PacketConn]. Writes do not wait.
func (h handshakeConn) SetWriteDeadline(time.Time) error { return nil }

var (
	_ net.Conn       = (*Link)(nil)
	_ net.PacketConn = handshakeConn{}
)

// MoveTo makes the link send to another address of the remote's, unless the first
// one is not proven yet.
func (l *Link) MoveTo(to netip.AddrPort) {
	if l.admitted.Load() && l.remote.Load().AddrPort() != to {
		l.remote.Store(net.UDPAddrFromAddrPort(to))
	}
}
