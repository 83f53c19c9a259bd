// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

var (
	wanted  = peer.FromPublicKey(peer.Ed25519FromSeed([32]byte{1}).Public())
	other   = peer.FromPublicKey(peer.Ed25519FromSeed([32]byte{2}).Public())
	where   = ma.StringCast("/ip4/192.0.2.1/tcp/4001")
	circuit = where.Encapsulate(ma.StringCast("/p2p/" + other.String() + "/p2p-circuit"))
	named   = ma.StringCast("/dns4/node.example/tcp/4001")
)

// failed is an attempt that ended with an error in the last of some stages.
func failed(err error, stages ...string) core.DialAttempt {
	a := core.DialAttempt{Addr: where, Outcome: core.DialFailed, Err: err}
	for _, s := range stages {
		a.Steps = append(a.Steps, core.DialStep{Name: s})
	}
	return a
}

func skipped(err error) core.DialAttempt {
	return core.DialAttempt{Addr: where, Outcome: core.DialSkipped, Err: err}
}

func behind(addr ma.Multiaddr, a core.DialAttempt) core.DialAttempt {
	a.Addr = addr
	return a
}

// timeout is an error of a deadline.
type timeout struct{}

func (timeout) Error() string   { return "no answer within 5s" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func TestVerdicts(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("/noise: %w", err) }
	upgrade := []string{"dial", "negotiate security", "handshake"}
	cancelled := failed(nil, upgrade...)
	cancelled.Outcome = core.DialCancelled
	for name, test := range map[string]struct {
		attempts []core.DialAttempt
		names    []error
		cause    error
		code     string
		says     []string // in the sentence and the hint
	}{
		"closed port":          {[]core.DialAttempt{failed(syscall.ECONNREFUSED, "dial")}, nil, nil, "refused", []string{"/ip4/192.0.2.1/tcp/4001 refuses connections", "start the node"}},
		"wrong peer":           {[]core.DialAttempt{failed(wrap(&core.PeerMismatchError{Want: wanted, Got: other}), upgrade...)}, nil, nil, "wrong_peer", []string{other.String(), wanted.String(), "/ip4/192.0.2.1/tcp/4001/p2p/" + other.String()}},
		"TLS only":             {[]core.DialAttempt{failed(wrap(&core.ProtocolError{Protocols: []string{"/noise"}}), upgrade...)}, nil, nil, "no_security", []string{"none of this node's security protocols", "tls"}},
		"TLS only, eager":      {[]core.DialAttempt{failed(wrap(&core.ProtocolError{Protocols: []string{"/noise"}}), upgrade[:2]...)}, nil, nil, "no_security", nil},
		"other muxer":          {[]core.DialAttempt{failed(&core.ProtocolError{}, "dial", "handshake", "negotiate muxer")}, nil, nil, "no_muxer", []string{"muxers"}},
		"unresolvable":         {nil, []error{&net.DNSError{Err: "no such host", IsNotFound: true}}, nil, "no_name", []string{"/dns4/node.example/tcp/4001 does not exist", "_dnsaddr.NAME"}},
		"DNS down":             {nil, []error{&net.DNSError{Err: "server misbehaving"}}, nil, "dns", []string{"cannot be looked up"}},
		"DNS times out":        {nil, []error{timeout{}}, nil, "dns", nil},
		"silent after connect": {[]core.DialAttempt{failed(wrap(timeout{}), upgrade...)}, nil, nil, "silent", []string{"accepts connections", "does not answer"}},
		"silent, given up":     {[]core.DialAttempt{cancelled}, nil, context.Canceled, "silent", nil},
		"packets dropped":      {[]core.DialAttempt{failed(timeout{}, "dial")}, nil, nil, "timeout", []string{"does not answer", "firewall"}},
		"hangs up":             {[]core.DialAttempt{failed(wrap(io.ErrUnexpectedEOF), upgrade...)}, nil, nil, "closed", []string{"closed the connection", "gater"}},
		"reset":                {[]core.DialAttempt{failed(wrap(syscall.ECONNRESET), upgrade...)}, nil, nil, "closed", nil},
		"a web server":         {[]core.DialAttempt{failed(errors.New(`malformed negotiation: got "HTTP/1.1"`), upgrade...)}, nil, nil, "not_libp2p", []string{"another program"}},
		"bad handshake":        {[]core.DialAttempt{failed(errors.New("noise: bad tag"), upgrade...)}, nil, nil, "handshake", nil},
		"no route":             {[]core.DialAttempt{failed(syscall.ENETUNREACH, "dial")}, nil, nil, "unreachable", []string{"IPv6"}},
		"host unreachable":     {[]core.DialAttempt{failed(syscall.EHOSTUNREACH, "dial")}, nil, nil, "unreachable", nil},
		"no transport":         {[]core.DialAttempt{skipped(core.ErrNoTransport)}, nil, nil, "no_transport", []string{"list-modules"}},
		"no way to relays":     {[]core.DialAttempt{behind(circuit, skipped(core.ErrNoTransport))}, nil, nil, "no_relay", []string{"no way through relays", "xnode.nat.relay", "list-modules"}},
		"relay is down":        {[]core.DialAttempt{behind(circuit, failed(syscall.ECONNREFUSED, "dial"))}, nil, nil, "relay", []string{"makes no connection", "before /p2p-circuit"}},
		"no place there":       {[]core.DialAttempt{behind(circuit, failed(wrap(core.ErrNoReservation), "dial"))}, nil, nil, "no_reservation", []string{"no place at the relay in " + circuit.String()}},
		"not who is behind":    {[]core.DialAttempt{behind(circuit, failed(wrap(&core.PeerMismatchError{Want: wanted, Got: other}), upgrade...))}, nil, nil, "wrong_peer", nil},
		"backoff":              {[]core.DialAttempt{skipped(core.ErrBackoff)}, nil, nil, "backoff", nil},
		"gated address":        {[]core.DialAttempt{skipped(fmt.Errorf("deny: %w", core.ErrGated))}, nil, nil, "gated", []string{"gater"}},
		"gated peer":           {nil, nil, core.ErrGated, "gated", nil},
		"limit":                {[]core.DialAttempt{failed(&core.LimitError{Knob: "limits.connections"})}, nil, nil, "limit", []string{"raise limits.connections"}},
		"oneself":              {nil, nil, core.ErrSelf, "self", nil},
		"no addresses":         {nil, nil, core.ErrNoAddrs, "no_addrs", []string{"/p2p/ID"}},
		"time up":              {nil, nil, fmt.Errorf("gave up: %w", context.DeadlineExceeded), "timeout", []string{"--timeout"}},
		"cancelled":            {nil, nil, context.Canceled, "cancelled", nil},
		"unknown":              {[]core.DialAttempt{failed(errors.New("odd"), "dial")}, nil, nil, "failed", []string{"/ip4/192.0.2.1/tcp/4001 could not be reached"}},
		"the more telling one": {[]core.DialAttempt{failed(timeout{}, "dial"), failed(wrap(&core.PeerMismatchError{Want: wanted, Got: other}), upgrade...), failed(syscall.ECONNREFUSED, "dial")}, nil, nil, "wrong_peer", nil},
		"refused over skipped": {[]core.DialAttempt{skipped(core.ErrNoTransport), failed(syscall.ECONNREFUSED, "dial")}, nil, nil, "refused", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := &core.DialRecord{Peer: wanted, Attempts: test.attempts}
			for _, err := range test.names {
				r.Resolved = append(r.Resolved, core.DialResolution{Addr: named, Err: err})
			}
			story := tell("target", r, &core.DialError{Record: r, Cause: test.cause})
			if story.Connected || story.Code != test.code {
				t.Fatalf("%+v, want code %s", story, test.code)
			}
			for _, want := range test.says {
				if !strings.Contains(story.Verdict+"\n"+story.Hint, want) {
					t.Errorf("verdict %q, hint %q: want %q in it", story.Verdict, story.Hint, want)
				}
			}
			if strings.Contains(story.Verdict+story.Hint, "%!") || story.Hint == "" && test.code != "cancelled" {
				t.Errorf("verdict %q, hint %q", story.Verdict, story.Hint)
			}
		})
	}
}

