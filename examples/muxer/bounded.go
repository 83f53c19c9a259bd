// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package bounded shares connections between streams with another muxer, and bounds
// how many connections there may be that do.
//
//	"muxers": [{"module": "bounded", "muxer": {"module": "yamux"}, "max_sessions": 100}]
//
// On the wire it is the other one.
package bounded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Muxer), core.Development) }

// Muxer is the xnode.muxer.bounded module.
type Muxer struct {
	// Muxer is the one that does the work.
	// Default: {"module": "yamux"}.
	Muxer core.One[core.Muxer] `json:"muxer,omitempty"`
	// MaxSessions is how many connections there may be at a time.
	// Default: 1000.
	MaxSessions int `json:"max_sessions,omitempty"`

	inner core.Muxer
	open  atomic.Int64 // bounded by MaxSessions
}

// CaddyModule implements [caddy.Module].
func (*Muxer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.muxer.bounded", New: func() caddy.Module { return new(Muxer) }}
}

// Provision implements [caddy.Provisioner].
func (m *Muxer) Provision(ctx caddy.Context) error {
	if m.Muxer == nil {
		m.Muxer = core.One[core.Muxer](`{"module": "yamux"}`)
	}
	if m.MaxSessions == 0 {
		m.MaxSessions = 1000
	}
	loaded, err := m.Muxer.Load(ctx)
	if err != nil {
		return fmt.Errorf("muxer: %w", err)
	}
	m.inner = loaded.Module
	return nil
}

// Validate implements [caddy.Validator].
func (m *Muxer) Validate() error {
	if m.MaxSessions < 1 {
		return fmt.Errorf("max_sessions: %d would let nobody in; the least is 1", m.MaxSessions)
	}
	return nil
}

// Start implements [core.Service], for the other muxer.
func (m *Muxer) Start(ctx context.Context, n core.Node) error {
	if s, ok := m.inner.(core.Service); ok {
		return s.Start(ctx, n)
	}
	return nil
}

// Close implements [core.Service].
func (m *Muxer) Close() error {
	if s, ok := m.inner.(core.Service); ok {
		return s.Close()
	}
	return nil
}

// Protocol implements [core.Muxer].
func (m *Muxer) Protocol() string { return m.inner.Protocol() }

// Mux implements [core.Muxer].
func (m *Muxer) Mux(conn net.Conn, initiator bool, mem core.ConnMemory) (core.Session, error) {
	if m.open.Add(1) > int64(m.MaxSessions) {
		m.open.Add(-1)
		return nil, errors.Join(fmt.Errorf("more than %d sessions; raise max_sessions", m.MaxSessions), conn.Close())
	}
	s, err := m.inner.Mux(conn, initiator, mem)
	if err != nil {
		m.open.Add(-1)
		return nil, err
	}
	return &session{Session: s, leave: sync.OnceFunc(func() { m.open.Add(-1) })}, nil
}

// session is one that counts until it is closed, as every one is in the end.
type session struct {
	core.Session
	leave func()
}

// Close implements [core.Session].
func (s *session) Close() error {
	defer s.leave()
	return s.Session.Close()
}

// CloseWithCode implements [core.Session].
func (s *session) CloseWithCode(code core.ConnCode) error {
	defer s.leave()
	return s.Session.CloseWithCode(code)
}

var (
	_ core.Muxer   = (*Muxer)(nil)
	_ core.Service = (*Muxer)(nil)
)
