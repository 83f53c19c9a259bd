// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/internal/gater"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// diary is what happened to the lodgers of a test, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// want fails the test unless these lines have come since the last call.
func (d *diary) want(t *testing.T, lines ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if diff := cmp.Diff(lines, d.lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.lines = nil
}

// lodger is a service that writes a diary.
type lodger struct {
	diary *diary
	name  string
	start func(context.Context, core.Node) error
}

func (p *lodger) Start(ctx context.Context, n core.Node) error {
	p.diary.add("start " + p.name)
	if p.start != nil {
		return p.start(ctx, n)
	}
	return nil
}

func (p *lodger) Close() error {
	p.diary.add("close " + p.name)
	return nil
}

// servicing adds lodgers to a plan.
func servicing(p *host.Plan, lodgers ...*lodger) *host.Plan {
	plan := *p
	for _, s := range lodgers {
		plan.Services = append(plan.Services[:len(plan.Services):len(plan.Services)], core.Loaded[core.Service]{Name: s.name, Module: s})
	}
	return &plan
}

// bare is a host that runs nothing, and a plan that listens in memory.
func bare(t *testing.T) (*host.Host, *host.Plan, *hosttest.Network) {
	t.Helper()
	h, err := host.New(host.Settings{Key: hosttest.Key(1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	network := hosttest.NewNetwork(memnet.Options{})
	plan := network.Plan(t, `{"protocols": {}}`)
	return h, plan, network
}

func acquire(t *testing.T, h *host.Host, p *host.Plan) *host.Lease {
	t.Helper()
	l, err := h.Acquire(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func release(t *testing.T, l *host.Lease) {
	t.Helper()
	if err := l.Release(); err != nil {
		t.Error(err)
	}
}

// names lists the lodgers that run.
func names(h *host.Host) []string {
	var list []string
	for _, m := range h.Modules() {
		if p, ok := m.(*lodger); ok {
			list = append(list, p.name)
		}
	}
	return list
}

func TestLeases(t *testing.T) {
	h, plan, network := bare(t)
	d := new(diary)
	a, b, c := &lodger{diary: d, name: "a"}, &lodger{diary: d, name: "b"}, &lodger{diary: d, name: "c"}
	first := acquire(t, h, servicing(plan, a, b))
	d.want(t, "start a", "start b")
	conn := hosttest.Connect(t, network.Node(t, hosttest.Settings{Seed: 2}), h)
	addr := h.ListenAddrs()[0]

	// Forwards: what the old plan alone has ends with it.
	second := acquire(t, h, servicing(plan, c, b))
	d.want(t, "start c")
	if diff := cmp.Diff([]string{"c", "b", "a"}, names(h)); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	release(t, first)
	d.want(t, "close a")

	// Backwards: the new one is given up.
	third := acquire(t, h, servicing(plan, a, b))
	d.want(t, "start a")
	release(t, third)
	d.want(t, "close a")
	if diff := cmp.Diff([]string{"c", "b"}, names(h)); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if got := h.ListenAddrs(); len(got) != 1 || !got[0].Equal(addr) {
		t.Errorf("listening on %v, want %s all the time", got, addr)
	}
	select {
	case <-conn.Done():
		t.Error("the connection is lost")
	default:
	}
	release(t, second)
	release(t, second) // again
	d.want(t, "close b", "close c")
	if n := len(h.ListenAddrs()) + len(h.Addrs()) + len(h.Modules()); n != 0 {
		t.Errorf("%d addresses and modules are left", n)
	}
	// It has nothing left to connect with.
	if _, err := h.Connect(t.Context(), hosttest.Info(network.Node(t, hosttest.Settings{Seed: 3}))); !errors.Is(err, core.ErrNoTransport) {
		t.Errorf("connect: %v", err)
	}
	acquire(t, h, servicing(plan, a))
	d.want(t, "start a")
	if err := errors.Join(h.Close(), h.Close()); err != nil {
		t.Error(err)
	}
	d.want(t, "close a")
	if _, err := h.Acquire(t.Context(), plan); !errors.Is(err, net.ErrClosed) {
		t.Errorf("acquire after Close: %v", err)
	}
}

func TestServicesFindTheNodeReady(t *testing.T) {
	h, plan, _ := bare(t)
	d := new(diary)
	old := &lodger{diary: d, name: "old"}
	first := acquire(t, h, servicing(plan, old))
	successor := &lodger{diary: d, name: "successor", start: func(_ context.Context, n core.Node) error {
		if len(n.ListenAddrs()) != 1 || len(n.Addrs()) != 1 {
			return errors.New("no addresses")
		}
		return nil
	}}
	seeker := &lodger{diary: d, name: "seeker", start: func(_ context.Context, n core.Node) error {
		if p, ok := core.Find[*lodger](n); !ok || p != successor {
			return errors.New("it found " + p.name)
		}
		return nil
	}}
	acquire(t, h, servicing(plan, successor, seeker))
	release(t, first)
	d.want(t, "start old", "start successor", "start seeker", "close old")
}

func TestFailedAcquireRestores(t *testing.T) {
	h, plan, network := bare(t)
	other := network.Node(t, hosttest.Settings{Seed: 2})
	d := new(diary)
	a, b := &lodger{diary: d, name: "a"}, &lodger{diary: d, name: "b"}
	acquire(t, h, servicing(plan, a))
	conn := hosttest.Connect(t, h, other)
	d.want(t, "start a")
	why := errors.New("on purpose")
	for name, tc := range map[string]struct {
		plan func() *host.Plan
		want error
		text []string
	}{
		"error": {func() *host.Plan {
			return servicing(plan, b, &lodger{diary: d, name: "c", start: func(context.Context, core.Node) error { return why }})
		}, why, []string{"start b", "start c", "close c", "close b"}},
		"panic": {func() *host.Plan {
			return servicing(plan, b, &lodger{diary: d, name: "c", start: func(context.Context, core.Node) error { panic(why) }})
		}, nil, []string{"start b", "start c", "close c", "close b"}},
		"address in use": {func() *host.Plan {
			p := servicing(plan, b)
			p.Listen = append(p.Listen[:1:1], other.ListenAddrs()[0])
			return p
		}, memnet.ErrInUse, nil},
		"denied on the way": {func() *host.Plan {
			p := servicing(plan, &lodger{diary: d, name: "c", start: func(context.Context, core.Node) error { return why }})
			p.Gater = gater.Config{Deny: []string{other.ID().String()}}
			return p
		}, why, []string{"start c", "close c"}},
		"invalid": {func() *host.Plan {
			p := servicing(plan, b)
			p.Dial.Parallel = -1
			return p
		}, nil, nil},
		"no transport": {func() *host.Plan {
			p := servicing(plan, b)
			p.Listen = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}
			return p
		}, nil, nil},
	} {
		addrs := h.Addrs()
		if _, err := h.Acquire(t.Context(), tc.plan()); err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		d.want(t, tc.text...)
		if diff := cmp.Diff([]string{"a"}, names(h)); diff != "" {
			t.Errorf("%s: modules (-want +got):\n%s", name, diff)
		}
		if got := h.Addrs(); len(got) != 1 || !got[0].Equal(addrs[0]) {
			t.Errorf("%s: addresses %v, want %v", name, got, addrs)
		}
		if again, err := h.Connect(t.Context(), hosttest.Info(other)); err != nil || again != conn {
			t.Errorf("%s: the connection is another one: %v", name, err)
		}
	}
}

// A plan that fails closes no connection, and leaves none behind that only its
// own rules let in.
func TestFailedAcquireAndConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, plan, network := bare(t)
		friends := []*host.Host{network.Node(t, hosttest.Settings{Seed: 2}), network.Node(t, hosttest.Settings{Seed: 3})}
		foe := network.Node(t, hosttest.Settings{Seed: 4})
		plan.Gater = gater.Config{Deny: []string{foe.ID().String()}}
		acquire(t, h, plan)
		for _, f := range friends {
			hosttest.Connect(t, f, h)
		}
		time.Sleep(time.Hour)
		why := errors.New("on purpose")
		var let core.Conn
		next := servicing(plan, &lodger{diary: new(diary), name: "a", start: func(context.Context, core.Node) error {
			let = hosttest.Connect(t, foe, h)
			time.Sleep(time.Second)
			return why
		}})
		next.Gater = gater.Config{}
		next.Limits.Target = 1
		if _, err := h.Acquire(t.Context(), next); !errors.Is(err, why) {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		for i, f := range friends {
			if len(h.ConnsTo(f.ID())) != 1 {
				t.Errorf("the connection to friend %d is lost", i)
			}
		}
		select {
		case <-let.Done():
		default:
			t.Error("the foe is still connected")
		}
		if n := len(h.Conns()); n != len(friends) {
			t.Errorf("%d connections, want those of %d friends", n, len(friends))
		}
	})
}

// A start that hangs is given up, and closed.
func TestStartThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, plan, _ := bare(t)
		d := new(diary)
		begin := time.Now()
		_, err := h.Acquire(t.Context(), servicing(plan, &lodger{diary: d, name: "a", start: func(ctx context.Context, _ core.Node) error {
			<-ctx.Done()
			time.Sleep(time.Minute) // and is not quick to notice
			return ctx.Err()
		}}))
		if took := time.Since(begin); err == nil || took != 30*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		d.want(t, "start a", "close a")
		time.Sleep(time.Hour)
	})
}

// What new rules refuse is disconnected once they are in force.
func TestNewRulesBindConnections(t *testing.T) {
	h, plan, network := bare(t)
	old := acquire(t, h, plan)
	friend, foe := network.Node(t, hosttest.Settings{Seed: 2}), network.Node(t, hosttest.Settings{Seed: 3})
	stays, goes := hosttest.Connect(t, friend, h), hosttest.Connect(t, foe, h)
	next := *plan
	next.Gater = gater.Config{Deny: []string{foe.ID().String()}}
	acquire(t, h, &next)
	release(t, old)
	<-goes.Done()
	select {
	case <-stays.Done():
		t.Error("the other connection is lost")
	default:
	}
}
