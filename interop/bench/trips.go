// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/process"
)

const (
	// tripCount is how many operations a count of round trips is taken from.
	tripCount = 21
	// underWay is how long bytes are under way. An answer to the client's last
	// bytes, which it does not wait for, so finds it gone.
	underWay = 2 * time.Millisecond
	// maxPiece is how many bytes are passed on at once, and maxPieces how many
	// such pieces can be under way.
	maxPiece, maxPieces = 64 << 10, 256
)

// count measures the round trips of a client's operations, each of which is a
// TCP connection, from the connection to its end by the client.
func count(ctx context.Context, k contender) (got sample, err error) {
	server, addr, err := k.start(ctx)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	through, addr, err := newDetour(addr)
	if err != nil {
		return got, err
	}
	var said struct{ Errors int }
	err = process.Run(ctx, k.peer.Command(append(k.ask, addr)...), &said)
	// The client's connections end with it, and are counted when they have.
	if err := errors.Join(err, through.close()); err != nil {
		return got, err
	}
	if said.Errors > 0 {
		return got, fmt.Errorf("%d operations failed", said.Errors)
	}
	got.trips, err = through.median()
	return got, err
}

// detour is a TCP proxy that counts the round trips of each connection.
//
// Each end has a clock. What it sends carries its time and one more; what
// reaches it sets its clock to at least that. Bytes that wait for nothing so
// cost nothing, and a question and its answer two.
type detour struct {
	listener net.Listener
	to       string
	wg       sync.WaitGroup

	mu    sync.Mutex
	ended []float64 // the trips of the connections that clients have ended
}

// newDetour returns a proxy to an address, and the address with the proxy's port.
func newDetour(addr string) (d *detour, through string, err error) {
	parts := strings.Split(addr, "/")
	if len(parts) < 5 || parts[1] != "ip4" || parts[3] != "tcp" {
		return nil, "", fmt.Errorf("address %q: want /ip4/A/tcp/N", addr)
	}
	d = &detour{to: net.JoinHostPort(parts[2], parts[4])}
	if d.listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		return nil, "", err
	}
	parts[2], parts[4] = "127.0.0.1", strconv.Itoa(d.listener.Addr().(*net.TCPAddr).Port)
	d.wg.Go(d.accept)
	return d, strings.Join(parts, "/"), nil
}

// close waits for the connections, which the ends have closed by then.
func (d *detour) close() error {
	err := d.listener.Close()
	d.wg.Wait()
	return err
}

func (d *detour) median() (float64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ended) == 0 {
		return 0, errors.New("no connection came through the proxy")
	}
	return median(len(d.ended), func(i int) float64 { return d.ended[i] }), nil
}

func (d *detour) accept() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp4", d.to)
		if err != nil {
			client.Close()
			continue
		}
		d.wg.Go(func() { d.carry(client, server) })
	}
}

// carry passes bytes both ways until the client is done.
func (d *detour) carry(client, server net.Conn) {
	near, far := &end{conn: client}, &end{conn: server}
	var wg sync.WaitGroup
	wg.Go(func() {
		near.pass(far, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.ended = append(d.ended, float64(near.now())/2)
		})
		server.Close()
	})
	wg.Go(func() {
		far.pass(near, func() {})
		client.Close()
	})
	wg.Wait()
}

// end is one end of a connection.
type end struct {
	conn net.Conn

	mu    sync.Mutex
	clock int
}

func (e *end) now() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.clock
}

// piece is some bytes on their way.
type piece struct {
	bytes []byte
	clock int
	due   time.Time
}

// pass passes on what the end sends to the other one, and returns when
// everything has been. It calls done when the end sends no more.
func (e *end) pass(to *end, done func()) {
	pieces := make(chan piece, maxPieces)
	var wg sync.WaitGroup
	wg.Go(func() { to.receive(pieces) })
	for {
		b := make([]byte, maxPiece)
		n, err := e.conn.Read(b)
		if n > 0 {
			pieces <- piece{b[:n], e.now() + 1, time.Now().Add(underWay)}
		}
		if err != nil {
			break
		}
	}
	done()
	close(pieces)
	wg.Wait()
}

// receive hands the end what has come for it, in time.
func (e *end) receive(pieces <-chan piece) {
	for p := range pieces {
		<-time.After(time.Until(p.due))
		e.mu.Lock()
		e.clock = max(e.clock, p.clock)
		e.mu.Unlock()
		_, _ = e.conn.Write(p.bytes) // whoever is gone does not miss it
	}
}
