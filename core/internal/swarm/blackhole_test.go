// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	"pgregory.net/rapid"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func TestBlackHole(t *testing.T) {
	var b blackHole
	for i := range holeWindow {
		if err := b.check("UDP"); err != nil {
			t.Fatalf("after %d attempts: %v", i, err)
		}
		b.note(i < holeLeast-1)
	}
	for i := 1; i < holeWindow; i++ {
		if err := b.check("UDP"); !errors.Is(err, core.ErrBlackHole) {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	if err := b.check("UDP"); err != nil {
		t.Fatalf("the hundredth is not tried: %v", err)
	}
	b.note(false)
	if b.check("UDP") == nil {
		t.Fatal("tried again after no answer")
	}
	b.note(true)
	if err := b.check("UDP"); err != nil {
		t.Fatalf("after an answer: %v", err)
	}
	for range holeWindow {
		b.note(false)
	}
	if b.check("UDP") == nil {
		t.Fatal("nothing is learned any more")
	}
	b.forget()
	if err := b.check("UDP"); err != nil {
		t.Fatal(err)
	}
}

// The counters are those of the last attempts.
func TestBlackHoleProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b blackHole
		var model []bool
		for range rapid.IntRange(0, 400).Draw(t, "n") {
			answered := rapid.IntRange(0, 30).Draw(t, "answered") == 0
			good := 0
			for _, m := range model {
				if m {
					good++
				}
			}
			blocked := len(model) == holeWindow && good < holeLeast
			if b.count != len(model) || b.good != good {
				t.Fatalf("%d of %d, want %d of %d", b.good, b.count, good, len(model))
			}
			if answered && blocked {
				model = nil
			}
			b.note(answered)
			if model = append(model, answered); len(model) > holeWindow {
				model = model[1:]
			}
		}
	})
}

func TestBlackHolesAreOfTheInternet(t *testing.T) {
	var h blackHoles
	for range 2 * holeWindow {
		for _, a := range []string{"/ip4/1.1.1.1/udp/1/quic-v1", "/ip4/1.1.1.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1", "/ip6/fc00::1/tcp/1"} {
			h.note(ma.StringCast(a), false)
		}
	}
	for a, swallowed := range map[string]bool{
		"/ip4/1.1.1.1/udp/1/quic-v1":  true,
		"/ip6/2600::1/udp/1/quic-v1":  true,
		"/ip4/10.0.0.1/udp/1/quic-v1": false,
		"/ip4/1.1.1.1/tcp/1":          false,
		"/ip6/2600::1/tcp/1":          false, // nothing was learned of IPv6
		"/ip4/1.1.1.1/udp/1/quic-v1/p2p/" + target.ID().String() + "/p2p-circuit": false,
	} {
		if err := h.check(ma.StringCast(a)); (err != nil) != swallowed {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestAnswered(t *testing.T) {
	for _, c := range []struct {
		err   error
		steps int
		want  bool
	}{
		{nil, 1, true},
		{errors.New("no answer"), 1, false},
		{context.DeadlineExceeded, 1, false},
		{fmt.Errorf("dial: %w", syscall.ECONNREFUSED), 1, true},
		{&core.PeerMismatchError{}, 1, true},
		{errors.New("handshake"), 2, true},
	} {
		a := &attempt{DialAttempt: core.DialAttempt{Err: c.err, Steps: make([]core.DialStep, c.steps)}}
		if got := a.answered(); got != c.want {
			t.Errorf("%v after %d steps: %v", c.err, c.steps, got)
		}
	}
}

// A dial leaves out what is swallowed, says so, and tries it when there is
// nothing else.
func TestDialLeavesBlackHolesOut(t *testing.T) {
	w := newWorld()
	a, b := newSwarm(t, w, 1), newSwarm(t, w, 2)
	info := listen(t, b, addr1)
	const six = "/ip6/2600::1/tcp/1"
	for range holeWindow {
		a.holes.note(ma.StringCast(six), false)
	}
	ctx, trace := core.TraceDial(t.Context())
	if _, err := a.Connect(ctx, peer.AddrInfo{ID: info.ID, Addrs: append(info.Addrs, ma.StringCast(six))}); err != nil {
		t.Fatal(err)
	}
	record := trace.Record()
	if len(record.Attempts) != 2 || record.Attempts[0].Outcome != core.DialSkipped || !errors.Is(record.Attempts[0].Err, core.ErrBlackHole) {
		t.Errorf("%+v", record.Attempts)
	}

	c := newSwarm(t, w, 3)
	ctx, trace = core.TraceDial(t.Context())
	if _, err := a.Connect(ctx, peer.AddrInfo{ID: c.Identity.ID(), Addrs: []ma.Multiaddr{ma.StringCast(six)}}); err == nil {
		t.Fatal("nobody listens there")
	}
	if at := trace.Record().Attempts; len(at) != 1 || at[0].Outcome != core.DialFailed {
		t.Errorf("%+v", at)
	}
	a.NetworkChanged()
	if err := a.holes.check(ma.StringCast(six)); err != nil {
		t.Errorf("in another network: %v", err)
	}
}
