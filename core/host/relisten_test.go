// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/peer"
)

// losing is a transport whose sockets a test takes away.
type losing struct {
	core.RawTransport
	opened []manet.Listener
	fail   error
}

func (l *losing) Listen(a ma.Multiaddr) (manet.Listener, error) {
	if l.fail != nil {
		return nil, l.fail
	}
	socket, err := l.RawTransport.Listen(a)
	if err == nil {
		l.opened = append(l.opened, socket)
	}
	return socket, err
}

// A listener whose socket is gone is opened anew on the same port, and again and
// again if that does not work at first.
func TestRelisten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, plan, network := bare(t)
		transport := &losing{RawTransport: plan.Transports[0].Module.(core.RawTransport)}
		plan.Transports[0].Module = transport
		acquire(t, h, plan)
		friend := network.Node(t, hosttest.Settings{Seed: 2})
		addr := h.ListenAddrs()[0]

		h.Relisten()
		if len(transport.opened) != 1 {
			t.Fatal("a listener that is well was opened anew")
		}
		transport.opened[0].Close()
		synctest.Wait()
		transport.fail = errors.New("no network")
		h.Relisten()
		if _, err := friend.Connect(t.Context(), hosttest.Info(h)); err == nil {
			t.Fatal("connected to a socket that is gone")
		}
		transport.fail = nil
		h.Relisten()
		if got := h.ListenAddrs(); len(got) != 1 || !got[0].Equal(addr) {
			t.Errorf("listening on %v, want %s", got, addr)
		}
		if _, err := friend.Connect(t.Context(), hosttest.Info(h)); err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		h.Relisten() // too late
		if len(transport.opened) != 2 {
			t.Errorf("%d sockets", len(transport.opened))
		}
	})
}

// everywhere is a transport that says that it listens on all interfaces.
type everywhere struct{ core.RawTransport }

func (e everywhere) Listen(a ma.Multiaddr) (manet.Listener, error) {
	l, err := e.RawTransport.Listen(a)
	return renamed{l}, err
}

type renamed struct{ manet.Listener }

func (renamed) Multiaddr() ma.Multiaddr { return ma.StringCast("/ip4/0.0.0.0/tcp/4001") }

// In another network a node has other addresses, says so, and dials again what
// failed in the one before.
func TestNetworkChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, plan, network := bare(t)
		plan.Transports[0].Module = everywhere{plan.Transports[0].Module.(core.RawTransport)}
		acquire(t, h, plan)
		changes, told := 0, []string(nil)
		defer core.On(h, func(core.NetworkChanged) { changes++ })()
		defer core.On(h, func(e core.LocalAddrsChanged) { told = append(told, fmt.Sprint(e.Addrs)) })()
		absent := hosttest.Info(network.Node(t, hosttest.Settings{Seed: 2}))
		absent.Addrs = []ma.Multiaddr{ma.StringCast("/memory/4711")}
		h.AddPeerAddrs(absent.ID, core.PermanentTTL, absent.Addrs...)
		dial := func() error {
			_, err := h.Connect(t.Context(), peer.AddrInfo{ID: absent.ID})
			return err
		}
		if err := dial(); err == nil || errors.Is(err, core.ErrBackoff) {
			t.Fatalf("the first dial: %v", err)
		}
		if err := dial(); !errors.Is(err, core.ErrBackoff) {
			t.Fatalf("the second dial: %v", err)
		}

		h.MoveTo(ma.StringCast("/ip4/192.168.1.7"))
		h.MoveTo(ma.StringCast("/ip4/10.0.0.9"))
		synctest.Wait()
		if want := "[[/ip4/192.168.1.7/tcp/4001] [/ip4/10.0.0.9/tcp/4001]]"; fmt.Sprint(told) != want || changes != 2 {
			t.Errorf("%d changes, told of %v, want 2 and %s", changes, told, want)
		}
		if err := dial(); err == nil || errors.Is(err, core.ErrBackoff) {
			t.Errorf("a dial in another network: %v", err)
		}
	})
}
