// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcp

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

var (
	loopback4 = ma.StringCast("/ip4/127.0.0.1/tcp/0")
	loopback6 = ma.StringCast("/ip6/::1/tcp/0")
	any4      = ma.StringCast("/ip4/0.0.0.0/tcp/0")
)

// hasIPv6 tells whether the machine has an IPv6 loopback.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func load(t *testing.T, config string) *Transport {
	t.Helper()
	return coretest.MustLoad[*Transport](t, "tcp", config)
}

func TestContract(t *testing.T) {
	for name, config := range map[string]string{"default": `{}`, "no reuse": `{"no_reuse": true, "keepalive": "1m"}`} {
		t.Run(name, func(t *testing.T) {
			tr := coretest.MustLoad[core.RawTransport](t, "tcp", config)
			options := coretest.RawOptions{New: func(t *testing.T) core.RawTransport {
				return coretest.MustLoad[core.RawTransport](t, "tcp", config)
			}}
			t.Run("ip4", func(t *testing.T) { coretest.TestRawTransport(t, tr, loopback4, options) })
			if hasIPv6() {
				t.Run("ip6", func(t *testing.T) { coretest.TestRawTransport(t, tr, loopback6, options) })
			}
		})
	}
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service { return load(t, `{}`) })
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Transport](t, "tcp", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "everything", JSON: `{"connect_timeout": "2s", "keepalive": "1m", "no_reuse": true}`},
		{Name: "longest keepalive", JSON: `{"keepalive": "9h"}`},
		{Name: "keepalive too short", JSON: `{"keepalive": "10ms"}`, WantErr: "keepalive 10ms: want 1s to 9h"},
		{Name: "keepalive too long", JSON: `{"keepalive": "10h"}`, WantErr: "want 1s to 9h"},
		{Name: "number for a duration", JSON: `{"connect_timeout": 5}`, WantErr: "5 is no duration"},
		{Name: "no unit", JSON: `{"connect_timeout": "5"}`, WantErr: `"5" is no duration`},
		{Name: "negative", JSON: `{"connect_timeout": "-5s"}`, WantErr: `"-5s" is no duration`},
		{Name: "string for a boolean", JSON: `{"no_reuse": "yes"}`, WantErr: "cannot unmarshal string"},
		{Name: "unknown key", JSON: `{"port_reuse": true}`, WantErr: `unknown field "port_reuse"`},
	})
}

func TestDefaults(t *testing.T) {
	tr := coretest.MustLoad[*Transport](t, "tcp", `{}`)
	if tr.ConnectTimeout != core.Duration(5*time.Second) || tr.Keepalive != core.Duration(15*time.Second) {
		t.Errorf("%v, %v", tr.ConnectTimeout, tr.Keepalive)
	}
}

func TestEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"/ip4/192.0.2.1/tcp/4001":             "192.0.2.1:4001",
		"/ip6/2001:db8::1/tcp/65535":          "[2001:db8::1]:65535",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1":     "[fe80::1%eth0]:1",
		"/ip6/::ffff:192.0.2.1/tcp/1":         "192.0.2.1:1",
		"/ip4/0.0.0.0/tcp/0":                  "0.0.0.0:0",
		"/ip4/192.0.2.1/udp/1":                "",
		"/ip4/192.0.2.1/tcp/1/ws":             "",
		"/ip4/192.0.2.1":                      "",
		"/tcp/1":                              "",
		"/tcp/1/ip4/192.0.2.1":                "",
		"/dns/example.com/tcp/1":              "",
		"/ip6zone/eth0/ip4/192.0.2.1/tcp/1":   "",
		"/ip4/192.0.2.1/tcp/1/ip4/1.2.3.4":    "",
		"/ip4/192.0.2.1/ipcidr/24":            "",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1/tls": "",
	} {
		got, err := endpoint(ma.StringCast(text))
		switch {
		case want == "" && err == nil:
			t.Errorf("%s: %v, want an error", text, got)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%s: %v, %v; want %s", text, got, err, want)
		}
	}
	if _, err := endpoint(nil); err == nil {
		t.Error("nil is no endpoint")
	}
}

func TestErrorsAreClear(t *testing.T) {
	tr := coretest.MustLoad[*Transport](t, "tcp", `{}`)
	l, err := tr.Listen(loopback4)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = tr.Listen(l.Multiaddr())
	if want := "listen " + l.Multiaddr().String() + ": address already in use"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v is not EADDRINUSE", err)
	}
	elsewhere := ma.StringCast("/ip4/192.0.2.1/tcp/0")
	if _, err := tr.Listen(elsewhere); err == nil || !strings.HasPrefix(err.Error(), "listen /ip4/192.0.2.1/tcp/0: ") {
		t.Errorf("an address of another machine: %v", err)
	}
	l.Close()
	_, err = tr.Dial(t.Context(), l.Multiaddr())
	if !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "connection refused" {
		t.Errorf("dial a closed port: %v", err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	var ne net.Error
	if _, err := tr.Dial(ctx, l.Multiaddr()); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("dial too late: %v, want a timeout", err)
	}
}
