// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous

import (
	"fmt"
	"slices"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

// py-libp2p, up to 0.8.1, has no signed records: where the specification has one,
// in registrations and in answers, it has a message of a peer ID and addresses.

const (
	unsignedID, unsignedAddr = 1, 2

	// unsignedAgent is how the agents of those begin who read nothing else.
	unsignedAgent = "py-libp2p"
	// identifyTime is how long a point waits for what a peer says of itself.
	identifyTime = 5 * time.Second
)

// appendUnsigned appends the message to b.
func appendUnsigned(b []byte, p peer.AddrInfo) []byte {
	b = appendBytes(b, unsignedID, []byte(p.ID))
	for _, a := range p.Addrs {
		b = appendBytes(b, unsignedAddr, a.Bytes())
	}
	return b
}

// parseUnsigned reads the message. Addresses that are none are left out, and so are
// those after the first maxToldAddrs.
func parseUnsigned(b []byte) (p peer.AddrInfo, err error) {
	for f, err := range wire.Fields(b) {
		if err != nil {
			return p, err
		}
		if f.Num != unsignedID && f.Num != unsignedAddr {
			continue
		}
		v, err := f.Bytes()
		if err != nil {
			return p, err
		}
		if f.Num == unsignedID {
			p.ID = peer.ID(v)
		} else if a, err := ma.NewMultiaddrBytes(v); err == nil && len(a) > 0 && len(p.Addrs) < maxToldAddrs {
			p.Addrs = append(p.Addrs, a)
		}
	}
	if err := p.ID.Validate(); err != nil {
		return p, fmt.Errorf("registration: %w", err)
	}
	return p, nil
}

// unsigned returns a search's result in the form without signatures.
func (r registration) unsigned() (registration, error) {
	e, err := record.Unmarshal(r.record)
	if err != nil {
		return r, err
	}
	p := new(record.PeerRecord)
	if err := p.Unmarshal(e.Payload); err != nil {
		return r, err
	}
	r.record = appendUnsigned(nil, peer.AddrInfo{ID: p.ID, Addrs: p.Addrs})
	return r, nil
}

// signedFor returns, for a registration without a signature, the record that the
// peer has signed in identify, if that has one of the addresses: a peer can
// register nobody else so, and others get what they can verify. Nil means that
// it is no such registration, or of no use.
func (p *point) signedFor(c core.Conn, unsigned []byte) []byte {
	said, err := parseUnsigned(unsigned)
	if err != nil || said.ID != c.RemotePeer() {
		return nil
	}
	var found []byte
	p.await(c, func() bool {
		e := p.node.PeerRecord(said.ID)
		if e == nil {
			return false
		}
		env := e.Marshal()
		r, err := record.ConsumePeerRecord(env, said.ID)
		if err != nil || !slices.ContainsFunc(r.Addrs, func(a ma.Multiaddr) bool { return slices.ContainsFunc(said.Addrs, a.Equal) }) {
			return false
		}
		found = env
		return true
	})
	return found
}

// readsUnsigned tells whether a peer reads results without signatures only.
func (p *point) readsUnsigned(c core.Conn) bool {
	p.await(c, func() bool { return p.node.PeerAgent(c.RemotePeer()) != "" })
	return strings.HasPrefix(p.node.PeerAgent(c.RemotePeer()), unsignedAgent)
}

// await waits until something is known of a peer, or will not be.
func (p *point) await(c core.Conn, known func() bool) {
	sign := make(chan struct{}, 1)
	tell := func(of core.Conn) {
		if of.RemotePeer() == c.RemotePeer() {
			select {
			case sign <- struct{}{}:
			default:
			}
		}
	}
	defer core.On(p.node, func(e core.Identified) { tell(e.Conn) })()
	defer core.On(p.node, func(e core.IdentifyFailed) { tell(e.Conn) })()
	late := time.NewTimer(identifyTime)
	defer late.Stop()
	for !known() {
		select {
		case <-sign:
		case <-late.C:
			return
		}
	}
}