func TestTellOfSuccess(t *testing.T) {
	connected := core.DialAttempt{Addr: where, Outcome: core.DialConnected}
	r := &core.DialRecord{Peer: wanted, Attempts: []core.DialAttempt{failed(syscall.ECONNREFUSED, "dial"), connected}}
	story := tell("target", r, nil)
	if !story.Connected || story.Code != "connected" || story.Verdict != "connected at /ip4/192.0.2.1/tcp/4001" || story.Hint != "" {
		t.Errorf("%+v", story)
	}
}

func TestTellEscapes(t *testing.T) {
	err := errors.New("peer says \x1b[2J\nhello")
	r := &core.DialRecord{Peer: wanted, Attempts: []core.DialAttempt{failed(err, "dial")}}
	story := tell("tar\x1bget", r, &core.DialError{Record: r})
	for _, text := range []string{story.Target, story.Attempts[0].Error} {
		if strings.ContainsAny(text, "\x1b\n") {
			t.Errorf("%q", text)
		}
	}
}

func TestVerdictsOfLookups(t *testing.T) {
	for _, test := range []struct {
		attempts []core.DialAttempt
		err      error
		code     string
	}{
		{nil, core.ErrNotFound, "not_found"},
		{nil, core.ErrBackoff, "not_found"},
		{nil, timeout{}, "lookup"},
		{[]core.DialAttempt{failed(syscall.ECONNREFUSED, "dial")}, core.ErrNotFound, "refused"},
	} {
		r := &core.DialRecord{Peer: wanted, Attempts: test.attempts, Resolved: []core.DialResolution{{Addr: peer.JoinAddr(nil, wanted), Err: test.err}}}
		story := tell("target", r, &core.DialError{Record: r, Cause: core.ErrNoAddrs})
		if story.Code != test.code || story.Hint == "" || strings.Contains(story.Verdict, "%") || story.Resolved[0].Addr != "/p2p/"+wanted.String() {
			t.Errorf("%v: %+v, want code %s", test.err, story, test.code)
		}
	}
}
