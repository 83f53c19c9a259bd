// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// transport is one word of --transport: the module behind it and the shape of
// its addresses.
type transport struct {
	name   string
	module string
	socket string // tcp or udp: transports on one socket type take ports of their own
	suffix string // what follows the port in a listen address
}

func transports() []transport {
	return []transport{
		{"tcp", "tcp", "tcp", ""},
		{"ws", "websocket", "tcp", "/ws"},
		{"wss", "websocket", "tcp", "/tls/ws"},
		{"quic", "quic", "udp", "/quic-v1"},
		{"webtransport", "webtransport", "udp", "/quic-v1/webtransport"},
		{"webrtc-direct", "webrtcdirect", "udp", "/webrtc-direct"},
	}
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
	switch name {
	case "webrtc":
		return transport{}, absent("--transport " + name)
	case "memory":
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
	}{{ma.P_WEBTRANSPORT, "webtransport"}, {ma.P_QUIC_V1, "quic"}, {ma.P_WEBRTC_DIRECT, "webrtc-direct"}, {ma.P_WSS, "wss"}, {ma.P_WS, "ws"}} {
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
// if it names none.
func (o *options) transportsFor(a ma.Multiaddr) ([]transport, error) {
	if len(o.transports) == 0 {
		t, err := transportOf(a)
		return []transport{t}, err
	}
	return o.namedTransports()
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

// listenAddrs returns one address a transport. A fixed port goes to the first
// transport on TCP and the first on UDP; each further one on the same sort of
// socket takes the next port.
func listenAddrs(ts []transport, ip string, port int) ([]ma.Multiaddr, error) {
	at, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, usagef("--ip %q: not an IP address", ip)
	}
	family := "ip6"
	if at.Is4() {
		family = "ip4"
	}
	taken := map[string]int{}
	var addrs []ma.Multiaddr
	for _, t := range ts {
		own := 0
		if port != 0 {
			own = port + taken[t.socket]
			taken[t.socket]++
		}
		a, err := ma.NewMultiaddr(fmt.Sprintf("/%s/%s/%s/%d%s", family, at, t.socket, own, t.suffix))
		if err != nil {
			return nil, usagef("--ip %s --port %d: %w", ip, port, err)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// layers names what a connection is made of, in the words of the command line.
// A transport that secures and multiplexes itself is its own muxer.
type layers struct {
	Transport string `json:"transport"`
	Security  string `json:"security"`
	Muxer     string `json:"muxer"`
}

func layersOf(c core.Conn) layers {
	stat := c.Stat()
	l := layers{Transport: stat.Transport, Security: word(stat.Security), Muxer: word(stat.Muxer)}
	if t, err := transportOf(c.RemoteMultiaddr()); err == nil {
		l.Transport = t.name
	}
	if l.Muxer == "" {
		l.Muxer = l.Transport
	}
	if l.Security == "" {
		l.Security = "tls"
		if l.Transport == "webrtc-direct" || l.Transport == "webtransport" {
			l.Security = "noise"
		}
	}
	return l
}

// word is the first part of a protocol ID: noise of /noise, yamux of /yamux/1.0.0.
func word(protocol string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(protocol, "/"), "/")
	return name
}
