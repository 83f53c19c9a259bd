// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// router is a gateway in memory, which speaks one method.
type router struct {
	speaks   string
	lifetime time.Duration

	mu      sync.Mutex
	broken  bool
	outside netip.Addr
	asked   []string
	ports   map[string]time.Time // until when
}

func (r *router) of(name string, _ gateway) method { return &spoken{r, name} }

type spoken struct {
	*router
	name string
}

func (s *spoken) add(_ context.Context, q request) (grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, s.name+" "+q.network)
	if s.broken || s.name != s.speaks {
		return grant{}, errNoAnswer
	}
	s.ports[fmt.Sprint(q.network, q.inside)] = time.Now().Add(s.lifetime)
	return grant{netip.AddrPortFrom(s.outside, q.inside.Port()+1000), s.lifetime}, nil
}

func (s *spoken) remove(_ context.Context, q request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ports, fmt.Sprint(q.network, q.inside))
	return nil
}

// open counts the ports that are forwarded now.
func (r *router) open() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, until := range r.ports {
		if time.Now().Before(until) {
			n++
		}
	}
	return n
}

// questions are those that the router was asked.
func (r *router) questions() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// listening is a node with listeners.
type listening struct {
	*coretest.FakeNode
	mu   sync.Mutex
	list []ma.Multiaddr
}

func (l *listening) ListenAddrs() []ma.Multiaddr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list
}

func (l *listening) listen(texts ...string) {
	l.mu.Lock()
	l.list = nil
	for _, t := range texts {
		l.list = append(l.list, ma.StringCast(t))
	}
	l.mu.Unlock()
	l.Emit(core.CandidateAddrsChanged{})
}

var home = gateway{router: netip.MustParseAddr("192.168.1.1"), own: netip.MustParseAddr("192.168.1.7")}

func newRouter() *router {
	return &router{speaks: methodNATPMP, lifetime: time.Hour, outside: outside, ports: make(map[string]time.Time)}
}

func start(t testing.TB, n core.Node, r *router) *Service {
	t.Helper()
	s := coretest.MustLoad[*Service](t, "portmap", `{}`)
	s.gateway, s.method = func() (gateway, error) { return home, nil }, r.of
	if err := s.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// candidates are the suggested addresses of a node.
func candidates(n *listening) string {
	var list []string
	for _, a := range n.Candidates() {
		if !strings.HasPrefix(a.String(), "/memory") {
			list = append(list, a.String())
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestPorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &listening{FakeNode: coretest.FakeNodes(t, 1)[0]}
		r := newRouter()
		n.listen("/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1", "/ip4/192.168.1.7/udp/4001/webrtc-direct", "/ip4/127.0.0.1/tcp/5", "/ip4/10.0.0.1/tcp/6", "/ip6/::/tcp/7", "/memory/1")
		s := start(t, n, r)
		time.Sleep(time.Minute)
		const want = "/ip4/5.6.7.8/tcp/5001 /ip4/5.6.7.8/udp/5001/quic-v1 /ip4/5.6.7.8/udp/5001/webrtc-direct"
		if got := candidates(n); got != want || r.open() != 2 {
			t.Errorf("%s; %d ports", got, r.open())
		}
		if m := s.PortMaps(); m.Gateway != home.router || m.Method != methodNATPMP || len(m.Maps) != 2 || m.Err != nil {
			t.Errorf("%+v", m)
		}
		// The first question finds out how to ask.
		if got := strings.Join(r.questions(), ", "); got != "pcp tcp, nat-pmp tcp, nat-pmp udp" {
			t.Errorf("asked: %s", got)
		}
		for range 48 { // they are renewed before their time is over
			time.Sleep(time.Hour / 2)
			if r.open() != 2 {
				t.Fatalf("%d ports are open", r.open())
			}
		}
		if n := len(r.questions()); n > 3+2*50 {
			t.Errorf("asked %d times in a day", n)
		}
		n.listen("/ip4/0.0.0.0/tcp/4001")
		time.Sleep(time.Second)
		if got := candidates(n); got != "/ip4/5.6.7.8/tcp/5001" || r.open() != 1 {
			t.Errorf("a listener closed: %s; %d ports", got, r.open())
		}
		s.Close()
		if got := candidates(n); got != "" || r.open() != 0 {
			t.Errorf("after the end: %s; %d ports", got, r.open())
		}
	})
}

// A gateway that does not answer is asked less and less often, and one that loses
// its ports has them asked for again.
func TestLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &listening{FakeNode: coretest.FakeNodes(t, 1)[0]}
		r := newRouter()
		r.broken = true
		n.listen("/ip4/0.0.0.0/tcp/4001")
		s := start(t, n, r)
		time.Sleep(24 * time.Hour)
		if asked := len(r.questions()); asked < 40 || asked > 200 {
			t.Errorf("asked %d times in a day", asked)
		}
		if m := s.PortMaps(); m.Method != "" || m.Err == nil || !strings.Contains(m.Err.Error(), "nat-pmp: no answer") {
			t.Errorf("%+v", m)
		}
		r.mu.Lock()
		r.broken = false
		r.mu.Unlock()
		time.Sleep(lastRetry)
		if candidates(n) == "" {
			t.Error("it is not asked again")
		}
		r.mu.Lock()
		r.broken = true
		r.mu.Unlock()
		time.Sleep(time.Hour)
		if got := candidates(n); got != "" {
			t.Errorf("lost, and yet %s", got)
		}
	})
}

