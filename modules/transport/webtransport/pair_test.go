// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"io"
	"net"
	"sync"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// start returns a transport of a node, which lasts until the test ends.
func start(t testing.TB, n core.Node, config string) *Transport {
	t.Helper()
	tr := coretest.MustLoad[*Transport](t, "webtransport", config)
	if err := tr.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// serving is a listener whose streams are echoed.
type serving struct {
	*listener
	admissions coretest.Admissions

	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []core.MuxedConn
}

// serve listens until the test ends.
func serve(t testing.TB, tr *Transport, a ma.Multiaddr) *serving {
	t.Helper()
	s := new(serving)
	l, err := tr.Listen(a, s.admissions.Admit)
	if err != nil {
		t.Fatal(err)
	}
	s.listener = l.(*listener)
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		s.Close()
		s.mu.Lock()
		conns := s.conns
		s.mu.Unlock()
		for _, c := range conns {
			c.Close()
		}
		s.wg.Wait()
	})
	return s
}

func (s *serving) accept() {
	for {
		c, admission, err := s.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		s.wg.Go(func() {
			defer admission.Done()
			for {
				st, err := c.AcceptStream()
				if err != nil {
					return
				}
				s.wg.Go(func() {
					io.Copy(st, st)
					st.Close()
				})
			}
		})
	}
}

// conn returns the connection that was accepted first.
func (s *serving) conn(t testing.TB) *conn {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) == 0 {
		t.Fatal("no connection")
	}
	return s.conns[0].(*conn)
}

// socket is where the listener is, for clients that are none of ours.
func (s *serving) socket() *net.UDPAddr { return s.quic.Addr().(*net.UDPAddr) }

// canary fails the test unless the node serves an honest client.
func (s *serving) canary(t testing.TB, client *Transport) {
	t.Helper()
	c, err := client.Dial(t.Context(), s.Multiaddr(), s.transport.node.ID(), coretest.NewMemory(-1))
	if err != nil {
		t.Errorf("an honest client: %v", err)
		return
	}
	echoes(t, c)
	c.Close()
}

// echoes fails the test unless streams of the connection are echoed.
func echoes(t testing.TB, c core.MuxedConn) {
	t.Helper()
	s, err := c.OpenStream(t.Context())
	if err != nil {
		t.Errorf("open stream: %v", err)
		return
	}
	io.WriteString(s, "hello")
	s.CloseWrite()
	if got, err := io.ReadAll(s); string(got) != "hello" || err != nil {
		t.Errorf("%q comes back, %v", got, err)
	}
	s.Close()
}

// pair returns a transport and a listener of two nodes.
func pair(t testing.TB, config string) (client *Transport, server *serving) {
	t.Helper()
	nodes := coretest.FakeNodes(t, 2)
	return start(t, nodes[0], `{}`), serve(t, start(t, nodes[1], config), ma.StringCast(listenAddr))
}
