// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

func infoOf(n *coretest.FakeNode) peer.AddrInfo { return peer.AddrInfo{ID: n.ID()} }

// watched is a node whose probes are noted.
type watched struct {
	*coretest.FakeNode
	sent *atomic.Int64 // what the attacker has sent so far

	mu     sync.Mutex
	probes []string
	paid   []int // sent before each probe
}

func (w *watched) Probe(ctx context.Context, p peer.ID, a ma.Multiaddr) (core.Probe, error) {
	w.mu.Lock()
	w.probes = append(w.probes, a.String())
	if w.sent != nil {
		w.paid = append(w.paid, int(w.sent.Load()))
	}
	w.mu.Unlock()
	return w.FakeNode.Probe(ctx, p, a)
}

func (w *watched) dialled() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.probes)
}

// serverFor starts a server, and connects an attacker to it.
func serverFor(t testing.TB, config string) (attacker *coretest.FakeNode, server *watched) {
	t.Helper()
	nodes := coretest.FakeNodes(t, 2)
	nodes[0].SetAddr(addr(here))
	nodes[1].SetAddr(addr("/ip4/5.1.1.1/tcp/4001"))
	server = &watched{FakeNode: nodes[1]}
	s := load(t, config)
	if err := s.Start(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	connect(t, nodes[0], nodes[1])
	return nodes[0], server
}

// request2By puts a request of version 2, pays what is wanted, and returns the
// answer; in pieces of a size, and but for a part, if that is not zero.
func request2By(t testing.TB, n, server *coretest.FakeNode, r request2, sent *atomic.Int64, piece, short int) (*response2, error) {
	t.Helper()
	stream, err := n.NewStream(t.Context(), server.ID(), DialRequestID)
	if err != nil {
		return nil, err
	}
	defer stream.Reset(core.StreamNoError)
	if err := wire.WriteMessage(stream, r.marshal()); err != nil {
		return nil, err
	}
	for {
		b, err := wire.ReadMessage(stream, maxMessage2)
		if err != nil {
			return nil, err
		}
		answer, data, err := unmarshalAnswer2(b)
		if err != nil || answer != nil {
			return answer, err
		}
		if data.bytes < minData || data.bytes > maxData {
			t.Errorf("%d bytes are wanted", data.bytes)
		}
		for left := int(data.bytes) - short; left > 0; left -= piece {
			if err := wire.WriteMessage(stream, marshalData(make([]byte, piece))); err != nil {
				return nil, err
			}
			sent.Add(int64(piece))
		}
		if short > 0 {
			stream.CloseWrite()
		}
	}
}

func TestEvil_R7_PaidBeforeTheDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const victim = "/ip4/6.6.6.6/udp/53/quic-v1"
		attacker, server := serverFor(t, `{"roles":["server"]}`)
		var sent atomic.Int64
		server.sent = &sent
		r, err := request2By(t, attacker, server.FakeNode, request2{addrs: []ma.Multiaddr{addr(victim)}, nonce: 1}, &sent, dataPiece, 0)
		if err != nil || r.status != status2OK || r.dial != dialError || r.index != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if got := server.dialled(); len(got) != 1 || server.paid[0] < minData {
			t.Errorf("%v is dialled for %v bytes", got, server.paid)
		}
		// Who pays less, in crumbs, or in lumps, has nothing dialled.
		for name, tc := range map[string]struct{ piece, short int }{
			"less":   {dataPiece, dataPiece},
			"crumbs": {minPiece - 1, 0},
			"lumps":  {dataPiece + 100, 0},
		} {
			sent.Store(0)
			before := len(server.dialled())
			if r, err := request2By(t, attacker, server.FakeNode, request2{addrs: []ma.Multiaddr{addr(victim)}}, &sent, tc.piece, tc.short); err == nil {
				t.Errorf("%s: %+v", name, r)
			}
			if len(server.dialled()) != before {
				t.Errorf("%s: dialled for %d bytes", name, sent.Load())
			}
		}
	})
}

