// SPDX-License-Identifier: Apache-2.0 OR MIT

package holepunch_test

import (
	"context"
	"errors"
	"sync"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// meeting is a transport for TCP on which nobody listens: two dials that are made
// at the same time are one connection.
type meeting struct {
	// Place is where the dials of a test meet; empty for nowhere.
	Place string `json:"place,omitempty"`
	// Lose is how many of this node's dials are lost before that.
	Lose int `json:"lose,omitempty"`

	mu sync.Mutex
}

func init() { core.Register(new(meeting)) }

// CaddyModule implements [caddy.Module].
func (*meeting) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.transport.meeting", New: func() caddy.Module { return new(meeting) }}
}

// Match implements [core.Transport].
func (*meeting) Match(a ma.Multiaddr) bool {
	return len(a) == 2 && a[0].Code() == ma.P_IP4 && a[1].Code() == ma.P_TCP
}

// place is where dials meet.
type place struct {
	network *memnet.Network
	waiting chan manet.Conn
}

// places are those of all tests, by name.
var places sync.Map

// newPlace makes the place of a test, whose channels are of its bubble.
func newPlace(name string) {
	places.Store(name, &place{memnet.New(memnet.Options{}), make(chan manet.Conn)})
}

// Dial implements [core.RawTransport].
func (m *meeting) Dial(ctx context.Context, _ ma.Multiaddr) (manet.Conn, error) {
	m.mu.Lock()
	lost := m.Place == "" || m.Lose > 0
	m.Lose--
	m.mu.Unlock()
	if lost {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	at, _ := places.Load(m.Place)
	p := at.(*place)
	l, err := p.network.Listen(ma.StringCast("/memory/0"))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	far, err := p.network.Dial(ctx, l.Multiaddr())
	if err != nil {
		return nil, err
	}
	near, err := l.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case p.waiting <- far:
		return near, nil
	case other := <-p.waiting:
		return other, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Listen implements [core.RawTransport].
func (*meeting) Listen(ma.Multiaddr) (manet.Listener, error) { return nil, errors.ErrUnsupported }
