// SPDX-License-Identifier: Apache-2.0 OR MIT

package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/protocol/internal/door"
)

// forwarded is the end of a tunnel where programs connect to.
type forwarded struct {
	protocol string
	from     ma.Multiaddr // where it listens, once it does
	peer     peer.AddrInfo
	slots    chan struct{} // one for each connection

	door    *door.Door
	leave   func()
	release func() error
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// newForwarded checks what a tunnel is to forward.
func (t *Tunnel) newForwarded(f Forward) (*forwarded, error) {
	if err := checkProtocol(f.Protocol); err != nil {
		return nil, fmt.Errorf("protocol: %w", err)
	}
	w := &forwarded{protocol: f.Protocol, slots: make(chan struct{}, t.MaxConnections)}
	var err error
	if w.from, _, _, err = door.Place(f.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if f.Peer == "" {
		return nil, errors.New("peer: it is missing; write the ID of the node that serves")
	}
	if w.peer, err = peer.ParseAddrInfo(f.Peer); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	return w, nil
}

// key tells tunnels apart: no two listen on one address.
func (w *forwarded) key() string { return w.from.String() }

// open listens for programs.
func (t *Tunnel) open(f Forward) (*forwarded, error) {
	w, err := t.newForwarded(f)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed || t.forward == nil:
		return nil, fmt.Errorf("tunnel: %w", net.ErrClosed)
	case t.forward[w.key()] != nil:
		return nil, fmt.Errorf("%s is listened on already; close it first", w.from)
	case len(t.forward) >= maxTunnels:
		return nil, fmt.Errorf("there are %d tunnels; close one first", maxTunnels)
	}
	w.door, w.release, err = door.Open(t.node, w.from)
	if err != nil {
		return nil, err
	}
	if bound, err := manet.FromNetAddr(w.door.Addr()); err == nil {
		w.from = bound // with the port that it has
	}
	ctx, cancel := context.WithCancel(t.ctx())
	w.cancel = cancel
	w.leave = w.door.Enter(func(conn net.Conn) {
		w.wg.Go(func() {
			if err := w.carry(ctx, t.node, conn); err != nil {
				t.log.Debug("connection", "protocol", w.protocol, "peer", w.peer.ID, "error", err)
			}
		})
	})
	t.forward[w.key()] = w
	return w, nil
}

// carry carries one connection of a program's.
func (w *forwarded) carry(ctx context.Context, n core.Node, conn net.Conn) error {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	default:
		return errors.Join(fmt.Errorf("more than %d connections; raise max_connections", cap(w.slots)), conn.Close())
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	dial, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if len(w.peer.Addrs) > 0 {
		n.AddPeerAddrs(w.peer.ID, core.TempTTL, w.peer.Addrs...)
	}
	stream, err := n.NewStream(dial, w.peer.ID, w.protocol)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	defer context.AfterFunc(ctx, func() { _ = stream.Reset(core.StreamNoError) })()
	return carry(stream, conn)
}

// close ends the tunnel and its connections.
func (w *forwarded) close() error {
	w.leave()
	w.cancel()
	w.wg.Wait()
	return w.release()
}

// isNotConnected reports whether the other side has gone already.
func isNotConnected(err error) bool { return errors.Is(err, syscall.ENOTCONN) }