// The first address that is acceptable is dialled, that one alone, and its index
// told.
func TestEvil_R7_OneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attacker, server := serverFor(t, `{}`)
		list := []ma.Multiaddr{
			addr("/ip4/127.0.0.1/tcp/22"), addr("/ip4/192.168.1.1/tcp/80"), addr("/dns4/example.org/tcp/1"),
			addr("/ip4/5.1.0.1/tcp/5"), addr("/ip4/5.1.0.1/tcp/6"), addr("/ip4/6.6.6.6/tcp/7"),
		}
		var sent atomic.Int64
		r, err := request2By(t, attacker, server.FakeNode, request2{addrs: list}, &sent, dataPiece, 0)
		if err != nil || r.status != status2OK || r.index != 3 || r.dial != dialError || sent.Load() != 0 {
			t.Errorf("%+v, %v, for %d bytes", r, err, sent.Load())
		}
		if got := server.dialled(); !slices.Equal(got, []string{"/ip4/5.1.0.1/tcp/5"}) {
			t.Errorf("dialled %v", got)
		}
	})
}

func TestEvil_R7_Rates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attacker, server := serverFor(t, `{}`)
		var sent atomic.Int64
		ask := func(a string) uint64 {
			r, err := request2By(t, attacker, server.FakeNode, request2{addrs: []ma.Multiaddr{addr(a)}}, &sent, dataPiece, 0)
			if err != nil {
				t.Fatal(err)
			}
			return r.status
		}
		for i := range 20 {
			want := uint64(status2OK)
			if i >= defaultPeerRequests {
				want = status2Rejected
			}
			if got := ask(here); got != want {
				t.Fatalf("request %d: %d", i+1, got)
			}
		}
		time.Sleep(time.Minute)
		if got := ask(here); got != status2OK {
			t.Errorf("a minute later: %d", got)
		}
		if n := len(server.dialled()); n != defaultPeerRequests+1 {
			t.Errorf("%d dials", n)
		}
	})
	// All peers together.
	r := rate{span: time.Minute, all: 60, one: 12}
	taken := 0
	for i := range 1000 {
		if r.take(peer.ID(fmt.Sprint(i)), epoch) {
			taken++
		}
	}
	if taken != 60 || len(r.notes) != 60 {
		t.Errorf("%d are let through, %d noted", taken, len(r.notes))
	}
}

func TestEvil_R7_TooManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attacker, server := serverFor(t, `{}`)
		var streams []core.Stream
		for range streamsPerPeer + 2 {
			s, err := attacker.NewStream(t.Context(), server.ID(), DialRequestID)
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		synctest.Wait()
		for i, s := range streams {
			s.SetReadDeadline(time.Now().Add(time.Second))
			_, err := s.Read(make([]byte, 1))
			if reset := errors.Is(err, core.ErrReset); reset != (i >= streamsPerPeer) {
				t.Errorf("stream %d: %v", i+1, err)
			}
		}
		time.Sleep(serveTime + time.Second) // silence ends
		for _, err := range server.HandlerErrors() {
			if err == nil {
				t.Error("a silent stream was served")
			}
		}
		if len(server.HandlerErrors()) != streamsPerPeer {
			t.Errorf("%d handlers have ended", len(server.HandlerErrors()))
		}
	})
}

// special are addresses that nobody may have dialled from outside.
var special = []string{
	"/ip4/0.0.0.0/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/100.64.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip4/169.254.169.254/tcp/80",
	"/ip4/172.16.0.1/tcp/1", "/ip4/192.168.0.1/tcp/1", "/ip4/192.0.2.1/tcp/1", "/ip4/198.18.0.1/tcp/1", "/ip4/224.0.0.1/tcp/1",
	"/ip4/255.255.255.255/tcp/1", "/ip6/::/tcp/1", "/ip6/::1/tcp/1", "/ip6/fe80::1/tcp/1", "/ip6zone/eth0/ip6/fe80::1/tcp/1",
	"/ip6/fc00::1/tcp/1", "/ip6/ff02::1/tcp/1", "/ip6/2001:db8::1/tcp/1", "/ip6/::ffff:127.0.0.1/tcp/1", "/ip6/::ffff:10.0.0.1/tcp/1",
	"/ip6/64:ff9b::a00:1/tcp/1", "/ip6/2002:a00:1::/tcp/1", "/dns4/localhost/tcp/1", "/dns/example.org/tcp/1", "/memory/1", "/unix/run/x",
	here + "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit",
	here + "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
}

