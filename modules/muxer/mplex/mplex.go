// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package mplex shares a connection between many streams with mplex,
// https://github.com/libp2p/specs/blob/master/mplex/README.md.
//
//	{"muxers": [{"module": "yamux"}, {"module": "mplex"}]}
//
// It is there for peers that speak no other muxer: the specification deprecates
// it, and a node has it only if its configuration names it, behind a better
// one. mplex has no flow control: a remote that sends faster than a stream is
// read fills that stream's buffer, and the stream is reset. It carries no codes
// for resets and no reason for the end of a connection, and asks for no sign of
// life: a remote that vanishes is noticed by the transport, or by a write.
package mplex

import (
	"fmt"
	"net"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Muxer), core.Deprecated) }

// protocol is what multistream-select calls mplex.
const protocol = "/mplex/6.7.0"

// Muxer is the module. It must not be changed after Provision.
type Muxer struct {
	// How many streams the remote may have open at a time on one connection.
	// A stream beyond that is reset; the connection lives. At most 1,000,000.
	// Default: 1000.
	MaxIncomingStreams int `json:"max_incoming_streams,omitempty"`
	// How many streams of the remote may wait for the node to accept them. A
	// stream beyond that is reset. At most 65,536. Default: 256.
	AcceptBacklog int `json:"accept_backlog,omitempty"`
	// How many bytes the remote may send on one stream ahead of its reader.
	// A stream whose buffer is full, and stays so for the time of patience,
	// is reset. The default holds four of the longest messages, as long as
	// the memory is there: peers write ahead without asking. From 128KiB to
	// 1GiB. Default: "4MiB".
	MaxUnread core.Size `json:"max_unread,omitempty"`
	// How long the connection pauses for the reader of a stream whose buffer
	// is full, before it resets the stream. All streams of the connection
	// wait meanwhile, so it is short; it is there for readers that are only
	// a moment late. From 1ms to 10s. Default: "250ms".
	Patience core.Duration `json:"patience,omitempty"`
	// How much data of one stream is sent in a message. More is sent in
	// several, between which other streams have their turn. The default goes
	// out in one write under Noise. From 1KiB to 1MiB. Default: "64KiB".
	MaxMessage core.Size `json:"max_message,omitempty"`
	// How long a write to the connection may take. The connection is closed
	// after that. From 100ms to 10m. Default: "10s".
	WriteTimeout core.Duration `json:"write_timeout,omitempty"`

	buffers *buffers
}

// CaddyModule implements [caddy.Module].
func (*Muxer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "xnode.muxer.mplex",
		New: func() caddy.Module { return new(Muxer) },
	}
}

// Provision implements [caddy.Provisioner]. It sets defaults.
func (m *Muxer) Provision(caddy.Context) error {
	setDefault(&m.MaxIncomingStreams, 1000)
	setDefault(&m.AcceptBacklog, 256)
	setDefault(&m.MaxUnread, 4<<20)
	setDefault(&m.Patience, core.Duration(250*time.Millisecond))
	setDefault(&m.MaxMessage, 64<<10)
	setDefault(&m.WriteTimeout, core.Duration(10*time.Second))
	m.buffers = newBuffers(int(m.MaxMessage))
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate implements [caddy.Validator].
func (m *Muxer) Validate() error {
	for _, check := range []struct {
		key              string
		value, low, high int64
		text             func(int64) string
	}{
		{"max_incoming_streams", int64(m.MaxIncomingStreams), 1, 1_000_000, number},
		{"accept_backlog", int64(m.AcceptBacklog), 1, 1 << 16, number},
		{"max_unread", int64(m.MaxUnread), 2 * largeChunk, 1 << 30, size},
		{"patience", int64(m.Patience), int64(time.Millisecond), int64(10 * time.Second), duration},
		{"max_message", int64(m.MaxMessage), 1 << 10, maxMessage, size},
		{"write_timeout", int64(m.WriteTimeout), int64(100 * time.Millisecond), int64(10 * time.Minute), duration},
	} {
		if check.value < check.low || check.value > check.high {
			return fmt.Errorf("%s: %s is not from %s to %s", check.key,
				check.text(check.value), check.text(check.low), check.text(check.high))
		}
	}
	return nil
}

func number(v int64) string   { return fmt.Sprint(v) }
func duration(v int64) string { return core.Duration(v).String() }
func size(v int64) string     { return core.Size(v).String() }

// Protocol implements [core.Muxer].
func (*Muxer) Protocol() string { return protocol }

// Mux implements [core.Muxer]. mplex is the same on both sides.
func (m *Muxer) Mux(conn net.Conn, _ bool, memory core.ConnMemory) (core.Session, error) {
	return m.mux(conn, memory), nil
}

func (m *Muxer) mux(conn net.Conn, memory core.ConnMemory) *session {
	s := newSession(m, conn, memory)
	s.running.Go(s.receive)
	return s
}

var (
	_ core.Muxer        = (*Muxer)(nil)
	_ caddy.Provisioner = (*Muxer)(nil)
	_ caddy.Validator   = (*Muxer)(nil)
)
