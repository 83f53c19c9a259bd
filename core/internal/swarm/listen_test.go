// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/internal/upgrade"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
)

// rawTransport is an in-memory network as a raw transport. It can fail to accept.
type rawTransport struct {
	*memnet.Network
	failures chan error
}

func (*rawTransport) Match(a ma.Multiaddr) bool { return has(a, ma.P_MEMORY) }

func (r *rawTransport) Listen(a ma.Multiaddr) (manet.Listener, error) {
	l, err := r.Network.Listen(a)
	if err != nil || r.failures == nil {
		return l, err
	}
	return &failing{l, r.failures}, nil
}

// failing is a listener whose Accept fails now and then.
type failing struct {
	manet.Listener
	failures chan error
}

func (f *failing) Accept() (manet.Conn, error) {
	select {
	case err := <-f.failures:
		return nil, err
	default:
		return f.Listener.Accept()
	}
}

// rawSwarm returns a swarm on an in-memory network, with Noise and yamux.
func rawSwarm(t testing.TB, r *rawTransport, seed uint64) *Swarm {
	t.Helper()
	s := newSwarm(t, newWorld(), seed)
	s.SetTransports([]Transport{{"memory", r}})
	s.SetUpgrade([]core.Security{coretest.MustLoad[core.Security](t, "noise", "{}")}, []core.Muxer{coretest.MustLoad[core.Muxer](t, "yamux", "{}")})
	return s
}

func TestRawTransport(t *testing.T) {
	r := &rawTransport{Network: memnet.New(memnet.Options{}), failures: make(chan error, 3)}
	a, b := rawSwarm(t, r, 1), rawSwarm(t, r, 2)
	defer b.Handle("/p", echo)()
	r.failures <- errors.New("out of file descriptors")
	info := listen(t, b, "/memory/1")
	ctx, trace := core.TraceDial(t.Context())
	c, err := a.Connect(ctx, info)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Stat(); s.Transport != "memory" || s.Security != "/noise" || s.Muxer != "/yamux/1.0.0" {
		t.Errorf("stat %+v", s)
	}
	var steps []string
	for _, s := range trace.Record().Attempts[0].Steps {
		steps = append(steps, s.Name+" "+s.Detail)
	}
	if got := fmt.Sprint(steps); got != "[dial memory negotiate security /noise handshake /noise]" {
		t.Errorf("steps %s", got)
	}
	st, err := c.NewStream(t.Context(), "/p")
	if err != nil {
		t.Fatal(err)
	}
	mustEcho(t, st)
	st.Close()
}

// panicky is a transport that panics when it listens or, once, accepts.
type panicky struct {
	rawTransport
	listens bool
}

func (p *panicky) Listen(a ma.Multiaddr) (manet.Listener, error) {
	if !p.listens {
		panic("in Listen")
	}
	l, err := p.rawTransport.Listen(a)
	return &tripping{Listener: l}, err
}

type tripping struct {
	manet.Listener
	tripped bool
}

func (l *tripping) Accept() (manet.Conn, error) {
	if !l.tripped {
		l.tripped = true
		panic("in Accept")
	}
	return l.Listener.Accept()
}

// A transport that panics does not end the node, nor its listener.
func TestEvil_X10_TransportsThatPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &panicky{rawTransport: rawTransport{Network: memnet.New(memnet.Options{})}}
		a, b := rawSwarm(t, &p.rawTransport, 1), rawSwarm(t, &p.rawTransport, 2)
		b.SetTransports([]Transport{{"panicky", p}})
		_, err := b.Listen((*b.transports.Load())[0], ma.StringCast("/memory/1"))
		if panicked := (*upgrade.PanicError)(nil); !errors.As(err, &panicked) {
			t.Errorf("listen: %v, want a panic", err)
		}
		p.listens = true
		if _, err := a.Connect(t.Context(), listen(t, b, "/memory/1")); err != nil {
			t.Error(err)
		}
	})
}

// Closing a listener waits for nobody who has not finished a handshake, and
// takes nothing from those who have.
func TestListenerCloseDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rawTransport{Network: memnet.New(memnet.Options{})}
		a, b := rawSwarm(t, r, 1), rawSwarm(t, r, 2)
		addr := ma.StringCast("/memory/1")
		l, err := b.Listen((*b.transports.Load())[0], addr)
		if err != nil {
			t.Fatal(err)
		}
		l.Serve()
		c, err := a.Connect(t.Context(), peer.AddrInfo{ID: b.Identity.ID(), Addrs: []ma.Multiaddr{addr}})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			silent, err := r.Network.Dial(t.Context(), addr)
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
		}
		synctest.Wait()
		if n := b.Limits.Stat().Handshakes; n != 5 {
			t.Errorf("%d handshakes, want 5", n)
		}
		begin := time.Now()
		l.Close()
		if d := time.Since(begin); d != 0 {
			t.Errorf("it took %v", d)
		}
		select {
		case <-c.Done():
			t.Error("the connection is gone")
		default:
		}
		b.Close()
		if d := time.Since(begin); d > time.Second {
			t.Errorf("the swarm took %v", d)
		}
	})
}

func TestInboundFromOneself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rawTransport{Network: memnet.New(memnet.Options{})}
		a, b := rawSwarm(t, r, 1), rawSwarm(t, r, 1)
		info := listen(t, b, "/memory/1")
		raw, err := r.Network.Dial(t.Context(), info.Addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, err := a.upgrader.Upgrade(ctx, raw, upgrade.Request{Initiator: true, Memory: coretest.NewMemory(-1)})
		if err == nil {
			<-c.Done()
			c.Close()
		}
		synctest.Wait()
		if n := len(b.Conns()); n != 0 {
			t.Errorf("%d connections to oneself", n)
		}
		if stat := b.Limits.Stat(); stat != (limits.Stat{}) {
			t.Errorf("limits count %+v", stat)
		}
	})
}