func TestEvil_D2_SpecialAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attacker, server := serverFor(t, `{"server":{"requests":1000,"peer_requests":1000,"requests_v1":1000,"peer_requests_v1":1000}}`)
		var sent atomic.Int64
		for _, text := range special {
			r, err := request2By(t, attacker, server.FakeNode, request2{addrs: []ma.Multiaddr{addr(text)}}, &sent, dataPiece, 0)
			if err != nil || r.status != status2Refused {
				t.Errorf("%s: %+v, %v", text, r, err)
			}
		}
		if got := server.dialled(); len(got) != 0 || sent.Load() != 0 {
			t.Errorf("version 2: dialled %v", got)
		}
		// Version 1 dials the address that one asks from, with whatever port.
		for _, text := range special {
			if _, err := request1By(t, attacker, server.FakeNode, dial1{attacker.ID(), []ma.Multiaddr{addr(text)}}); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		for _, got := range server.dialled() {
			if !strings.HasPrefix(got, "/ip4/5.1.0.1/tcp/") {
				t.Errorf("version 1: dialled %s", got)
			}
		}
	})
}

func request1By(t testing.TB, n, server *coretest.FakeNode, d dial1) (r response1, err error) {
	t.Helper()
	stream, err := n.NewStream(t.Context(), server.ID(), DialID1)
	if err != nil {
		return r, err
	}
	defer stream.Reset(core.StreamNoError)
	if err := wire.WriteMessage(stream, d.marshal()); err != nil {
		return r, err
	}
	b, err := wire.ReadMessage(stream, maxMessage1)
	if err != nil {
		return r, err
	}
	return unmarshalResponse1(b)
}

func TestEvil_R7_Version1DialsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attacker, server := serverFor(t, `{}`)
		var list []ma.Multiaddr
		for i := range 40 {
			list = append(list, addr(fmt.Sprintf("/ip4/6.6.6.%d/tcp/%d", i, 1000+i)))
		}
		attacker.SetOpen(addr("/ip4/5.1.0.1/tcp/1003"))
		r, err := request1By(t, attacker, server.FakeNode, dial1{attacker.ID(), list})
		if err != nil || r.status != status1OK || r.addr.String() != "/ip4/5.1.0.1/tcp/1003" {
			t.Errorf("%+v, %v", r, err)
		}
		got := server.dialled()
		if len(got) > maxDials1 {
			t.Errorf("%d dials", len(got))
		}
		for _, a := range got {
			if !strings.HasPrefix(a, "/ip4/5.1.0.1/tcp/") {
				t.Errorf("dialled %s", a)
			}
		}
		if r, err := request1By(t, attacker, server.FakeNode, dial1{server.ID(), list}); err != nil || r.status != status1BadRequest {
			t.Errorf("in another's name: %+v, %v", r, err)
		}
		for i := range defaultPeerRequests1 {
			r, err = request1By(t, attacker, server.FakeNode, dial1{attacker.ID(), list})
			if want := i == defaultPeerRequests1-1; err != nil || (r.status == status1Refused) != want {
				t.Errorf("request %d: %+v, %v", i+2, r, err)
			}
		}
	})
}

// Over a relay nobody knows from where one asks.
func TestEvil_R7_AskedThroughARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := coretest.FakeNodes(t, 2)
		nodes[0].SetAddr(addr(special[len(special)-2]))
		nodes[1].SetAddr(addr("/ip4/5.1.1.1/tcp/4001"))
		start(t, nodes[1], `{}`)
		connect(t, nodes[0], nodes[1])
		var sent atomic.Int64
		if r, err := request2By(t, nodes[0], nodes[1], request2{addrs: []ma.Multiaddr{addr(here)}}, &sent, dataPiece, 0); err != nil || r.status != status2Refused {
			t.Errorf("version 2: %+v, %v", r, err)
		}
		if r, err := request1By(t, nodes[0], nodes[1], dial1{nodes[0].ID(), []ma.Multiaddr{addr(here)}}); err != nil || r.status != status1Refused {
			t.Errorf("version 1: %+v, %v", r, err)
		}
	})
}

// liar is a server that says what it likes.
func liar(n *coretest.FakeNode, first response1, second response2) {
	n.Handle(DialID1, func(s core.Stream) error {
		if _, err := wire.ReadMessage(s, maxMessage1); err != nil {
			return err
		}
		return wire.WriteMessage(s, first.marshal())
	})
	n.Handle(DialRequestID, func(s core.Stream) error {
		if _, err := wire.ReadMessage(s, maxMessage2); err != nil {
			return err
		}
		return wire.WriteMessage(s, second.marshal())
	})
}

