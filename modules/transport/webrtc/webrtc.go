// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package webrtc connects two nodes directly of which neither can be dialled, such
// as two browsers, or a browser and a node behind a router,
// https://github.com/libp2p/specs/blob/master/webrtc/webrtc.md.
//
//	{"transports": {"webrtc": {"stun": ["stun:stun.example.org:3478"]}}, "nat": {"relay": {}}, "listen": ["/p2p-circuit", "/webrtc"]}
//
// The two find a way to each other with ICE (RFC 8445), and speak over WebRTC data
// channels from then on. What they must know of each other for that they tell over
// a connection through a relay; such an address is …/p2p-circuit/webrtc. There is
// no Noise handshake in it: who the other side is was proven on the relayed
// connection, and what is said there includes the hash of the certificate that
// the DTLS handshake then shows. A relayed connection that was made for this alone
// is closed afterwards.
//
// There are no STUN or TURN servers by default, which are other people's: without
// any, nodes connect that are on one network, or of which one has a public
// address. Candidates that are names (mDNS) are not looked up; browsers that hide
// their addresses behind them are reached all the same, since they send first.
//
// A way that is lost is used again when it is back. There is no new one for the same
// connection (ICE restart), since the specification ends the signalling once two are
// connected: after idle_timeout the connection is closed, and can be made anew.
// ICE is pion's work, as are DTLS handshakes and SCTP.
package webrtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/pion/stun/v4"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func init() { core.Register(new(Transport), core.Alpha) }

// SignallingID is the protocol on which two nodes tell each other how to connect.
const SignallingID = "/webrtc-signaling/0.0.1"

var (
	suffix = ma.StringCast("/webrtc")

	errShape      = errors.New("want /webrtc or …/p2p-circuit/webrtc")
	errNotStarted = errors.New("the transport is not started")
	errTimeout    = fmt.Errorf("connecting took too long: %w", os.ErrDeadlineExceeded)
)

// Transport is the module. It must not be changed after Provision.
type Transport struct {
	// STUN servers tell the node at which addresses it is seen from outside,
	// such as "stun:stun.example.org:3478". They learn that it connects to
	// somebody. At most 8. Placeholders are replaced. Default: none.
	STUN []string `json:"stun,omitempty"`
	// TURN servers relay packets between nodes that reach each other in no
	// other way. At most 8. Default: none.
	TURN []*TURN `json:"turn,omitempty"`
	// How long connecting may take, from the first word to the remote until
	// there is a connection. From 1s to 5m. Default: "20s".
	HandshakeTimeout core.Duration `json:"handshake_timeout,omitempty"`
	// How many inbound connections may be made at a time. More are refused. At
	// most 1024. Default: 32.
	MaxHandshakes int `json:"max_handshakes,omitempty"`
	// How long a connection may be silent until it is closed. The two sides ask
	// each other every two seconds whether they are there. From 10s to 1h.
	// Default: "30s".
	IdleTimeout core.Duration `json:"idle_timeout,omitempty"`
	// How many streams the remote may have open at a time on one connection.
	// A stream beyond that is reset; with four times as many that the remote
	// does not let go the connection is closed. At most 16,384. Default: 1000.
	MaxIncomingStreams int `json:"max_incoming_streams,omitempty"`
	// How much a remote may send on one connection that is not read yet; it
	// bounds the speed of connections over long distances. Each connection
	// takes it from the node's memory. From 64KiB to 64MiB.
	// Default: "256KiB".
	ReceiveBuffer core.Size `json:"receive_buffer,omitempty"`

	log  *slog.Logger
	stun []*stun.URI

	// Set by Start.
	node        core.Node
	certificate *certificate
	servers     servers
	ctx         context.Context // ends with Close
	cancel      context.CancelFunc

	mu     sync.Mutex // guards closed, and wg against it
	closed bool
	wg     sync.WaitGroup
}

// CaddyModule implements [caddy.Module].
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.transport.webrtc", New: func() caddy.Module { return new(Transport) }}
}

