// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// backWait is how long the dial back is waited for after the server has said that
// there was one.
const backWait = 5 * time.Second

// ask puts a question to a server.
func (c *client) ask(ctx context.Context, a ask) outcome {
	ctx, cancel := context.WithTimeout(core.NoDial(ctx), answerTime)
	defer cancel()
	f := c.ask2
	if a.version == 1 {
		f = c.ask1
	}
	result, err := f(ctx, a)
	if err != nil {
		c.log.Debug("asked in vain", "peer", a.id, "version", a.version, "error", err)
	}
	return result
}

// open opens a stream that ends with ctx.
func (c *client) open(ctx context.Context, p peer.ID, protocol string) (stream core.Stream, end func(), err error) {
	stream, err = c.node.NewStream(ctx, p, protocol)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { stream.Reset(core.StreamNoError) })
	if deadline, ok := ctx.Deadline(); ok {
		stream.SetDeadline(deadline)
	}
	return stream, func() {
		stop()
		stream.Reset(core.StreamNoError) // there is nothing on its way
	}, nil
}

// ask1 has a server of version 1 try all addresses. It is to be believed: nothing
// proves what it says.
func (c *client) ask1(ctx context.Context, a ask) (outcome, error) {
	stream, end, err := c.open(ctx, a.id, DialID1)
	if err != nil {
		return failed, err
	}
	defer end()
	if err := wire.WriteMessage(stream, dial1{c.node.ID(), c.addrs1()}.marshal()); err != nil {
		return failed, err
	}
	b, err := wire.ReadMessage(stream, maxMessage1)
	if err != nil {
		return failed, err
	}
	r, err := unmarshalResponse1(b)
	if err != nil {
		return failed, err
	}
	switch r.status {
	case status1OK:
		return reached, nil
	case status1DialError:
		return missed, nil
	case status1Refused:
		return refused, fmt.Errorf("refused: %s", r.text)
	}
	return failed, fmt.Errorf("status %d: %s", r.status, r.text)
}

// addrs1 are the addresses that a server of version 1 is told; it takes their
// ports, and its own view of the IP address.
func (c *client) addrs1() []ma.Multiaddr {
	var list []ma.Multiaddr
	size := 0
	for _, a := range append(c.node.Candidates(), c.node.ListenAddrs()...) {
		if _, ok := peer.IP(a); !ok || isRelayed(a) {
			continue
		}
		if size += len(a.Bytes()) + 4; len(list) < maxAddrs && size < maxMessage1-256 {
			list = append(list, a)
		}
	}
	return list
}

// ask2 has a server of version 2 dial an address.
func (c *client) ask2(ctx context.Context, a ask) (outcome, error) {
	addr, err := ma.NewMultiaddrBytes([]byte(a.addr))
	if err != nil {
		return failed, err
	}
	stream, end, err := c.open(ctx, a.id, DialRequestID)
	if err != nil {
		return failed, err
	}
	defer end()
	back, forget := c.backs.expect(addr)
	defer forget()
	if err := wire.WriteMessage(stream, request2{[]ma.Multiaddr{addr}, back.nonce}.marshal()); err != nil {
		return failed, err
	}
	r, err := c.response2(stream)
	if err != nil {
		return failed, err
	}
	switch {
	case r.status == status2Refused:
		return refused, nil
	case r.status != status2OK:
		return failed, fmt.Errorf("status %d", r.status)
	case r.index != 0:
		return failed, fmt.Errorf("address %d of 1", r.index)
	}
	switch r.dial {
	case dialError:
		return missed, nil
	case dialOK, dialBackError:
		// With the latter the nonce may have come all the same.
		wait := time.NewTimer(backWait)
		defer wait.Stop()
		select {
		case <-back.seen:
			return reached, nil
		case <-wait.C:
		case <-ctx.Done():
		}
		return failed, fmt.Errorf("no dial came, and the server says that there was one (%d)", r.dial)
	}
	return failed, fmt.Errorf("dial status %d", r.dial)
}

// response2 reads the answer to a request. If the server wants data first, it gets
// them.
func (c *client) response2(stream core.Stream) (*response2, error) {
	for paid := false; ; paid = true {
		b, err := wire.ReadMessage(stream, maxMessage2)
		if err != nil {
			return nil, err
		}
		r, data, err := unmarshalAnswer2(b)
		switch {
		case err != nil:
			return nil, err
		case r != nil:
			return r, nil
		case paid || data.index != 0 || data.bytes > maxData:
			return nil, fmt.Errorf("data wanted: %d bytes for address %d of 1", data.bytes, data.index)
		}
		if err := sendData(stream, int(data.bytes)); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
	}
}

// sendData pays for a dial.
func sendData(stream core.Stream, n int) error {
	piece := marshalData(make([]byte, dataPiece))
	for ; n > 0; n -= dataPiece {
		if err := wire.WriteMessage(stream, piece); err != nil {
			return err
		}
	}
	return nil
}

// backs are the dials back that are waited for.
type backs struct {
	mu      sync.Mutex
	pending map[uint64]*back // one for each question, of which there are maxAsks
}

// back is one of them.
type back struct {
	nonce uint64
	addr  ma.Multiaddr
	seen  chan struct{} // closed when it has come
	once  sync.Once
}

// expect makes a nonce and waits for it until forget is called.
func (b *backs) expect(addr ma.Multiaddr) (_ *back, forget func()) {
	var random [8]byte
	rand.Read(random[:])
	e := &back{nonce: binary.LittleEndian.Uint64(random[:]), addr: addr, seen: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending == nil {
		b.pending = make(map[uint64]*back)
	}
	b.pending[e.nonce] = e
	return e, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.pending, e.nonce)
	}
}

func (b *backs) find(nonce uint64) *back {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pending[nonce]
}

// serveBack takes a dial back. It counts if it came in from outside, in the way
// that the address is dialled.
func (c *client) serveBack(stream core.Stream) error {
	if err := stream.SetDeadline(time.Now().Add(backTime)); err != nil {
		return err
	}
	b, err := wire.ReadMessage(stream, maxDialBack)
	if err != nil {
		return err
	}
	nonce, err := unmarshalDialBack(b)
	if err != nil {
		return violation(err)
	}
	conn := stream.Conn()
	e := c.backs.find(nonce)
	if e == nil || conn.Stat().Direction != core.Inbound || !sameWay(conn.LocalMultiaddr(), e.addr) {
		return violation(errMessage)
	}
	if err := wire.WriteMessage(stream, nil); err != nil { // all that an OK is
		return err
	}
	e.once.Do(func() { close(e.seen) })
	return nil
}

// sameWay tells whether a connection to a local address can be one that was
// dialled at an address of the node: by the same protocols, from the IP address
// on.
func sameWay(local, dialled ma.Multiaddr) bool {
	a, b := way(local), way(dialled)
	if len(a) == 0 || len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// way lists the protocols of an address, without what only the dialler needs.
func way(a ma.Multiaddr) []int {
	var list []int
	for _, c := range a {
		switch c.Code() {
		case ma.P_IP6ZONE, ma.P_CERTHASH, ma.P_SNI, ma.P_P2P:
		case ma.P_WSS:
			list = append(list, ma.P_TLS, ma.P_WS)
		default:
			list = append(list, c.Code())
		}
	}
	return list
}
