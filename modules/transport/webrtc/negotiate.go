// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/ice/v4"

	"github.com/xnode-p2p/xnode/core"
)

// errUnreachable means that no pair of addresses works: there may be a NAT on both
// sides that gives each connection another port, and no TURN server.
var errUnreachable = errors.New("no way to the remote was found")

// negotiation leads an [exchange] over a signalling stream.
type negotiation struct {
	transport *Transport
	stream    core.Stream
	exchange  exchange
	agent     *ice.Agent
	sockets   *sockets
	reach     reach
	path      *ice.Conn // once there is a description of the remote
	events    chan event
	done      chan struct{} // closed at the end
	wg        sync.WaitGroup
}

// negotiate finds a way to the remote. The path is the remote's alone as long as
// nothing else is shown; who is at its end, the DTLS handshake must show.
func (t *Transport) negotiate(ctx context.Context, s core.Stream, offerer bool) (_ *negotiation, err error) {
	n := &negotiation{transport: t, stream: s, events: make(chan event), done: make(chan struct{})}
	if err := n.prepare(offerer); err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	s.SetDeadline(deadline)
	n.wg.Go(n.listen)
	err = n.run(ctx)
	close(n.done)
	s.SetDeadline(time.Unix(1, 0)) // for listen
	n.wg.Wait()
	s.SetDeadline(deadline)
	if err != nil {
		return nil, errors.Join(err, n.agent.GracefulClose())
	}
	return n, nil
}

// prepare makes the ICE agent, which finds no addresses yet.
func (n *negotiation) prepare(offerer bool) (err error) {
	if n.sockets, err = newSockets(); err != nil {
		return err
	}
	own := n.transport.hostAddrs(n.stream.Conn())
	n.reach = reach{loopback: own.loopback, own: n.sockets.ips(own)}
	if n.agent, err = n.transport.newAgent(n.sockets, own); err != nil {
		return fmt.Errorf("ice: %w", err)
	}
	fragment, password, err := n.agent.GetLocalUserCredentials()
	if err == nil {
		err = errors.Join(
			n.agent.OnCandidate(n.candidate),
			n.agent.OnConnectionStateChange(n.change),
			n.agent.OnSelectedCandidatePairChange(n.selected))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("ice: %w", err), n.agent.GracefulClose())
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // it cannot fail
	n.exchange = exchange{
		offerer: offerer,
		session: binary.BigEndian.Uint64(b[:]) >> 2, // some read it as a signed number
		local: description{
			fragment: fragment, password: password, mid: "0",
			fingerprints: []fingerprint{n.transport.certificate.fingerprint},
		},
	}
	return nil
}

// run lets the exchange take its course.
func (n *negotiation) run(ctx context.Context) error {
	over, err := n.do(n.exchange.step(begun{}))
	if over || err != nil {
		return err
	}
	if n.exchange.offerer {
		if err := n.agent.GatherCandidates(); err != nil {
			return fmt.Errorf("ice: %w", err)
		}
	}
	for {
		select {
		case e := <-n.events:
			if over, err := n.do(n.exchange.step(e)); over || err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// do carries actions out.
func (n *negotiation) do(actions []action) (over bool, err error) {
	for _, a := range actions {
		switch a := a.(type) {
		case say:
			// A remote that is connected may have closed the stream.
			if err := writeMessage(n.stream, a.message); err != nil && a.message.kind != iceCandidate {
				return false, err
			}
		case start:
			if err := n.start(a.remote); err != nil {
				return false, fmt.Errorf("ice: %w", err)
			}
		case try:
			n.try(a.candidate)
		case finish:
			return true, a.err
		}
	}
	return false, nil
}

// start begins the checks.
func (n *negotiation) start(remote description) (err error) {
	begin := n.agent.StartAccept
	if n.exchange.controlling() {
		begin = n.agent.StartDial
	}
	if remote.lite {
		if err := n.agent.SetRemoteICELite(true); err != nil {
			return err
		}
	}
	if n.path, err = begin(remote.fragment, remote.password); err != nil || n.exchange.offerer {
		return err
	}
	return n.agent.GatherCandidates()
}

// try adds a candidate of the remote's, if it may be used.
func (n *negotiation) try(candidate string) {
	c, err := n.reach.parse(candidate)
	if err == nil {
		err = n.agent.AddRemoteCandidate(c)
	}
	if err != nil {
		n.transport.log.Debug("a candidate is not used", "peer", n.stream.Conn().RemotePeer(), "reason", err)
	}
}

// emit hands an event to run, if that still takes any.
func (n *negotiation) emit(e event) {
	select {
	case n.events <- e:
	case <-n.done:
	}
}

// listen reads what the remote says.
func (n *negotiation) listen() {
	for {
		m, err := readMessage(n.stream)
		switch {
		case errors.Is(err, errMessage):
			n.emit(failed{err})
			return
		case err != nil:
			n.emit(hushed{err})
			return
		}
		n.emit(received{m})
	}
}

// candidate is called by the agent for each that it finds, and with nil at the
// end.
func (n *negotiation) candidate(c ice.Candidate) {
	if c != nil {
		n.emit(found{c.Marshal()})
	}
}

// change is called by the agent.
func (n *negotiation) change(s ice.ConnectionState) {
	switch s {
	case ice.ConnectionStateConnected:
		n.emit(connected{})
	case ice.ConnectionStateFailed:
		if l := n.sockets.link.Load(); l != nil {
			l.Fail(errSilent)
		}
		n.emit(failed{errUnreachable})
	}
}

// selected is called by the agent when another pair of addresses is in use.
func (n *negotiation) selected(_, remote ice.Candidate) {
	ip, err := netip.ParseAddr(remote.Address())
	if err != nil {
		n.sockets.selected.Store(nil)
		return
	}
	at := netip.AddrPortFrom(ip.Unmap(), uint16(remote.Port()))
	n.sockets.selected.Store(&at)
}
