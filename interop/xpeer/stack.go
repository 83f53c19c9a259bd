// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// transport is one word of --transport: the module behind it and the shape of
// its addresses.
type transport struct {
	name   string
	module string
	socket string // tcp or udp; empty if it is reached through a relay
	suffix string // what follows the port in a listen address, or is all of it
	// config is the module's. Where two transports are of one module, the
	// later one's is good for both.
	config string
}

func transports() []transport {
	return []transport{
		{"tcp", "tcp", "tcp", "", "{}"},
		{"ws", "websocket", "tcp", "/ws", "{}"},
		{"wss", "websocket", "tcp", "/tls/ws", wssConfig},
		{"quic", "quic", "udp", "/quic-v1", "{}"},
		{"webtransport", "webtransport", "udp", "/quic-v1/webtransport", "{}"},
		{"webrtc-direct", "webrtcdirect", "udp", "/webrtc-direct", "{}"},
		{"webrtc", "webrtc", "", "/webrtc", "{}"},
	}
}

// wssConfig makes a certificate that nobody trusts, and trusts those of others.
const wssConfig = `{"certificate": {"module": "selfsigned"}, "insecure_skip_tls_verify": true}`

// moduleConfigs returns the configurations of the modules that transports need.
func moduleConfigs(named []transport) map[string]json.RawMessage {
	configs := map[string]json.RawMessage{}
	for _, t := range transports() {
		if slices.ContainsFunc(named, func(n transport) bool { return n.name == t.name }) {
			configs[t.module] = json.RawMessage(t.config)
		}
	}
	return configs
}

// transportNamed returns the transport of a word, if its module is in this build.
func transportNamed(name string) (transport, error) {
	for _, t := range transports() {
		switch {
		case t.name != name:
		case !inBuild[core.Transport](t.module):
			return transport{}, absent("--transport " + name)
		default:
			return t, nil
		}
	}
	if name == "memory" {
		return transport{}, fmt.Errorf("--transport memory: reaches nothing outside this process: %w", errAbsent)
	}
	return transport{}, usagef("--transport %q: no such transport", name)
}

// transportOf returns the transport that an address is for.
func transportOf(a ma.Multiaddr) (transport, error) {
	var codes []int
	for _, p := range a.Protocols() {
		codes = append(codes, p.Code)
	}
	name := "tcp"
	for _, c := range []struct {
		code int
		name string
	}{{ma.P_WEBRTC, "webrtc"}, {ma.P_WEBTRANSPORT, "webtransport"}, {ma.P_QUIC_V1, "quic"}, {ma.P_WEBRTC_DIRECT, "webrtc-direct"}, {ma.P_WSS, "wss"}, {ma.P_WS, "ws"}} {
		if slices.Contains(codes, c.code) {
			name = c.name
			break
		}
	}
	if name == "ws" && slices.Contains(codes, ma.P_TLS) {
		name = "wss"
	}
	return transportNamed(name)
}

// transportsFor returns the transports that --transport names, or the one of a
// if it names none; and that of the relay that a is behind.
func (o *options) transportsFor(a ma.Multiaddr) ([]transport, error) {
	found, err := o.namedTransports()
	if err != nil {
		return nil, err
	}
	ways := []ma.Multiaddr{a}
	if at := circuit(a); at >= 0 {
		ways = append(ways, a[:at])
	}
	for i, way := range ways {
		t, err := transportOf(way)
		switch {
		case err != nil:
			return nil, err
		case i > 0 || len(found) == 0:
			found = append(found, t)
		}
	}
	return found, nil
}

func (o *options) namedTransports() ([]transport, error) {
	var found []transport
	for _, name := range o.transports {
		t, err := transportNamed(name)
		if err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	return found, nil
}

// securities returns the modules that --security names, the preferred one first.
func (o *options) securities() ([]string, error) {
	switch o.security {
	case "":
		var found []string
		for _, name := range []string{"tls", "noise"} {
			if inBuild[core.Security](name) {
				found = append(found, name)
			}
		}
		return found, nil
	case "both":
		return present[core.Security]("--security", "tls", "noise")
	case "noise", "tls", "plaintext":
		return present[core.Security]("--security", o.security)
	}
	return nil, usagef("--security %q: want noise, tls, plaintext or both", o.security)
}

// muxers returns the modules that --muxer names.
func (o *options) muxers() ([]string, error) {
	switch o.muxer {
	case "yamux", "mplex":
		return present[core.Muxer]("--muxer", o.muxer)
	}
	return nil, usagef("--muxer %q: want yamux or mplex", o.muxer)
}

func present[T any](flag string, names ...string) ([]string, error) {
	for _, name := range names {
		if !inBuild[T](name) {
			return nil, absent(flag + " " + name)
		}
	}
	return names, nil
}

func inBuild[T any](module string) bool {
	_, err := caddy.GetModule(core.Namespace[T]() + "." + module)
	return err == nil
}
