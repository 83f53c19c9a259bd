// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package upgrade turns a plain connection into a secured and multiplexed one:
// it agrees with the other side on a security and a muxer, and lets them work.
// It is the only place where that happens.
//
// Specification: https://github.com/libp2p/specs/blob/master/connections/README.md
package upgrade

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Upgrader upgrades connections with a set of securities and muxers, which a
// reload may exchange.
type Upgrader struct {
	identity core.Identity
	choices  atomic.Pointer[choices]
}

// choices are what is offered, in order of preference.
type choices struct {
	network       core.PrivateNetwork // nil for none
	securities    []core.SecureChannel
	securityNames []string
	muxers        []core.Muxer
	muxerNames    []string
}

// New returns an upgrader for the local identity. It offers nothing until Set.
func New(identity core.Identity) *Upgrader {
	u := &Upgrader{identity: identity}
	u.choices.Store(new(choices))
	return u
}

// Set says what connections are upgraded with from now on, in order of preference.
// A [core.PrivateNetwork] among the securities wraps every connection.
func (u *Upgrader) Set(securities []core.Security, muxers []core.Muxer) {
	c := &choices{muxers: slices.Clone(muxers)}
	for _, s := range securities {
		switch s := s.(type) {
		case core.PrivateNetwork:
			c.network = s
		case core.SecureChannel:
			c.securities = append(c.securities, s)
			c.securityNames = append(c.securityNames, s.Protocol())
		}
	}
	for _, m := range muxers {
		c.muxerNames = append(c.muxerNames, m.Protocol())
	}
	u.choices.Store(c)
}

// Request is one connection to upgrade.
type Request struct {
	// Initiator is true on the side that proposes protocols: the dialer,
	// unless a protocol such as DCUtR says otherwise.
	Initiator bool
	// Expect is the peer that must be on the other side; empty for any.
	Expect peer.ID
	// Security is the protocol that the other side is known to take: the
	// initiator proposes it alone, which costs no round trip. Empty or one that
	// is not offered any more stands for all.
	Security string
	// Memory is the budget of the connection.
	Memory core.ConnMemory
	// Step, if set, is told of every stage as it begins.
	Step func(name string) (done func(detail string))
}

// Conn is an upgraded connection.
type Conn struct {
	core.Session
	secure        core.SecureConn
	raw           manet.Conn
	remote        peer.ID
	Security      string
	MuxerProtocol string
}

// Upgrade secures and multiplexes raw. When it fails, raw is closed. A panic of
// a module is an error: it may be one that the remote has provoked.
func (u *Upgrader) Upgrade(ctx context.Context, raw manet.Conn, r Request) (*Conn, error) {
	c, err := u.recovered(ctx, raw, r)
	if err != nil {
		raw.Close()
		if cause := context.Cause(ctx); cause != nil {
			return nil, fmt.Errorf("%w (%w)", err, cause)
		}
		return nil, err
	}
	return c, nil
}

func (u *Upgrader) recovered(ctx context.Context, raw manet.Conn, r Request) (c *Conn, err error) {
	defer func() {
		if value := recover(); value != nil {
			c, err = nil, &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return u.upgrade(ctx, raw, r)
}

// PanicError is the error of an upgrade in which a module panicked.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

func (u *Upgrader) upgrade(ctx context.Context, raw manet.Conn, r Request) (*Conn, error) {
	offer := u.choices.Load()
	stop := interruptOn(ctx, raw)
	defer stop()

	conn := &negotiated{Conn: raw}
	if offer.network != nil {
		protected, err := offer.network.Protect(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", offer.network.Protocol(), err)
		}
		conn.Conn = protected
	}
	proposed := offer.securityNames
	known := slices.Index(proposed, r.Security)
	if known >= 0 && r.Initiator {
		proposed = proposed[known : known+1]
	} else {
		known = 0
	}
	security, err := choose(conn, r, "security", proposed)
	if err != nil {
		return nil, err
	}
	security += known
	identity, _ := core.DialIdentity(ctx, u.identity)
	done := r.step("handshake")
	secure, err := offer.securities[security].Secure(ctx, conn, core.Handshake{
		Identity:  identity,
		Initiator: r.Initiator,
		Expect:    r.Expect,
		Muxers:    offer.muxerNames,
	})
	done(offer.securityNames[security])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", offer.securityNames[security], err)
	}
	if ctx.Err() != nil {
		// A security that was interrupted and yet done may have lifted the
		// interruption.
		return nil, fmt.Errorf("upgrade: %w", ctx.Err())
	}
	if r.Expect != "" && secure.RemotePeer() != r.Expect {
		return nil, &core.PeerMismatchError{Want: r.Expect, Got: secure.RemotePeer()}
	}

	muxed := &negotiated{Conn: secure}
	muxer, err := chooseMuxer(muxed, r, secure.Muxer(), offer.muxerNames)
	if err != nil {
		return nil, err
	}
	if !stop() {
		return nil, fmt.Errorf("upgrade: %w", ctx.Err())
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	session, err := offer.muxers[muxer].Mux(muxed.settled(secure), r.Initiator, r.Memory)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", offer.muxerNames[muxer], err)
	}
	return &Conn{
		Session:       session,
		secure:        secure,
		raw:           raw,
		remote:        secure.RemotePeer(),
		Security:      offer.securityNames[security],
		MuxerProtocol: offer.muxerNames[muxer],
	}, nil
}

// chooseMuxer returns the index of the muxer that the handshake has settled, or
// agrees on one.
func chooseMuxer(conn *negotiated, r Request, settled string, names []string) (int, error) {
	if i := slices.Index(names, settled); i >= 0 {
		return i, nil
	}
	i, err := choose(conn, r, "muxer", names)
	if err != nil {
		return 0, err
	}
	if r.Initiator { // who may be refused; a muxer does not report that as what it is
		if err := conn.stream.Confirm(); err != nil {
			return 0, fmt.Errorf("negotiate muxer: %w", err)
		}
	}
	return i, nil
}

// choose agrees on one of names and returns its index.
func choose(conn *negotiated, r Request, what string, names []string) (int, error) {
	if len(names) == 0 {
		return 0, fmt.Errorf("no %s is configured", what)
	}
	done := r.step("negotiate " + what)
	var name string
	var err error
	if r.Initiator {
		name, err = conn.stream.Dial(conn.Conn, names)
	} else {
		name, err = conn.stream.Accept(conn.Conn, func(p string) bool { return slices.Contains(names, p) })
	}
	done(name)
	if err != nil {
		return 0, fmt.Errorf("negotiate %s: %w", what, err)
	}
	conn.negotiating = true
	return slices.Index(names, name), nil
}

func (r Request) step(name string) func(detail string) {
	if r.Step == nil {
		return func(string) {}
	}
	return r.Step(name)
}

// interruptOn makes reads and writes on conn fail when ctx ends. The returned
// function ends that; it returns false if ctx has ended before.
func interruptOn(ctx context.Context, conn manet.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
}

// RemotePeer implements [core.MuxedConn].
func (c *Conn) RemotePeer() peer.ID { return c.remote }

// RemotePublicKey implements [core.MuxedConn].
func (c *Conn) RemotePublicKey() peer.PublicKey { return c.secure.RemotePublicKey() }

// LocalMultiaddr implements [core.MuxedConn].
func (c *Conn) LocalMultiaddr() ma.Multiaddr { return c.raw.LocalMultiaddr() }

// RemoteMultiaddr implements [core.MuxedConn].
func (c *Conn) RemoteMultiaddr() ma.Multiaddr { return c.raw.RemoteMultiaddr() }

var _ core.MuxedConn = (*Conn)(nil)
