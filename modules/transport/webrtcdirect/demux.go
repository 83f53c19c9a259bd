// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/modules/transport/internal/dtlslink"
)

const (
	// maxIdle bounds the remotes that have sent a binding request and have not
	// begun a handshake. The ones that came first make room for others.
	maxIdle = 1024
	// maxAddresses bounds the addresses from which one remote sends.
	maxAddresses = 32
	// What a DTLS datagram begins with is from minDTLS up to maxDTLS.
	minDTLS, maxDTLS = 20, 64
)

// name is what a remote calls its connection: the listener's user fragment, and
// the address family.
type name struct {
	fragment string
	v4       bool
}

// association is a remote that has sent a binding request.
type association struct {
	name      name
	addresses []netip.AddrPort // at most maxAddresses
	waiting   *list.Element    // in demux.idle; nil once there is a link
	link      *dtlslink.Link
}

// demux tells the datagrams of a listener's port apart. It answers binding
// requests, for which nothing but an entry in a bounded table is kept, and
// begins a connection with the first message of a DTLS handshake.
type demux struct {
	packets net.PacketConn
	// begin makes a link for a remote, nil if there is not to be one.
	begin func(remote netip.AddrPort, a *association) *dtlslink.Link
	// stun answers requests that name no connection; nil if they are not answered.
	stun *STUNService

	running sync.WaitGroup

	mu     sync.Mutex
	byAddr map[netip.AddrPort]*association
	byName map[name]*association
	idle   list.List // of associations without a link, the oldest first
	users  int       // the listener, and links
}

func newDemux() *demux {
	return &demux{byAddr: make(map[netip.AddrPort]*association), byName: make(map[name]*association), users: 1}
}

// run reads datagrams until the packets are closed.
func (d *demux) run() {
	b := make([]byte, dtlslink.MaxDatagram)
	for {
		n, from, err := d.packets.ReadFrom(b)
		if err != nil {
			return
		}
		udp, ok := from.(*net.UDPAddr)
		if !ok || n == 0 {
			continue
		}
		at := udp.AddrPort()
		d.handle(b[:n], netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), udp)
	}
}

func (d *demux) handle(b []byte, from netip.AddrPort, udp *net.UDPAddr) {
	switch first := b[0]; {
	case first <= 3:
		if answer := d.bind(b, from); answer != nil {
			_, _ = d.packets.WriteTo(answer, udp) // it will ask again
		}
	case first >= minDTLS && first < maxDTLS:
		if l := d.link(b, from); l != nil {
			l.Receive(b)
		}
	}
}

// bind answers a binding request, nil if it is to be dropped. An answer is never
// longer than the request, but for those of the STUN service.
func (d *demux) bind(b []byte, from netip.AddrPort) []byte {
	m, err := parseSTUN(b)
	if err != nil || m.kind != bindingRequest {
		return nil
	}
	if m.username == nil && d.stun != nil {
		return d.stun.answer(m, from, time.Now())
	}
	c, ok := parseUsername(m.username)
	if !ok || !m.verify(c.listener) {
		return nil
	}
	l, ok := d.enter(name{string(c.listener), from.Addr().Is4()}, from)
	if !ok {
		return nil
	}
	if l != nil {
		l.Heard()
		if m.nominated {
			l.MoveTo(from)
		}
	}
	if answer := respond(m, from, c.listener); len(answer) <= len(b) {
		return answer
	}
	return nil
}

// enter notes that a remote sends from an address. It returns false if it may
// not.
func (d *demux) enter(n name, from netip.AddrPort) (*dtlslink.Link, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, there := d.byName[n], d.byAddr[from]
	if there != nil && there != a {
		if there.link != nil {
			return nil, false // an address cannot be taken from a connection
		}
		d.forgetLocked(there)
	}
	if a == nil {
		a = &association{name: n}
		d.byName[n] = a
		a.waiting = d.idle.PushBack(a)
		if d.idle.Len() > maxIdle {
			d.forgetLocked(d.idle.Front().Value.(*association))
		}
	}
	if d.byAddr[from] == nil {
		if len(a.addresses) >= maxAddresses {
			return nil, false
		}
		a.addresses = append(a.addresses, from)
		d.byAddr[from] = a
	}
	return a.link, true
}

func (d *demux) forgetLocked(a *association) {
	if a.waiting != nil {
		d.idle.Remove(a.waiting)
		a.waiting = nil
	}
	delete(d.byName, a.name)
	for _, at := range a.addresses {
		delete(d.byAddr, at)
	}
	a.addresses = nil
}

// link returns the connection that a DTLS datagram is for, which it may begin.
func (d *demux) link(b []byte, from netip.AddrPort) *dtlslink.Link {
	d.mu.Lock()
	a := d.byAddr[from]
	var l *dtlslink.Link
	if a != nil {
		l = a.link
	}
	d.mu.Unlock()
	if a == nil || l != nil || !dtlslink.IsClientHello(b) {
		return l
	}
	return d.begin(from, a)
}

// attach gives an association its link. It returns false if the association is
// forgotten, or nobody accepts connections any more. This is the only goroutine
// that attaches.
func (d *demux) attach(a *association, l *dtlslink.Link) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.waiting == nil || d.users == 0 {
		return false
	}
	d.idle.Remove(a.waiting)
	a.waiting, a.link = nil, l
	d.users++
	return true
}

// detach forgets an association whose link has closed.
func (d *demux) detach(a *association) {
	d.mu.Lock()
	d.forgetLocked(a)
	d.mu.Unlock()
	d.drop()
}

// drop counts a user less. The last one closes the packets and waits until none
// is handled. It is not called by what handles them.
func (d *demux) drop() {
	d.mu.Lock()
	d.users--
	last := d.users == 0
	d.mu.Unlock()
	if last {
		_ = d.packets.Close() // nobody is left to know
		d.running.Wait()
	}
}

// owns tells whether datagrams from an address belong to a connection.
func (d *demux) owns(from netip.AddrPort) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.byAddr[from]
	return a != nil && a.link != nil
}
