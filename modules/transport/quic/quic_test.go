// SPDX-License-Identifier: Apache-2.0 OR MIT

package quic

import (
	"net"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

var (
	loopback4 = ma.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")
	loopback6 = ma.StringCast("/ip6/::1/udp/0/quic-v1")
)

// hasIPv6 tells whether the machine has an IPv6 loopback.
func hasIPv6() bool {
	c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func TestContract(t *testing.T) {
	newTransport := func(t *testing.T) core.MuxedTransport {
		return coretest.MustLoad[core.MuxedTransport](t, "quic", `{}`)
	}
	options := coretest.SessionOptions{StreamCodes: true, ConnCodes: true}
	t.Run("ip4", func(t *testing.T) { coretest.TestMuxedTransport(t, newTransport, loopback4, options) })
	if hasIPv6() {
		t.Run("ip6", func(t *testing.T) { coretest.TestMuxedTransport(t, newTransport, loopback6, options) })
	}
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return coretest.MustLoad[*Transport](t, "quic", `{}`)
	})
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Transport](t, "quic", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "everything", JSON: `{"idle_timeout": "1m", "keepalive": "10s", "handshake_timeout": "5s", "max_incoming_streams": 1000}`},
		{Name: "longest", JSON: `{"idle_timeout": "1h", "handshake_timeout": "1m", "max_incoming_streams": 65536}`},
		{Name: "shortest", JSON: `{"idle_timeout": "1s", "handshake_timeout": "1s", "max_incoming_streams": 1}`},
		{Name: "idle too short", JSON: `{"idle_timeout": "10ms"}`, WantErr: "idle_timeout 10ms: want 1s to 1h"},
		{Name: "idle too long", JSON: `{"idle_timeout": "2h"}`, WantErr: "want 1s to 1h"},
		{Name: "keepalive as long as idle", JSON: `{"idle_timeout": "20s", "keepalive": "20s"}`, WantErr: "keepalive 20s: want 500ms to half of idle_timeout, 10s"},
		{Name: "keepalive too short", JSON: `{"keepalive": "1ms"}`, WantErr: "keepalive 1ms: want 500ms"},
		{Name: "handshake too long", JSON: `{"handshake_timeout": "2m"}`, WantErr: "want 1s to 1m"},
		{Name: "streams below zero", JSON: `{"max_incoming_streams": -1}`, WantErr: "want 1 to 65536"},
		{Name: "too many streams", JSON: `{"max_incoming_streams": 65537}`, WantErr: "want 1 to 65536"},
		{Name: "number for a duration", JSON: `{"idle_timeout": 5}`, WantErr: "5 is no duration"},
		{Name: "unknown key", JSON: `{"port_reuse": true}`, WantErr: `unknown field "port_reuse"`},
	})
}

func TestDefaults(t *testing.T) {
	tr := coretest.MustLoad[*Transport](t, "quic", `{}`)
	want := Transport{
		IdleTimeout:        core.Duration(30 * time.Second),
		Keepalive:          core.Duration(15 * time.Second),
		HandshakeTimeout:   core.Duration(10 * time.Second),
		MaxIncomingStreams: 256,
	}
	if tr.settings() != want.settings() {
		t.Errorf("%+v, want %+v", tr.settings(), want.settings())
	}
}
