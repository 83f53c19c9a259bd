// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/quic-go/quic-go"
)

// socket is one UDP socket of a node.
type socket struct {
	at      netip.AddrPort
	udp     *net.UDPConn
	quic    *quic.Transport
	buffers int // the smaller of the two buffers in bytes; 0 if unknown
	table   *table
	listed  bool // dials of others may take it
	leave   func() error
	running sync.WaitGroup
	pool    sync.Pool // of buffers for datagrams

	mu        sync.Mutex
	users     int          // listeners, dials, connections and readers of packets
	kept      func() error // a release that waits until there are no users
	accepting bool         // the accept loop runs
	listeners []*QUICListener
	config    *quic.Config // for inbound connections, of all listeners together
	crowd     crowd        // handshakes that are under way
	packets   []*Packets
}

// open binds a socket.
func open(n Node, at netip.AddrPort, listed bool) (*socket, error) {
	t, leave, err := shareTable(n)
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenUDP(network(at), net.UDPAddrFromAddrPort(at))
	if err != nil {
		err = bindError(at, t, err)
		return nil, errors.Join(err, leave())
	}
	s := &socket{at: addrPort(udp.LocalAddr()), udp: udp, table: t, listed: listed, leave: leave}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.quic.Close(), udp.Close(), leave())
	}
	if listed {
		t.add(s.at)
	}
	return s, nil
}

func (s *socket) start() error {
	key := s.table.secret.key(s.at)
	s.quic = &quic.Transport{
		Conn:                newSieve(s),
		StatelessResetKey:   &key,
		VerifySourceAddress: s.mustValidate,
		ConnContext:         s.admit,
	}
	// The first read prepares the socket, buffers included.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := s.quic.ReadNonQUICPacket(ctx, nil); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	s.buffers = bufferSize(s.udp)
	s.running.Go(s.readPackets)
	return nil
}

// Close implements [io.Closer]. Nobody uses the socket any more.
func (s *socket) Close() error {
	if s.listed {
		s.table.remove(s.at)
	}
	err := errors.Join(s.quic.Close(), s.udp.Close())
	s.running.Wait()
	return errors.Join(err, s.leave())
}

// holdLocked counts a user. Whoever calls it has joined the port, or is itself
// counted.
func (s *socket) holdLocked() { s.users++ }

// drop is the reverse of holdLocked. The last one to drop may close the socket.
func (s *socket) drop() {
	s.mu.Lock()
	var release func() error
	if s.users--; s.users == 0 {
		release, s.kept = s.kept, nil
	}
	s.mu.Unlock()
	if release != nil {
		release() // its error is that of closing, which nobody waits for
	}
}

// giveUp calls the release of a port that nobody has any more. While there are
// users, one release is kept back for the last of them to call.
func (s *socket) giveUp(release func() error) error {
	s.mu.Lock()
	if s.users > 0 && s.kept == nil {
		s.kept = release
		release = nil
	}
	s.mu.Unlock()
	if release == nil {
		return nil
	}
	return release()
}
