// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// testCase is one row of the page.
type testCase struct {
	Name string `json:"name"`
	// Addr is what the browser dials.
	Addr string `json:"addr"`
	// Transport is the node's module that takes it.
	Transport string `json:"transport"`
	// Refused is true if the browser must not connect.
	Refused bool `json:"refused"`
	// Called is true if the node dials the browser, which has a place at the
	// relay of Addr.
	Called bool `json:"called"`
	// STUN is true if Addr is that of a STUN server, the node on its port for
	// WebRTC, which is to tell the browser where it is.
	STUN bool `json:"stun"`
}

// throughRelay matches an address for WebRTC that a browser can signal through.
var throughRelay = regexp.MustCompile(`/ws/p2p/[^/]+/p2p-circuit/webrtc/`)

// overWebSocket matches an address without TLS that a browser can dial.
var overWebSocket = regexp.MustCompile(`/tcp/\d+/ws/`)

// overWebRTC matches an address for WebRTC that a browser can dial.
var overWebRTC = regexp.MustCompile(`^/ip4/([^/]+)/udp/(\d+)/webrtc-direct/certhash/.*`)

// overTLS is the case whose certificate no address pins.
const overTLS = "WebSocket over TLS"

// casesOf finds an address of the node for each transport of browsers. Those
// that pin a certificate are tried with another hash as well. Through the relay
// either side dials.
func casesOf(addrs, relay []string) ([]testCase, error) {
	var cases, wrong []testCase
	for _, c := range []struct{ name, transport, has string }{
		{"WebSocket", "websocket", `/tcp/\d+/ws/p2p/[^/]+$`},
		{overTLS, "websocket", `/tls/ws/`},
		{"WebTransport", "webtransport", `/webtransport/certhash/`},
		{"WebRTC direct", "webrtcdirect", overWebRTC.String()},
		{"WebRTC, signalled through a relay", "webrtc", throughRelay.String()},
	} {
		has := regexp.MustCompile(c.has)
		at := slices.IndexFunc(addrs, has.MatchString)
		if at < 0 {
			return nil, fmt.Errorf("the node has no address for %s: %q", c.name, addrs)
		}
		addr := addrs[at]
		cases = append(cases, testCase{Name: c.name, Addr: addr, Transport: c.transport})
		if other := otherHashes(addr); other != addr {
			wrong = append(wrong, testCase{Name: c.name + ", another certificate's hash", Addr: other, Transport: c.transport, Refused: true})
		}
	}
	at := slices.IndexFunc(relay, overWebSocket.MatchString)
	if at < 0 {
		return nil, fmt.Errorf("the relay has no address for browsers: %q", relay)
	}
	cases = append(cases, testCase{Name: "WebRTC, dialled by xnode", Addr: relay[at], Transport: "webrtc", Called: true})
	at = slices.IndexFunc(addrs, overWebRTC.MatchString)
	cases = append(cases, testCase{Name: "STUN", Addr: overWebRTC.ReplaceAllString(addrs[at], "stun:$1:$2"), Transport: "webrtcdirect", STUN: true})
	return append(cases, wrong...), nil
}

// certhash matches one that is in base64, up to a character in the middle of its digest.
var certhash = regexp.MustCompile(`(/certhash/u.{20})(.)`)

// otherHashes changes one character of each certificate's hash.
func otherHashes(addr string) string {
	return certhash.ReplaceAllStringFunc(addr, func(part string) string {
		last := len(part) - 1
		if part[last] == 'A' {
			return part[:last] + "B"
		}
		return part[:last] + "A"
	})
}

// keyPin returns the hash of the key in the certificate of the node's TLS port,
// in the form that Chromium takes.
func keyPin(ctx context.Context, cases []testCase) (string, error) {
	at := slices.IndexFunc(cases, func(c testCase) bool { return c.Name == overTLS })
	if at < 0 {
		return "", errors.New("no case over TLS")
	}
	parts := strings.Split(cases[at].Addr, "/")                    // "", ip4, IP, tcp, port, …
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // the certificate is to be looked at, not trusted
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(parts[2], parts[4]))
	if err != nil {
		return "", fmt.Errorf("look at the certificate of %s: %w", cases[at].Addr, err)
	}
	defer c.Close()
	sum := sha256.Sum256(c.(*tls.Conn).ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}
