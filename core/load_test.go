// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
)

// simple is a protocol that takes guests and fails on demand.
type simple struct {
	N      int              `json:"n"`
	Guests core.List[guest] `json:"guests"`
	Loaded []string         `json:"-"`
	Log    *slog.Logger     `json:"-"`
	guests []core.Loaded[guest]
}

// guest is a kind that simple defines.
type guest interface{ Greet() string }

// visitor is a guest.
type visitor struct {
	Name string       `json:"name"`
	Log  *slog.Logger `json:"-"`
}

func (*visitor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.simple.guests.visitor", New: func() caddy.Module { return new(visitor) }}
}

func (v *visitor) Provision(ctx caddy.Context) error {
	v.Log = core.Logger(ctx)
	return nil
}

func (v *visitor) Greet() string { return "I am " + v.Name }

func (*simple) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.simple", New: func() caddy.Module { return new(simple) }}
}

func (s *simple) Provision(ctx caddy.Context) error {
	s.Log = core.Logger(ctx)
	var err error
	if s.guests, err = s.Guests.Load(ctx); err != nil {
		return fmt.Errorf("guests: %w", err)
	}
	return nil
}

func (s *simple) Validate() error {
	if s.N < 0 {
		return errors.New("n must be positive; write 1 or more")
	}
	return nil
}

func (*simple) Start(context.Context, core.Node) error { return nil }
func (*simple) Close() error                           { return nil }

// other is a second protocol.
type other struct{ simple }

func (*other) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.other", New: func() caddy.Module { return new(other) }}
}

func init() {
	core.DefineKind[guest]("xnode.protocol.simple.guests")
	core.Register(new(simple))
	core.Register(new(other))
	core.Register(new(visitor))
}

// context returns one to load modules in.
func loader(t *testing.T) caddy.Context {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return ctx
}

// loaded describes modules.
func loaded[T any](list []core.Loaded[T], err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	for _, l := range list {
		fmt.Fprintf(&b, "%s=%T ", l.Name, l.Module)
		if s, ok := any(l.Module).(*simple); ok {
			fmt.Fprintf(&b, "n%d ", s.N)
			for _, g := range s.guests {
				fmt.Fprintf(&b, "(%s) ", g.Module.Greet())
			}
		}
	}
	return strings.TrimSpace(b.String())
}