// Those who say that they have dialled have to have done so; and a network has
// one say, whatever it says and however many peers are in it.
func TestEvil_E4_LyingServers(t *testing.T) {
	for name, tc := range map[string]struct {
		lie   response2
		lie1  response1
		open  bool
		truth core.Reachability
	}{
		"it can be reached":    {response2{status: status2OK, dial: dialOK}, response1{status: status1OK}, false, core.ReachabilityPrivate},
		"it nearly can":        {response2{status: status2OK, dial: dialBackError}, response1{status: status1OK}, false, core.ReachabilityPrivate},
		"it cannot be reached": {response2{status: status2OK, dial: dialError}, response1{status: status1DialError}, true, core.ReachabilityPublic},
		"another address":      {response2{status: status2OK, dial: dialError, index: 7}, response1{status: status1DialError}, true, core.ReachabilityPublic},
		"nonsense":             {response2{status: 77, dial: 1 << 40}, response1{status: 99}, true, core.ReachabilityPublic},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := internet(t, 3, `{}`, 40)
				client := nodes[0]
				if tc.open {
					client.SetOpen(addr(here))
				}
				s := start(t, client, `{"roles":["client"]}`)
				for _, n := range nodes[1:4] {
					connect(t, client, n)
				}
				for i, n := range nodes[4:] {
					n.SetAddr(addr(fmt.Sprintf("/ip4/5.1.%d.%d/tcp/4001", 90+i%2, 10+i)))
					liar(n, tc.lie1, tc.lie)
					connect(t, client, n)
				}
				time.Sleep(2 * time.Hour)
				if r := s.Reach(); r.Reachability != tc.truth {
					t.Errorf("40 liars in two networks are believed: %v", r)
				}
			})
		})
	}
}

// A dial back counts if it came from outside, by the transport of the address.
func TestEvil_A6_DialBacksThatAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := internet(t, 1, `{"versions":[1]}`)
		client, server := nodes[0], nodes[1]
		c := load(t, `{}`)
		if err := c.Start(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		connect(t, client, server)
		pending, forget := c.client.backs.expect(addr("/ip4/5.1.0.1/udp/1/quic-v1"))
		defer forget()
		tell := func(nonce uint64) error {
			s, err := server.NewStream(t.Context(), client.ID(), DialBackID)
			if err != nil {
				return err
			}
			defer s.Reset(core.StreamNoError)
			if err := wire.WriteMessage(s, marshalDialBack(nonce)); err != nil {
				return err
			}
			_, err = wire.ReadMessage(s, maxDialBack)
			return err
		}
		if err := tell(pending.nonce + 1); err == nil {
			t.Error("another nonce is taken")
		}
		if err := tell(pending.nonce); err == nil { // over the connection that the client has dialled
			t.Error("a dial back over a connection that there was before")
		}
		client.SetOpen(addr(here))
		p, err := server.Probe(t.Context(), client.ID(), addr(here)) // by TCP
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		s, err := p.OpenStream(t.Context(), DialBackID)
		if err != nil {
			t.Fatal(err)
		}
		wire.WriteMessage(s, marshalDialBack(pending.nonce))
		if _, err := wire.ReadMessage(s, maxDialBack); err == nil {
			t.Error("a dial back by another transport")
		}
		select {
		case <-pending.seen:
			t.Error("it counts")
		default:
		}
	})
}

// What a server wants for a dial has a bound.
func TestEvil_R7_GreedyServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := internet(t, 1, `{"versions":[1],"roles":["client"]}`)
		client, server := nodes[0], nodes[1]
		var got atomic.Int64
		server.Handle(DialRequestID, func(s core.Stream) error {
			if _, err := wire.ReadMessage(s, maxMessage2); err != nil {
				return err
			}
			wire.WriteMessage(s, dataRequest2{0, maxData + 1}.marshal())
			n, err := io.Copy(io.Discard, s)
			got.Add(n)
			return err
		})
		s := start(t, client, `{"roles":["client"],"confirmations":1}`)
		connect(t, client, server)
		time.Sleep(time.Hour)
		if r := s.Reach().Reachability; r != core.ReachabilityUnknown || got.Load() != 0 {
			t.Errorf("%s, for %d bytes", r, got.Load())
		}
	})
}
