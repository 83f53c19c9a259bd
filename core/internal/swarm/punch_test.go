// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// crossing is a raw transport on which two dials that meet are one connection. A
// dial that meets nobody finds the listener, if there is one.
type crossing struct {
	*rawTransport
	meeting chan manet.Conn
}

// meet returns a transport for each of two sides.
func meet() (a, b *crossing) {
	network := memnet.New(memnet.Options{})
	m := make(chan manet.Conn)
	raw := &rawTransport{Network: network}
	return &crossing{raw, m}, &crossing{raw, m}
}

func (c *crossing) Dial(ctx context.Context, to ma.Multiaddr) (manet.Conn, error) {
	l, err := c.Network.Listen(ma.StringCast("/memory/0"))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	far, err := c.Network.Dial(ctx, l.Multiaddr())
	if err != nil {
		return nil, err
	}
	near, err := l.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case c.meeting <- far:
		return near, nil
	case other := <-c.meeting:
		return other, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestPunchRoles: who is what on a connection that both sides dial, or that one
// of them has dialled and the other accepted.
func TestPunchRoles(t *testing.T) {
	const rtt = 100 * time.Millisecond
	client := core.PunchDial{Role: core.PunchClient, RTT: rtt}
	careful := core.PunchDial{Role: core.PunchClient, RTT: rtt, Hear: 2 * rtt}
	server := core.PunchDial{Role: core.PunchServer, RTT: rtt, Hear: time.Second}
	for _, c := range []struct {
		name string
		a, b core.PunchDial
		took time.Duration
	}{
		{"a client and a server", client, server, 0},
		{"a server and one who looks whether it is a client", server, careful, 2 * rtt},
		{"one who looks whether it is a client, and one who is", careful, client, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ta, tb := meet()
				a, b := rawSwarm(t, ta.rawTransport, 1), rawSwarm(t, tb.rawTransport, 2)
				a.SetTransports([]Transport{{"memory", ta}})
				b.SetTransports([]Transport{{"memory", tb}})
				begun := time.Now()
				failed := make(chan error)
				go func() {
					_, err := b.Connect(core.Punch(t.Context(), c.b), peer.AddrInfo{ID: a.Identity.ID(), Addrs: []ma.Multiaddr{ma.StringCast("/memory/1")}})
					failed <- err
				}()
				_, err := a.Connect(core.Punch(t.Context(), c.a), peer.AddrInfo{ID: b.Identity.ID(), Addrs: []ma.Multiaddr{ma.StringCast("/memory/2")}})
				if err := <-failed; err != nil {
					t.Error(err)
				}
				if err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
			})
		})
	}
}

// TestPunchServerFindsAListener: the other side's dial cannot arrive, and this
// side's finds a listener, which does not know of it.
func TestPunchServerFindsAListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rawTransport{Network: memnet.New(memnet.Options{})}
		a, b := rawSwarm(t, r, 1), rawSwarm(t, r, 2)
		info := listen(t, b, "/memory/1")
		begun := time.Now()
		server := core.PunchDial{Role: core.PunchServer, Hear: time.Second}
		if _, err := a.Connect(core.Punch(t.Context(), server), info); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestPunchClientIsFound: the server's dial has found the listener of the client,
// who is one there too.
func TestPunchClientIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rawTransport{Network: memnet.New(memnet.Options{})}
		a, b := rawSwarm(t, r, 1), rawSwarm(t, r, 2)
		info := listen(t, b, "/memory/1")
		from := ma.StringCast("/memory/2") // the next number
		attempts := []*attempt{{DialAttempt: core.DialAttempt{Addr: from}}}
		stop := b.punches.expect(dialKey{peer: a.Identity.ID(), punch: core.PunchDial{Role: core.PunchClient}}, attempts)
		begun := time.Now()
		c, err := a.Connect(core.Punch(t.Context(), core.PunchDial{Role: core.PunchServer, Hear: time.Second}), info)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 0 || !c.LocalMultiaddr().Equal(from) {
			t.Errorf("took %v from %s", took, c.LocalMultiaddr())
		}
		stop()
		if _, ok := b.punches.client(from); ok {
			t.Error("still expected")
		}
	})
}