func TestLoad(t *testing.T) {
	type (
		section = core.Map[core.Protocol]
		list    = core.List[core.Protocol]
		one     = core.One[core.Protocol]
	)
	const unknown = "unknown module: xnode.protocol.smiple; this binary has older, other, simple"
	for _, tc := range []struct{ name, text, want string }{
		{"map", `{}`, ""},
		{"map", `{"simple": {"n": 2}, "other": {}}`, "other=*core_test.other simple=*core_test.simple n2"},
		{"map", `{"simple": {"guests": [{"module": "visitor", "name": "A"}, {"name": "B", "module": "visitor"}]}}`, "simple=*core_test.simple n0 (I am A) (I am B)"},
		{"map", `{"smiple": {}}`, "error: smiple: " + unknown},
		{"map", `{"": {}}`, "error: : unknown module: xnode.protocol.; this binary has older, other, simple"},
		{"map", `{"simple": null}`, "error: simple: module value cannot be null"},
		{"map", `{"simple": {"m": 1}}`, `error: simple: decoding module config: xnode.protocol.simple: json: unknown field "m"`},
		{"map", `{"simple": {"n": "x"}}`, `error: simple: decoding module config: xnode.protocol.simple: json: cannot unmarshal string into Go struct field simple.n of type int`},
		{"map", `{"simple": {"n": -1}}`, "error: simple: xnode.protocol.simple: invalid configuration: n must be positive; write 1 or more"},
		{"map", `{"simple": {"guests": [{}]}}`, `error: simple: provision xnode.protocol.simple: guests: 0: the key "module", which names the module, is missing`},
		{"map", `{"simple": {"guests": [{"module": "x"}]}}`, `error: simple: provision xnode.protocol.simple: guests: 0: x: unknown module: xnode.protocol.simple.guests.x; this binary has visitor`},
		{"map", `{"simple.guests.visitor": {}}`, "error: simple.guests.visitor: module xnode.protocol.simple.guests.visitor is a *core_test.visitor, not a core.Protocol"},
		{"list", `[]`, ""},
		{"list", `[{"module": "simple", "n": 1}, {"module": "other"}, {"n": 3, "module": "simple"}]`, "simple=*core_test.simple n1 other=*core_test.other simple=*core_test.simple n3"},
		{"list", `[{"module": "other"}, {"module": "smiple"}]`, "error: 1: smiple: " + unknown},
		{"list", `[{"module": "simple", "n": -1}]`, "error: 0: simple: xnode.protocol.simple: invalid configuration: n must be positive; write 1 or more"},
		{"list", `[{"n": 1}]`, `error: 0: the key "module", which names the module, is missing`},
		{"list", `[{"Module": "simple"}]`, `error: 0: the key "module", which names the module, is missing`},
		{"list", `[{"module": 1}]`, "error: 0: module: want the name of a module, got 1"},
		{"list", `[{"module": ""}]`, `error: 0: module: want the name of a module, got ""`},
		{"list", `["simple"]`, `error: 0: a module is an object with the key "module": json: cannot unmarshal string into Go value of type map[string]json.RawMessage`},
		{"list", `[null]`, `error: 0: the key "module", which names the module, is missing`},
		{"one", `{"module": "simple", "n": 4}`, "simple=*core_test.simple n4"},
		{"one", `{"module": "simple", "module2": 1}`, `error: simple: decoding module config: xnode.protocol.simple: json: unknown field "module2"`},
		{"one", `{"module": "smiple"}`, "error: smiple: " + unknown},
		{"one", `{}`, `error: the key "module", which names the module, is missing`},
	} {
		var m section
		var l list
		var o one
		var got string
		switch tc.name {
		case "map":
			decode(t, tc.text, &m)
			got = loaded(m.Load(loader(t)))
		case "list":
			decode(t, tc.text, &l)
			got = loaded(l.Load(loader(t)))
		case "one":
			decode(t, tc.text, &o)
			module, err := o.Load(loader(t))
			got = loaded([]core.Loaded[core.Protocol]{module}, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s %s\n(-want +got) %s", tc.name, tc.text, diff)
		}
	}
	if _, err := (core.Map[fmt.Stringer]{"x": []byte("{}")}).Load(loader(t)); err == nil || err.Error() != "x: not a kind of module" {
		t.Errorf("a section of no kind: %v", err)
	}
	if _, err := (core.Map[core.PubSub]{"x": []byte("{}")}).Load(loader(t)); err == nil || !strings.Contains(err.Error(), "this binary has none of this kind") {
		t.Errorf("a kind without modules: %v", err)
	}
	if _, err := (core.One[core.Protocol])(nil).Load(loader(t)); err == nil {
		t.Error("nothing loads")
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

func TestOneRoundTrip(t *testing.T) {
	var c struct {
		One core.One[core.Protocol] `json:"one"`
	}
	const text = `{"one":{"module":"simple","n":1}}`
	decode(t, text, &c)
	got, err := json.Marshal(c)
	if err != nil || string(got) != text {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestSplitInline(t *testing.T) {
	for _, tc := range []struct{ text, name, rest string }{
		{`{"module": "a"}`, "a", `{}`},
		{`{"z": 1, "module": "a/b", "b": {"module": "c"}}`, "a/b", `{"b":{"module":"c"},"z":1}`},
		{`{"n": 12345678901234567890, "module": "a"}`, "a", `{"n":12345678901234567890}`},
	} {
		name, rest, err := core.SplitInline([]byte(tc.text))
		if err != nil || name != tc.name || string(rest) != tc.rest {
			t.Errorf("%s: got %q, %s, %v", tc.text, name, rest, err)
		}
	}
	for _, text := range []string{``, `null`, `[]`, `1`, `{"module": null}`, `{"module": {}}`, `{`} {
		if name, rest, err := core.SplitInline([]byte(text)); err == nil {
			t.Errorf("%s: got %q, %s", text, name, rest)
		}
	}
}
