// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/wire"
)

// verdict is what a dial comes to.
type verdict struct{ code, sentence, hint string }

// symptom is why an address, a name or a whole dial came to nothing.
type symptom struct {
	err error
	// stage is the last step of the attempt; "resolve" for a name, "skip" for
	// an address that was not tried, empty for the dial itself.
	stage string
	// addr is what it concerns.
	addr ma.Multiaddr
}

// rule recognises a symptom. The sentence may have one %s: the address.
type rule struct {
	code     string
	match    func(symptom) bool
	sentence string
	hint     string
}

// rules stand in the order of what they tell: of several symptoms the one that
// an earlier rule recognises makes the verdict.
var rules = []rule{
	{"self", is(core.ErrSelf), "this is the node itself", "name another peer"},
	{"gated", is(core.ErrGated), "the gater of this node refuses it", "change the section gater of this node's configuration"},
	{"limit", as[*core.LimitError], "a limit of this node is reached", "raise the limit that the error names, or close connections"},
	{"wrong_peer", as[*core.PeerMismatchError], "another peer answers at %s", "the address is right but the peer ID is not: take the ID that the error names if you trust it, or ask for the peer's new address"},
	{"no_security", both(at("handshake", "negotiate security"), as[*core.ProtocolError]), "the peer at %s speaks none of this node's security protocols", "the error names what was offered; add what the peer speaks to security, such as tls, on one of the two sides"},
	{"no_muxer", both(at("negotiate muxer"), as[*core.ProtocolError]), "the peer at %s speaks none of this node's muxers", "add a muxer that the peer speaks to muxers, on one of the two sides"},
	{"silent", both(upgrading, timedOut), "%s accepts connections, but whoever listens there does not answer", "either that is no libp2p node, or it is overloaded: check that its port is the one of this transport"},
	{"closed", both(upgrading, hungUp), "the peer at %s closed the connection during the handshake", "it may refuse this node (gater, limits, private network) or not be a libp2p node: see its logs"},
	{"not_libp2p", both(upgrading, saysOtherwise), "what answers at %s does not speak libp2p", "check the port: another program seems to listen there"},
	{"handshake", upgrading, "the handshake with %s failed", "the error says where; see the logs of the peer"},
	{"no_reservation", both(behindRelay, is(core.ErrNoReservation)), "the peer has no place at the relay in %s", "it is not connected to that relay any more: ask for its new address"},
	{"relay", both(behindRelay, at("dial")), "the relay in %s makes no connection", "the error says why; to see how far it goes, trace a dial of the relay itself, which is what stands before /p2p-circuit"},
	{"refused", is(syscall.ECONNREFUSED), "%s refuses connections: nothing listens there", "start the node there, check the port, and open it in the firewall of that machine"},
	{"timeout", both(at("dial"), timedOut), "%s does not answer", "the machine is down, or a firewall or NAT drops the packets: forward the port, or reach the peer through a relay"},
	{"unreachable", unreachable, "there is no way to %s from here", "check this machine's network, and whether it has addresses of that family (IPv4, IPv6)"},
	{"not_found", both(lookedUp, is(core.ErrNotFound)), "no address of the peer is known, and nobody who was asked knows one", "the peer may be offline; if you know its address, give one that ends in /p2p/ID"},
	{"not_found", both(lookedUp, is(core.ErrBackoff)), "the peer was looked for lately, and not found", "try again in a while, or give an address that ends in /p2p/ID"},
	{"lookup", lookedUp, "the peer could not be looked for", "the error says why; give an address that ends in /p2p/ID"},
	{"no_name", both(at("resolve"), notFound), "the name in %s does not exist", "check the spelling; a /dnsaddr needs TXT records at _dnsaddr.NAME"},
	{"dns", at("resolve"), "the name in %s cannot be looked up", "check this machine's DNS; the error says what it answered"},
	{"no_relay", both(behindRelay, is(core.ErrNoTransport)), "this node has no way through relays, and %s is behind one", "add relay to nat, or build it in if 'xnode list-modules' does not list xnode.nat.relay"},
	{"no_transport", is(core.ErrNoTransport), "this node has no transport for %s", "add the transport to transports, or build it in if 'xnode list-modules' does not list it"},
	{"backoff", is(core.ErrBackoff), "%s failed lately and is left alone for a while", "name the address in the command to try it at once"},
	{"no_addrs", is(core.ErrNoAddrs), "no address of the peer is known", "give an address that ends in /p2p/ID"},
	{"timeout", timedOut, "the time was up before the peer answered", "allow more with --timeout"},
	{"cancelled", is(context.Canceled), "the dial was given up", ""},
	{"failed", func(symptom) bool { return true }, "%s could not be reached", "the error says why"},
}

