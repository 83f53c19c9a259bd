// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
)

// testReload has a second instance of the transport listen on the address of
// the first, on the same node, as a reload does before it closes the first; or
// the second, if it fails. Whoever dials meanwhile is served.
func (s *rawSuite) testReload(t *testing.T) {
	for _, tc := range []struct {
		name            string
		closes          int  // which of the two, counted from 0
		before, between bool // whether connections are accepted as soon as they can be
	}{
		{"completed", 0, true, true},
		{"completed at once", 0, true, false},
		{"completed with connections waiting", 0, false, false},
		{"undone", 1, true, true},
		{"undone at once", 1, true, false},
		{"undone with connections waiting", 1, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := s.reload(t)
			first := r.listen(0, s.listen)
			if tc.before {
				r.serve(first)
			}
			r.dial("before")
			second := r.listen(1, first.Multiaddr())
			if !second.Multiaddr().Equal(first.Multiaddr()) {
				t.Errorf("the second listens on %s, the first on %s", second.Multiaddr(), first.Multiaddr())
			}
			if tc.between {
				r.serve(second)
			}
			r.dial("between")
			closing, staying := first, second
			if tc.closes == 1 {
				closing, staying = second, first
			}
			if err := closing.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			r.serve(staying)
			r.dial("after")
			r.answered()
		})
	}
}

// reload is one run of testReload.
type reload struct {
	t          *testing.T
	transports [2]core.RawTransport
	addr       ma.Multiaddr
	conns      map[string]manet.Conn // those dialled
	serving    map[manet.Listener]bool
	accepting  sync.WaitGroup
}

func (s *rawSuite) reload(t *testing.T) *reload {
	t.Helper()
	r := &reload{t: t, conns: make(map[string]manet.Conn), serving: make(map[manet.Listener]bool)}
	node := FakeNodes(t, 1)[0]
	for i := range r.transports {
		r.transports[i] = s.options.New(t)
		service, ok := r.transports[i].(core.Service)
		if !ok {
			continue
		}
		if err := service.Start(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { service.Close() })
	}
	t.Cleanup(r.accepting.Wait)
	return r
}

// listen listens with one of the transports until the test ends.
func (r *reload) listen(which int, a ma.Multiaddr) manet.Listener {
	r.t.Helper()
	l, err := r.transports[which].Listen(a)
	if err != nil {
		r.t.Fatalf("instance %d: %v", which, err)
	}
	r.addr = l.Multiaddr()
	r.t.Cleanup(func() { l.Close() })
	return l
}

// serve sends back what a listener's connections say, until it is closed.
func (r *reload) serve(l manet.Listener) {
	if r.serving[l] {
		return
	}
	r.serving[l] = true
	r.accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					r.t.Errorf("accept: %v", err)
				}
				return
			}
			r.accepting.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
}

// dial makes three connections, which say their names. The first instance makes
// them; who dials is no matter.
func (r *reload) dial(name string) {
	r.t.Helper()
	for i := range 3 {
		c, err := r.transports[0].Dial(r.t.Context(), r.addr)
		if err != nil {
			r.t.Fatalf("%s: %v", name, err)
		}
		r.t.Cleanup(func() { c.Close() })
		says := fmt.Sprintf("%s %d", name, i)
		if _, err := io.WriteString(c, says); err != nil {
			r.t.Fatalf("%s: %v", says, err)
		}
		r.conns[says] = c
	}
}

// answered waits until every connection has its name back.
func (r *reload) answered() {
	r.t.Helper()
	for says, c := range r.conns {
		got := make([]byte, len(says))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != says {
			r.t.Errorf("%s: %q came back, %v", says, got, err)
		}
	}
}
