// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"strings"

	"github.com/xnode-p2p/xnode/core"
)

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
		switch l.Transport {
		case "webrtc-direct", "webtransport":
			l.Security = "noise"
		case "webrtc":
			l.Security = "dtls"
		default:
			l.Security = "tls"
		}
	}
	return l
}

// word is the first part of a protocol ID: noise of /noise, yamux of /yamux/1.0.0.
func word(protocol string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(protocol, "/"), "/")
	return name
}