// Behind two routers, a port of the inner one is no way in.
func TestEvil_R9_AddressOfNobody(t *testing.T) {
	for _, ip := range []string{"10.1.2.3", "100.64.0.1", "192.168.1.1", "169.254.1.1", "203.0.113.1"} {
		synctest.Test(t, func(t *testing.T) {
			n := &listening{FakeNode: coretest.FakeNodes(t, 1)[0]}
			r := newRouter()
			r.outside = netip.MustParseAddr(ip)
			n.listen("/ip4/0.0.0.0/tcp/4001")
			s := start(t, n, r)
			time.Sleep(time.Minute)
			if got := candidates(n); got != "" || len(s.PortMaps().Maps) != 1 {
				t.Errorf("%s: %s, %+v", ip, got, s.PortMaps())
			}
		})
	}
}

// An instance that replaces another keeps the ports of that.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &listening{FakeNode: coretest.FakeNodes(t, 1)[0]}
		r := newRouter()
		n.listen("/ip4/0.0.0.0/tcp/4001")
		old := start(t, n, r)
		time.Sleep(time.Minute)
		successor := start(t, n, r)
		synctest.Wait()
		old.Close()
		time.Sleep(time.Minute)
		if r.open() != 1 || candidates(n) != "/ip4/5.6.7.8/tcp/5001" {
			t.Errorf("%d ports, %s", r.open(), candidates(n))
		}
		successor.Close()
		if r.open() != 0 {
			t.Errorf("%d ports", r.open())
		}
	})
}

func TestOtherNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &listening{FakeNode: coretest.FakeNodes(t, 1)[0]}
		r := newRouter()
		n.listen("/ip4/0.0.0.0/tcp/4001")
		var mu sync.Mutex
		g, gone := home, error(nil)
		s := coretest.MustLoad[*Service](t, "portmap", `{}`)
		s.method = r.of
		s.gateway = func() (gateway, error) {
			mu.Lock()
			defer mu.Unlock()
			return g, gone
		}
		if err := s.Start(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		time.Sleep(time.Minute)
		for _, step := range []struct {
			own   string
			gone  error
			ports int
		}{{"192.168.1.8", nil, 1}, {"192.168.1.8", errNoGateway, 0}, {"192.168.1.9", nil, 1}} {
			mu.Lock()
			g.own, gone = netip.MustParseAddr(step.own), step.gone
			mu.Unlock()
			n.Emit(core.NetworkChanged{})
			time.Sleep(time.Minute)
			if r.open() != step.ports || (candidates(n) != "") != (step.ports > 0) {
				t.Errorf("%+v: %d ports, %s", step, r.open(), candidates(n))
			}
			if m := s.PortMaps(); !errors.Is(m.Err, step.gone) || step.ports > 0 && m.Maps[0].Inside.Addr().String() != step.own {
				t.Errorf("%+v: %+v", step, m)
			}
		}
	})
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		s := coretest.MustLoad[*Service](t, "portmap", `{}`)
		s.gateway, s.method = func() (gateway, error) { return home, nil }, newRouter().of
		return s
	})
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                   "",
		`{"methods":["upnp"],"lifetime":"2h"}`: "",
		`{"methods":[]}`:                       "must not be empty",
		`{"methods":["igd"]}`:                  "methods/0",
		`{"lifetime":"1m"}`:                    "2m to 24h",
		`{"lifetime":"25h"}`:                   "2m to 24h",
		`{"gateway":"1.2.3.4"}`:                "gateway",
	} {
		s, err := coretest.Load[*Service](t, "portmap", config)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want an error with %q", config, s, err, want)
		}
	}
}

// Whatever network the test is run in, the answer is one or the other.
func TestDefaultGateway(t *testing.T) {
	g, err := defaultGateway()
	if err == nil && (!g.router.Is4() || !g.own.Is4()) || err != nil && g != (gateway{}) {
		t.Errorf("%+v, %v", g, err)
	}
}
