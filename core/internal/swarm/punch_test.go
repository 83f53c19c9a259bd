// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"io"
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

// TestEvil_R8_SpeaksAndDoesNot: on a connection of a punch the other side says
// nothing, or what both a client and a server begin with, or that byte by byte, or
// leaves. It is heard for as long as it may take, and no longer.
func TestEvil_R8_SpeaksAndDoesNot(t *testing.T) {
	const header = "\x13/multistream/1.0.0\n"
	for _, c := range []struct {
		name, says string
		pause      time.Duration
		took       time.Duration
		first      bool
	}{
		{"nothing", "", 0, time.Second, true},
		{"a server's opening", header, 0, time.Second, true},
		{"a client's opening", header + "\x07/noise\n", 0, 0, false},
		{"a client's, slowly", header + "\x07/noise\n", 10 * time.Millisecond, 210 * time.Millisecond, false},
		{"a client's, too slowly", header + "\x07/noise\n", 100 * time.Millisecond, time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := memnet.Pipe()
				defer near.Close()
				go func() {
					defer far.Close()
					for i := range len(c.says) {
						time.Sleep(c.pause)
						far.Write([]byte(c.says[i : i+1]))
					}
					time.Sleep(time.Minute)
				}()
				begun := time.Now()
				conn, first := hear(t.Context(), near, time.Second)
				if took := time.Since(begun); first != c.first || took != c.took {
					t.Errorf("first %v after %v", first, took)
				}
				if got, err := io.ReadAll(conn); string(got) != c.says || err != nil {
					t.Errorf("read %q, %v", got, err)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		far.Close()
		if _, first := hear(t.Context(), near, time.Second); first {
			t.Error("one who has left waits for a proposal")
		}
		near, far = memnet.Pipe()
		defer far.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		begun := time.Now()
		if hear(ctx, near, time.Second); time.Since(begun) != time.Millisecond {
			t.Errorf("not interrupted for %v", time.Since(begun))
		}
	})
}