// judge makes the verdict of a dial.
func judge(r *core.DialRecord, err error) verdict {
	if err == nil {
		return success(r)
	}
	symptoms := symptomsOf(r, err)
	for _, rule := range rules {
		for _, s := range symptoms {
			if rule.match(s) {
				return rule.verdict(s, r)
			}
		}
	}
	return verdict{"no_addrs", "no address of the peer is known", "give an address that ends in /p2p/ID"}
}

func success(r *core.DialRecord) verdict {
	for _, a := range r.Attempts {
		if a.Outcome == core.DialConnected {
			return verdict{code: "connected", sentence: "connected at " + text(a.Addr)}
		}
	}
	return verdict{code: "connected", sentence: "connected"}
}

func (r rule) verdict(s symptom, record *core.DialRecord) verdict {
	sentence := r.sentence
	if strings.Contains(sentence, "%s") {
		where := "the peer"
		if s.addr != nil {
			where = text(s.addr)
		}
		sentence = fmt.Sprintf(sentence, where)
	}
	hint := r.hint
	var wrong *core.PeerMismatchError
	if errors.As(s.err, &wrong) && s.addr != nil {
		sentence = fmt.Sprintf("another peer answers at %s: %s, not %s", text(s.addr), wrong.Got, record.Peer)
		hint = fmt.Sprintf("if that is the peer you mean, use %s/p2p/%s; else ask it for its new address", text(s.addr), wrong.Got)
	}
	var limit *core.LimitError
	if errors.As(s.err, &limit) {
		hint = "raise " + wire.Text(limit.Knob, maxName) + ", or close connections"
	}
	return verdict{r.code, sentence, hint}
}

func symptomsOf(r *core.DialRecord, err error) []symptom {
	var list []symptom
	for _, a := range r.Attempts {
		s := symptom{err: a.Err, stage: "skip", addr: a.Addr}
		if a.Outcome != core.DialSkipped {
			s.stage = "dial"
			if n := len(a.Steps); n > 0 {
				s.stage = a.Steps[n-1].Name
			}
		}
		if a.Outcome == core.DialCancelled && len(a.Steps) > 0 {
			// The whole dial ended while this address was tried.
			s.err = context.DeadlineExceeded
		}
		if s.err != nil {
			list = append(list, s)
		}
	}
	for _, n := range r.Resolved {
		if n.Err != nil {
			list = append(list, symptom{err: n.Err, stage: "resolve", addr: n.Addr})
		}
	}
	if cause := causeOf(err); cause != nil {
		list = append(list, symptom{err: cause})
	}
	return list
}

// Conditions of rules.

func is(target error) func(symptom) bool {
	return func(s symptom) bool { return errors.Is(s.err, target) }
}

func as[E error](s symptom) bool {
	_, ok := errors.AsType[E](s.err)
	return ok
}

func at(stages ...string) func(symptom) bool {
	return func(s symptom) bool { return slices.Contains(stages, s.stage) }
}

func both(a, b func(symptom) bool) func(symptom) bool {
	return func(s symptom) bool { return a(s) && b(s) }
}

// upgrading: there was a connection, and the two ends were agreeing on it.
func upgrading(s symptom) bool {
	return s.stage == "handshake" || strings.HasPrefix(s.stage, "negotiate ")
}

// behindRelay: the address is one through a relay.
func behindRelay(s symptom) bool {
	return slices.ContainsFunc(s.addr, func(c ma.Component) bool { return c.Code() == ma.P_CIRCUIT })
}

// lookedUp: routing was asked where the peer is.
func lookedUp(s symptom) bool {
	return s.stage == "resolve" && len(s.addr) == 1 && s.addr[0].Code() == ma.P_P2P
}

func timedOut(s symptom) bool {
	timeout, ok := errors.AsType[net.Error](s.err)
	return ok && timeout.Timeout() || errors.Is(s.err, context.DeadlineExceeded)
}

// saysOtherwise: the answer is not that of multistream-select, whose errors
// belong to the core.
func saysOtherwise(s symptom) bool { return strings.Contains(s.err.Error(), "malformed negotiation") }

func hungUp(s symptom) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(s.err, e) {
			return true
		}
	}
	return false
}

func unreachable(s symptom) bool {
	for _, e := range []error{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.EACCES} {
		if errors.Is(s.err, e) {
			return true
		}
	}
	return false
}

func notFound(s symptom) bool {
	dns, ok := errors.AsType[*net.DNSError](s.err)
	return ok && dns.IsNotFound
}
