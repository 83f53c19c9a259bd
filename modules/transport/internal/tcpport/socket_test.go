// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// scarceSocket answers accept with its errors, then as closed.
type scarceSocket struct {
	errs []error
}

func (s *scarceSocket) AcceptTCP() (*net.TCPConn, error) {
	err := net.ErrClosed
	if len(s.errs) > 0 {
		err, s.errs = s.errs[0], s.errs[1:]
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: err}
}

func (s *scarceSocket) Close() error { return nil }

// scarce returns a listener on such a socket.
func scarce(log *slog.Logger, errs ...error) *Listener {
	p := new(ports)
	s := newSocket(p, &scarceSocket{errs: errs}, loopback)
	p.sockets = append(p.sockets, s)
	l := s.joinLocked(Options{Log: log})
	l.release = func() error { return nil }
	return l
}

// TestEvil_A9_ShortageDoesNotSpin has accept pause, ever longer, while the
// system is out of file descriptors.
func TestEvil_A9_ShortageDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := make([]error, 12)
		for i := range errs {
			errs[i] = syscall.EMFILE
		}
		errs[3] = syscall.ENETDOWN // comes with a connection
		var out bytes.Buffer
		l := scarce(slog.New(slog.NewTextHandler(&out, nil)), errs...)
		start := time.Now()
		if _, err := l.Accept(); err != net.ErrClosed {
			t.Errorf("accept: %v", err)
		}
		want := (5+10+20+40+80+160+320+640)*time.Millisecond + 4*time.Second
		if got := time.Since(start); got != want {
			t.Errorf("paused for %v, want %v", got, want)
		}
		l.Close()
		if n := strings.Count(out.String(), "too many open files"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, &out)
		}
	})
}

func TestCloseEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := scarce(nil, syscall.EMFILE)
		done := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			done <- err
		}()
		synctest.Wait()
		start := time.Now()
		l.Close()
		if err := <-done; err != net.ErrClosed || time.Since(start) != 0 {
			t.Errorf("accept in a pause: %v after %v", err, time.Since(start))
		}
	})
}

// A socket that the system has taken away ends everybody's Accept, and is in
// nobody's way who opens the port anew.
func TestBrokenSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := scarce(nil, syscall.EBADF)
		p := l.socket.ports
		if _, err := l.Accept(); !errors.Is(err, syscall.EBADF) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v", err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.sockets) != 0 {
			t.Error("the socket is still found")
		}
	})
}

// The listeners of a broken socket are replaced one by one, as the host does.
func TestOpensABrokenSocketAnew(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	var shares core.ShareTable
	tcp := listen(t, &shares, loopback, Options{Kind: Multistream})
	ws := listen(t, &shares, tcp.Addr(), Options{Kind: HTTP})
	tcp.socket.tcp.Close()
	for _, l := range []*Listener{tcp, ws} {
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v", err)
		}
	}
	var again []*Listener
	for _, l := range []*Listener{tcp, ws} {
		l.Close()
		again = append(again, listen(t, &shares, l.Addr(), Options{Kind: l.kind}))
	}
	for _, l := range again {
		dial(t, again[0], greetings[l.kind])
		hears(t, l, greetings[l.kind])
	}
}
