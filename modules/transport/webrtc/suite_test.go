// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"context"
	"sync"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// through is an address as peers have it. Nodes of coretest need no relay.
var through = ma.StringCast("/memory/9/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit/webrtc")

// node is a transport that runs on a fake node.
type node struct {
	*coretest.FakeNode
	transport *Transport
}

func newNodes(t testing.TB, n int, config string) (list []*node) {
	t.Helper()
	for _, fake := range coretest.FakeNodes(t, n) {
		tr := coretest.MustLoad[core.Transport](t, "webrtc", config).(*Transport)
		if err := tr.Start(t.Context(), fake); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tr.Close() })
		list = append(list, &node{fake, tr})
	}
	return list
}

// pair are two nodes, of which the second listens.
type pair struct {
	dialer, server *node
	listener       *listener
	admissions     coretest.Admissions
}

func newPair(t testing.TB, config string) *pair {
	t.Helper()
	n := newNodes(t, 2, config)
	p := &pair{dialer: n[0], server: n[1]}
	l, err := p.server.transport.listen(suffix, p.admissions.Admit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p.listener = l
	return p
}

func (p *pair) dial(ctx context.Context) (core.MuxedConn, error) {
	return p.dialer.transport.Dial(ctx, through, p.server.ID(), coretest.NewMemory(-1))
}

// connect returns both ends of a connection, which last until the test ends.
func (p *pair) connect(t testing.TB) (client, server core.MuxedConn) {
	t.Helper()
	var wg sync.WaitGroup
	var acceptErr error
	wg.Go(func() { server, _, acceptErr = p.listener.Accept() })
	client, err := p.dial(t.Context())
	if err != nil {
		p.listener.Close()
		wg.Wait()
		t.Fatal(err)
	}
	wg.Wait()
	if acceptErr != nil {
		client.Close()
		t.Fatal(acceptErr)
	}
	t.Cleanup(func() {
		var both sync.WaitGroup
		both.Go(func() { client.Close() })
		both.Go(func() { server.Close() })
		both.Wait()
	})
	return client, server
}

func TestSession(t *testing.T) {
	coretest.TestSession(t, func(t *testing.T) (client, server core.Session) {
		return newPair(t, `{}`).connect(t)
	}, coretest.SessionOptions{StreamCodes: true, NoBackpressure: true}) // SCTP has no flow control for single streams
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return coretest.MustLoad[core.Transport](t, "webrtc", `{}`).(core.Service)
	})
}