// Provision implements [caddy.Provisioner]. It sets defaults and reads addresses
// of servers.
func (t *Transport) Provision(ctx caddy.Context) error {
	t.log = core.Logger(ctx)
	setDefault(&t.HandshakeTimeout, core.Duration(20*time.Second))
	setDefault(&t.MaxHandshakes, 32)
	setDefault(&t.IdleTimeout, core.Duration(30*time.Second))
	setDefault(&t.MaxIncomingStreams, 1000)
	setDefault(&t.ReceiveBuffer, 256<<10)
	var errs []error
	for i, text := range t.STUN {
		u, err := parseSTUN(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("stun/%d: %w", i, err))
		}
		t.stun = append(t.stun, u)
	}
	for i, s := range t.TURN {
		if s == nil {
			errs = append(errs, fmt.Errorf("turn/%d: it is null; write an object with url, username and password_file", i))
		} else if err := s.provision(); err != nil {
			errs = append(errs, fmt.Errorf("turn/%d/%w", i, err))
		}
	}
	return errors.Join(errs...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate implements [caddy.Validator].
func (t *Transport) Validate() error {
	for _, check := range []struct {
		key              string
		value, low, high int64
		text             func(int64) string
	}{
		{"stun", int64(len(t.STUN)), 0, maxServers, servings},
		{"turn", int64(len(t.TURN)), 0, maxServers, servings},
		{"handshake_timeout", int64(t.HandshakeTimeout), int64(time.Second), int64(5 * time.Minute), duration},
		{"max_handshakes", int64(t.MaxHandshakes), 1, 1024, number},
		{"idle_timeout", int64(t.IdleTimeout), int64(10 * time.Second), int64(time.Hour), duration},
		{"max_incoming_streams", int64(t.MaxIncomingStreams), 1, 1 << 14, number},
		{"receive_buffer", int64(t.ReceiveBuffer), 64 << 10, 64 << 20, size},
	} {
		if check.value < check.low || check.value > check.high {
			return fmt.Errorf("%s: %s is not from %s to %s", check.key,
				check.text(check.value), check.text(check.low), check.text(check.high))
		}
	}
	return nil
}

func number(v int64) string   { return fmt.Sprint(v) }
func servings(v int64) string { return fmt.Sprintf("%d servers", v) }
func duration(v int64) string { return core.Duration(v).String() }
func size(v int64) string     { return core.Size(v).String() }

// Start implements [core.Service]. It makes a certificate, and reads the passwords
// of servers.
func (t *Transport) Start(_ context.Context, n core.Node) (err error) {
	if t.certificate, err = newCertificate(); err != nil {
		return fmt.Errorf("webrtc: %w", err)
	}
	t.servers = servers{all: slices.Clone(t.stun)}
	for i, s := range t.TURN {
		u, err := s.load()
		if err != nil {
			return fmt.Errorf("webrtc: turn/%d/password_file: %w", i, err)
		}
		t.servers.all, t.servers.turn = append(t.servers.all, u), true
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.node = n
	return nil
}

// Close implements [core.Service]. Connections belong to who has accepted or
// dialled them, and end by themselves.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	if t.cancel != nil {
		t.cancel()
	}
	t.wg.Wait()
	return nil
}

// run runs f in the background until Close, with a context that ends then.
func (t *Transport) run(f func(context.Context)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.wg.Go(func() { f(t.ctx) })
	}
}

// Match implements [core.Transport].
func (*Transport) Match(a ma.Multiaddr) bool {
	_, ok := splitAddress(a)
	return ok
}

// splitAddress parts /webrtc from what is before it: nothing, or the address of a
// peer behind a relay.
func splitAddress(a ma.Multiaddr) (circuit ma.Multiaddr, ok bool) {
	n := len(a)
	if n == 0 || a[n-1].Code() != ma.P_WEBRTC || n > 1 && a[n-2].Code() != ma.P_CIRCUIT {
		return nil, false
	}
	if n == 1 {
		return nil, true
	}
	return a[:n-1], true
}

// Dial implements [core.MuxedTransport].
func (t *Transport) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID, m core.ConnMemory) (core.MuxedConn, error) {
	c, err := t.dial(ctx, a, p, m)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Listen implements [core.MuxedTransport].
func (t *Transport) Listen(a ma.Multiaddr, admit core.Admit) (core.MuxedListener, error) {
	l, err := t.listen(a, admit)
	if err != nil {
		return nil, err
	}
	return l, nil
}

var (
	_ core.MuxedTransport = (*Transport)(nil)
	_ core.Service        = (*Transport)(nil)
	_ caddy.Provisioner   = (*Transport)(nil)
	_ caddy.Validator     = (*Transport)(nil)
)
