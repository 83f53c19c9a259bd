// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/eventbus"
)

func TestOn(t *testing.T) {
	bus := eventbus.New(func(event, recovered any, _ []byte) { t.Errorf("panic for %v: %v", event, recovered) })
	var got []string
	note := func(what string) func(core.LocalProtocolsChanged) {
		return func(e core.LocalProtocolsChanged) { got = append(got, fmt.Sprint(what, e.Protocols)) }
	}
	stopA := core.On(bus, note("a"))
	stopB := core.On(bus, note("b"))
	stopAny := core.On(bus, func(e fmt.Stringer) { got = append(got, "stringer "+e.String()) })
	stopPointer := core.On(bus, func(*core.LocalProtocolsChanged) { got = append(got, "pointer") })
	bus.Emit(core.LocalProtocolsChanged{Protocols: []string{"1"}})
	bus.Emit(core.LocalAddrsChanged{})
	bus.Emit(core.Inbound) // of a type with a String method
	bus.Emit(nil)
	stopA()
	stopA()
	bus.Emit(core.LocalProtocolsChanged{Protocols: []string{"2"}})
	for _, stop := range []func(){stopB, stopAny, stopPointer} {
		stop()
	}
	bus.Emit(core.LocalProtocolsChanged{Protocols: []string{"3"}})
	if diff := cmp.Diff([]string{"a[1]", "b[1]", "stringer inbound", "b[2]"}, got); diff != "" {
		t.Errorf("(-want +got) %s", diff)
	}
}

// running is a list of modules.
type running []any

func (r running) Modules() []any { return r }

func TestFind(t *testing.T) {
	first, second := &visitor{Name: "1"}, &visitor{Name: "2"}
	n := running{nil, new(simple), first, second, 5}
	if g, ok := core.Find[guest](n); !ok || g != guest(first) {
		t.Errorf("by an interface: %v, %v", g, ok)
	}
	if v, ok := core.Find[*visitor](n); !ok || v != first {
		t.Errorf("by a type: %v, %v", v, ok)
	}
	if s, ok := core.Find[fmt.Stringer](n); ok || s != nil {
		t.Errorf("what is not there: %v, %v", s, ok)
	}
	if _, ok := core.Find[guest](running(nil)); ok {
		t.Error("found in nothing")
	}
}

func TestContexts(t *testing.T) {
	get := []func(context.Context) bool{core.LimitedAllowed, core.DialForbidden, core.DirectForced}
	set := []func(context.Context) context.Context{core.AllowLimited, core.NoDial, core.ForceDirect}
	for mask := range 8 {
		ctx, want := t.Context(), make([]bool, len(set))
		for i := range set {
			if want[i] = mask&(1<<i) != 0; want[i] {
				ctx = set[i](ctx)
			}
		}
		for i := range get {
			if got := get[i](context.WithoutCancel(ctx)); got != want[i] {
				t.Errorf("mask %d: property %d is %v", mask, i, got)
			}
		}
	}
}

func TestHandleOptions(t *testing.T) {
	apply := func(opts ...core.HandleOption) (o core.HandleOptions) {
		for _, opt := range opts {
			opt(&o)
		}
		return o
	}
	if o := apply(); o.Match != nil || o.Limited || o.MaxStreamsPerPeer != 0 {
		t.Errorf("without options: %+v", o)
	}
	o := apply(core.HandleLimited(), core.HandleAtMost(3), core.HandleAtMost(5), core.HandleMatching(func(p string) bool { return p == "/x" }))
	if !o.Limited || o.MaxStreamsPerPeer != 5 || !o.Match("/x") || o.Match("/y") {
		t.Errorf("with options: %+v", o)
	}
}

func TestTTLOrder(t *testing.T) {
	order := []any{core.PermanentTTL > core.ConnectedTTL, core.ConnectedTTL > core.RecentTTL, core.RecentTTL > core.DiscoveredTTL, core.DiscoveredTTL > core.TempTTL}
	if slices.Contains(order, any(false)) {
		t.Errorf("the classes are out of order: %v", order)
	}
}
