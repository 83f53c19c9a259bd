// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// odd is a module as the row of a table wants it.
type odd struct {
	id  string
	new func() caddy.Module
}

func (o *odd) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: caddy.ModuleID(o.id), New: o.new}
}

// value is a module that is no pointer.
type value struct{}

func (value) CaddyModule() caddy.ModuleInfo          { return caddy.ModuleInfo{ID: "xnode.protocol.value"} }
func (value) Start(context.Context, core.Node) error { return nil }
func (value) Close() error                           { return nil }

// matcher is a transport that neither dials nor listens.
type matcher struct{ odd }

func (*matcher) Match(ma.Multiaddr) bool { return false }

// panicOf runs f and returns what it panics with.
func panicOf(f func()) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint(r)
		}
	}()
	f()
	return ""
}

func TestRegisterPanics(t *testing.T) {
	for _, tc := range []struct {
		name, id string
		new      func() caddy.Module
		want     []string
	}{
		{"unknown namespace", "xnode.transprot.x", nil, []string{"xnode.transprot.x", `namespace "xnode.transprot"`, "*core_test.odd"}},
		{"no namespace", "x", nil, []string{"module x", `namespace ""`}},
		{"no name", "xnode.protocol.", nil, []string{"xnode.protocol.", "no name"}},
		{"no constructor", "xnode.protocol.x", nil, []string{"xnode.protocol.x", "no constructor New"}},
		{"constructor of nil", "xnode.protocol.x", func() caddy.Module { return nil }, []string{"xnode.protocol.x", "want a pointer"}},
		{"constructor of a nil pointer", "xnode.protocol.x", func() caddy.Module { return (*odd)(nil) }, []string{"xnode.protocol.x", "want a pointer", "*core_test.odd"}},
		{"constructor of a value", "xnode.protocol.x", func() caddy.Module { return value{} }, []string{"xnode.protocol.x", "want a pointer", "core_test.value"}},
		{"wrong interface", "xnode.protocol.x", func() caddy.Module { return new(odd) }, []string{"xnode.protocol.x", "*core_test.odd", "core.Protocol", "namespace xnode.protocol"}},
		{"neither raw nor muxed", "xnode.transport.x", func() caddy.Module { return new(matcher) }, []string{"xnode.transport.x", "*core_test.matcher", "core.RawTransport", "core.MuxedTransport", "namespace xnode.transport"}},
		{"twice", "xnode.protocol.simple", func() caddy.Module { return new(simple) }, []string{"xnode.protocol.simple", "package github.com/xnode-p2p/xnode/core_test has the ID of a module of package github.com/xnode-p2p/xnode/core_test"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := panicOf(func() { core.Register(&odd{tc.id, tc.new}) })
			for _, want := range append(tc.want, "core: ") {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want it to contain %q", got, want)
				}
			}
		})
	}
}

func TestDefineKindPanics(t *testing.T) {
	type fresh interface{ Fresh() }
	before := core.Namespaces()
	for _, tc := range []struct {
		name, want string
		define     func()
	}{
		{"no interface", "*core_test.odd is no interface", func() { core.DefineKind[*odd]("xnode.test.a") }},
		{"kind defined", "core.Security in namespace xnode.security exists", func() { core.DefineKind[core.Security]("xnode.test.b") }},
		{"namespace defined", "core.Muxer in namespace xnode.muxer exists", func() { core.DefineKind[fresh]("xnode.muxer") }},
		{"alternative is no interface", "xnode.test.c: int is no interface", func() { core.DefineKind[fresh]("xnode.test.c", reflect.TypeFor[int]()) }},
	} {
		if got := panicOf(tc.define); !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	if after := core.Namespaces(); len(after) != len(before) {
		t.Errorf("a definition that panicked stays: %v", after)
	}
}

func TestNamespaces(t *testing.T) {
	if got := core.Namespace[core.Transport](); got != "xnode.transport" {
		t.Errorf("transports are in %q", got)
	}
	if got := core.Namespace[guest](); got != "xnode.protocol.simple.guests" {
		t.Errorf("guests are in %q", got)
	}
	if got := core.Namespace[fmt.Stringer](); got != "" {
		t.Errorf("what is no kind is in %q", got)
	}
	if got := (core.Map[core.NAT]{}).ModuleNamespace() + (core.List[core.Muxer]{}).ModuleNamespace() + (core.One[core.KeySource]{}).ModuleNamespace(); got != "xnode.natxnode.muxerxnode.identity" {
		t.Errorf("sections are of %q", got)
	}
	list := strings.Join(core.Namespaces(), " ")
	const want = "xnode.transport xnode.security xnode.muxer xnode.identity xnode.certificate xnode.storage xnode.record xnode.nat xnode.routing xnode.pubsub xnode.pubsub.validator xnode.discovery xnode.protocol xnode.protocol.simple.guests"
	if list != want {
		t.Errorf("got %s, want %s", list, want)
	}
}
