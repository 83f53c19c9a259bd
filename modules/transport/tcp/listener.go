// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// How long Accept pauses when the system has run out of something, such as file
// descriptors. The pause doubles until a connection comes.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second

	// warnEvery is how often a shortage is logged, at most.
	warnEvery = time.Minute
)

// socket is what a listener needs of a [net.TCPListener].
type socket interface {
	AcceptTCP() (*net.TCPConn, error)
	Addr() net.Addr
	Close() error
}

// listener accepts connections on one socket.
type listener struct {
	transport *Transport
	socket    socket
	at        netip.AddrPort
	addr      ma.Multiaddr
	shared    bool // dials may take the port too

	warned atomic.Int64 // when a shortage was logged last, in nanoseconds of Unix time

	close  sync.Once
	closed chan struct{}
}

// Accept implements [manet.Listener]. Its errors are final: it waits out a
// shortage, and connections that are over before they begin do not show.
func (l *listener) Accept() (manet.Conn, error) {
	pause := time.Duration(0)
	for {
		tcp, err := l.socket.AcceptTCP()
		if err == nil {
			c, err := l.transport.wrap(tcp, nil, nil)
			if err == nil {
				return c, nil
			}
			continue // reset before it was accepted
		}
		if final(err) {
			return nil, fmt.Errorf("accept %s: %w", l.addr, cause(err))
		}
		l.warn(err)
		pause = min(max(2*pause, minPause), maxPause)
		if !l.wait(pause) {
			return nil, fmt.Errorf("accept %s: %w", l.addr, net.ErrClosed)
		}
	}
}

// warn logs a shortage, unless it has done so lately.
func (l *listener) warn(err error) {
	last, now := l.warned.Load(), time.Now().UnixNano()
	if now-last >= int64(warnEvery) && l.warned.CompareAndSwap(last, now) {
		l.transport.log.Warn("connections wait to be accepted", "listener", l.addr, "error", cause(err))
	}
}

// final tells whether a socket that answers accept with err will do so for ever.
// Anything else passes: a shortage of memory or file descriptors, a connection
// that was taken back, a network error that came with one.
func final(err error) bool {
	for _, f := range []error{net.ErrClosed, syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// wait pauses for d; it returns false if the listener is closed before.
func (l *listener) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.closed:
		return false
	}
}

// duplicate returns a second handle of the socket. Both have the same queue.
func (l *listener) duplicate() (*net.TCPListener, error) {
	tcp, ok := l.socket.(*net.TCPListener)
	if !ok {
		return nil, errors.New("not a TCP socket")
	}
	f, err := tcp.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	second, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return second.(*net.TCPListener), nil
}

// Close implements [manet.Listener].
func (l *listener) Close() (err error) {
	l.close.Do(func() {
		close(l.closed)
		err = l.socket.Close()
		l.transport.forget(l)
	})
	return err
}

// Addr implements [manet.Listener].
func (l *listener) Addr() net.Addr { return l.socket.Addr() }

// Multiaddr implements [manet.Listener].
func (l *listener) Multiaddr() ma.Multiaddr { return l.addr }

var _ manet.Listener = (*listener)(nil)
