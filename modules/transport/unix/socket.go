// SPDX-License-Identifier: Apache-2.0 OR MIT

package unix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/modules/transport/internal/handover"
)

// How long the socket is left alone when the system has run out of something,
// such as file descriptors. The pause doubles until a connection comes.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// socketKey is the key of a socket among what the node's modules share: its path.
type socketKey string

// socket is an open socket and the listeners that share it: several while a
// reload replaces the transport.
type socket struct {
	path string
	file fs.FileInfo
	unix *net.UnixListener
	line handover.Line[*net.UnixConn]

	running sync.WaitGroup // the accept loop
	closed  chan struct{}

	mu        sync.Mutex
	listeners []*listener // in the order of their opening; bounded by the instances of the module
	serving   bool
}

// open binds the socket.
func open(path string, mode fs.FileMode) (*socket, error) {
	unix, file, err := bind(path, mode)
	if err != nil {
		return nil, err
	}
	return &socket{path: path, file: file, unix: unix, closed: make(chan struct{})}, nil
}

// Close implements [io.Closer]. It removes the file before others could take the
// socket for one that nobody listens on.
func (s *socket) Close() error {
	err := remove(s.path, s.file)
	close(s.closed)
	err = errors.Join(err, s.unix.Close())
	s.line.End(net.ErrClosed)
	s.running.Wait()
	return err
}

// join adds a listener, whose permissions the file gets.
func (s *socket) join(l *listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.listeners, func(o *listener) bool { return o.transport == l.transport }) {
		return syscall.EADDRINUSE
	}
	if err := s.permit(l.transport.mode); err != nil {
		return err
	}
	l.socket, l.place = s, s.line.Join()
	s.listeners = append(s.listeners, l)
	return nil
}

// leave takes a listener away. The file gets the permissions of the newest that
// is left.
func (s *socket) leave(l *listener) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.place.Leave()
	s.listeners = slices.DeleteFunc(s.listeners, func(o *listener) bool { return o == l })
	if n := len(s.listeners); n > 0 {
		err = s.permit(s.listeners[n-1].transport.mode)
	}
	return err
}

// permit sets the permissions of the file, if it is still the socket's.
func (s *socket) permit(mode fs.FileMode) error {
	now, err := os.Lstat(s.path)
	if err == nil && !os.SameFile(now, s.file) {
		err = errors.New("somebody has put another file in the place of the socket")
	}
	if err == nil && now.Mode().Perm() != mode {
		err = os.Chmod(s.path, mode)
	}
	return err
}

// serve begins to accept, unless that has been done already.
func (s *socket) serve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.serving && len(s.listeners) > 0 {
		s.serving = true
		s.running.Go(s.accept)
	}
}

// log is that of the newest listener.
func (s *socket) log() *slog.Logger {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.listeners); n > 0 {
		return s.listeners[n-1].transport.log
	}
	return slog.New(slog.DiscardHandler)
}

// accept takes connections from the system until the socket is closed. It waits
// out a shortage.
func (s *socket) accept() {
	pause := time.Duration(0)
	for {
		c, err := s.unix.AcceptUnix()
		if err == nil {
			pause = 0
			if s.line.Give(context.Background(), c) != nil {
				_ = c.Close() // nobody is there any more
			}
			continue
		}
		if final(err) {
			s.line.End(fmt.Errorf("%w: %w", net.ErrClosed, cause(err)))
			return
		}
		if pause == 0 {
			s.log().Warn("connections wait to be accepted", "listener", s.path, "error", cause(err))
		}
		pause = min(max(2*pause, minPause), maxPause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.closed:
			timer.Stop()
			return
		}
	}
}

// final tells whether a socket that answers accept with err will do so for ever.
// Anything else passes: a shortage of memory or file descriptors, a connection
// that was taken back.
func final(err error) bool {
	return slices.ContainsFunc([]error{net.ErrClosed, syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK},
		func(f error) bool { return errors.Is(err, f) })
}
