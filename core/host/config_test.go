// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/host"
)

// plan loads a configuration.
func plan(t *testing.T, config string) (*host.Plan, error) {
	t.Helper()
	var c host.Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return c.Plan(ctx)
}

// describe lists what a plan consists of.
func describe(p *host.Plan) string {
	var b strings.Builder
	for _, a := range p.Listen {
		fmt.Fprintf(&b, "%s ", a)
	}
	for _, m := range p.Transports {
		fmt.Fprintf(&b, "t:%s ", m.Name)
	}
	for _, m := range p.Securities {
		fmt.Fprintf(&b, "s:%s ", m.Name)
	}
	for _, m := range p.Muxers {
		fmt.Fprintf(&b, "m:%s ", m.Name)
	}
	for _, m := range p.Services {
		fmt.Fprintf(&b, "%s ", m.Name)
	}
	return strings.TrimSpace(b.String())
}

func TestPlan(t *testing.T) {
	t.Setenv("XNODE_TEST_PORT", "4321")
	t.Setenv("XNODE_TEST_TWICE", "{env.XNODE_TEST_PORT}")
	for _, tc := range []struct{ config, want string }{
		{`{}`, "/ip4/0.0.0.0/tcp/0 t:tcp s:noise m:yamux memory ping"},
		{`{"listen": [], "transports": {}, "security": [], "muxers": [], "protocols": {}}`, "memory"},
		{`{"listen": ["/ip6/::1/tcp/{env.XNODE_TEST_PORT}", "/ip4/127.0.0.1/tcp/0"]}`, "/ip6/::1/tcp/4321 /ip4/127.0.0.1/tcp/0 t:tcp s:noise m:yamux memory ping"},
		{`{"agent": "` + strings.Repeat("x", 256) + `"}`, "/ip4/0.0.0.0/tcp/0 t:tcp s:noise m:yamux memory ping"},
		{`{"storage": {"module": "memory"}}`, "/ip4/0.0.0.0/tcp/0 t:tcp s:noise m:yamux memory ping"},
		{`{"storage": null}`, "/ip4/0.0.0.0/tcp/0 t:tcp s:noise m:yamux ping"},
		{`{"protocols": {"tally": {}, "echo": {}, "counted": {}}}`, "/ip4/0.0.0.0/tcp/0 t:tcp s:noise m:yamux memory counted echo tally"},
	} {
		p, err := plan(t, tc.config)
		if err != nil {
			t.Errorf("%s: %v", tc.config, err)
		} else if got := describe(p); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.config, got, tc.want)
		}
	}
	for _, tc := range []struct {
		config string
		want   []string // one for each line of the error
	}{
		{`{"listen": ["/ip4/127.0.0.1/tcp/1", "nonsense"]}`, []string{`listen/1: "nonsense" is no multiaddr`}},
		{`{"listen": ["/ip4/127.0.0.1/tpc/1"]}`, []string{`listen/0: "/ip4/127.0.0.1/tpc/1" is no multiaddr`}},
		{`{"listen": [""]}`, []string{`listen/0: "" is no multiaddr`}},
		{`{"listen": ["/"]}`, []string{`listen/0: "/" is no multiaddr`}},
		{`{"listen": ["x", "/ip4/127.0.0.1/tcp/1", "y"]}`, []string{`listen/0: "x" is no`, `listen/2: "y" is no`}},
		{`{"listen": ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/01"]}`, []string{"listen/1: /ip4/127.0.0.1/tcp/1 is listed twice; remove one"}},
		{`{"listen": ["/ip4/127.0.0.1/udp/1/quic-v1"]}`, []string{"listen/0: no configured transport listens on /ip4/127.0.0.1/udp/1/quic-v1; add one to transports or remove the address"}},
		{`{"listen": ["/ip4/127.0.0.1/tcp/{env.XNODE_TEST_UNSET}"]}`, []string{"listen/0: "}},
		{`{"listen": ["/ip4/127.0.0.1/tcp/{env.XNODE_TEST_TWICE}"]}`, []string{"listen/0: "}},
		{`{"agent": "` + strings.Repeat("x", 257) + `"}`, []string{"agent: 257 bytes, of which peers would show 256 at most; shorten it"}},
		{`{"transports": {}, "listen": ["/ip4/0.0.0.0/tcp/0"]}`, []string{"listen/0: no configured transport listens on /ip4/0.0.0.0/tcp/0"}},
		{`{"security": []}`, []string{"transports/tcp: its connections need at least one module in security and one in muxers"}},
		{`{"storage": {"module": "tape"}}`, []string{"storage: tape: unknown module: xnode.storage.tape; this binary has memory"}},
		{`{"muxers": []}`, []string{"transports/tcp: its connections need at least one module in security and one in muxers"}},
		{
			`{"transports": {"tpc": {}}, "security": [{}], "muxers": [{"module": "max"}], "protocols": {"pong": {}}, "nat": {"x": {}}}`,
			[]string{
				"transports: tpc: unknown module: xnode.transport.tpc; this binary has tcp", `security: 0: the key "module"`, "muxers: 0: max: unknown module",
				"nat: x: unknown module: xnode.nat.x; this binary has none of this kind", "protocols: pong: unknown module",
			},
		},
	} {
		_, err := plan(t, tc.config)
		if err == nil {
			t.Errorf("%s: no error", tc.config)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(tc.want) {
			t.Errorf("%s: got %q, want %q", tc.config, lines, tc.want)
			continue
		}
		for i, want := range tc.want {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("%s: got %q, want %q", tc.config, lines[i], want)
			}
		}
	}
}

// A panic in a module is told in one line; the stack is for the log.
func TestEvil_X10_PanicIsOneMistake(t *testing.T) {
	for _, at := range []string{"provision", "validate", "start"} {
		t.Run(at, func(t *testing.T) {
			book.reset()
			t.Cleanup(func() { _ = caddy.Stop() })
			err := host.LoadDocument(configuration("", `"seed": 1`, `"counted": {"fail": "panic at `+at+`"}`), true)
			list := host.Mistakes(err)
			if len(list) != 1 || list[0].Pointer != "/apps/xnode/protocols/counted" || !strings.Contains(list[0].Problem, "panic: asked to panic at "+at) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Two nodes cannot have one port, not even while one takes the other's place.
func TestOtherIdentityOnTheSamePort(t *testing.T) {
	begin(t)
	on := func(seed int, port string) []byte {
		return []byte(strings.Replace(string(configuration("", fmt.Sprintf(`"seed": %d`, seed), `"counted": {}`)), "/tcp/0", "/tcp/"+port, 1))
	}
	h := load(t, on(1, "0"))
	port, err := h.ListenAddrs()[0].ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	err = caddy.Load(on(2, port), true)
	if want := "address already in use, by the node of the identity before; choose other ports"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if again, _ := host.Running(); again != h || len(h.ListenAddrs()) != 1 {
		t.Error("the node before does not go on")
	}
}
