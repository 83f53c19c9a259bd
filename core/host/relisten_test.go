// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"errors"
	"testing"
	"testing/synctest"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/hosttest"
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
