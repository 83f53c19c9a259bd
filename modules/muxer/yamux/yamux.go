// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package yamux shares a connection between many streams with yamux,
// https://github.com/libp2p/specs/blob/master/yamux/README.md.
//
//	{"muxers": [{"module": "yamux", "max_incoming_streams": 500}]}
//
// Streams are opened with their first data, which needs no frame of its own, and
// what several of them have to send at a time goes out in one write. A window may
// hold more than the initial 256KiB if the stream's account has the memory; without
// it, a window stays what it is and a new stream is reset, and the connection goes
// on. There is no flow control over a whole connection, and no priority among
// streams: yamux has neither.
//
// go-yamux, which libp2p's other implementation in Go uses, was the first choice.
// Nine defects had to be worked around, of flow control above all, and half of the
// time of a stream was spent in it.
package yamux

import (
	"fmt"
	"net"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Muxer), core.Beta) }

// protocol is what multistream-select calls yamux.
const protocol = "/yamux/1.0.0"

// blockFrame is a frame that carries 64 KiB, which is how much most writers write
// at a time. Under Noise it takes two records, which go out in one write.
const blockFrame = 64<<10 + headerSize

// Muxer is the module. It must not be changed after Provision.
type Muxer struct {
	// How many streams the remote may have open at a time on one connection.
	// A stream beyond that is reset; the connection lives. At most 1,000,000.
	// Default: 1000.
	MaxIncomingStreams int `json:"max_incoming_streams,omitempty"`
	// How many streams of the remote may wait for the node to accept them,
	// and how many of the node's own may wait for the remote. A stream of
	// the remote beyond that is reset; opening one waits. At most 65,536.
	// Default: 256.
	AcceptBacklog int `json:"accept_backlog,omitempty"`
	// How long a connection may be silent before the remote is asked for a
	// sign of life. It is closed if none comes within write_timeout. From 1s
	// to 1h. Default: "30s".
	Keepalive core.Duration `json:"keepalive,omitempty"`
	// How long a write to the connection may take, and the answer to a sign
	// of life. The connection is closed after that. From 100ms to 10m.
	// Default: "10s".
	WriteTimeout core.Duration `json:"write_timeout,omitempty"`
	// How many bytes the remote may send on one stream ahead of its reader,
	// once the reader has shown to be fast and the memory is there. Every
	// stream begins with 256KiB. From 256KiB to 1GiB. Default: "16MiB".
	MaxWindow core.Size `json:"max_window,omitempty"`
	// How long one frame of data may be, with its header of 12 bytes. The
	// default carries 64KiB. From 1KiB to 256KiB.
	// Default: "65548B".
	MaxMessage core.Size `json:"max_message,omitempty"`
}

// CaddyModule implements [caddy.Module].
func (*Muxer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "xnode.muxer.yamux",
		New: func() caddy.Module { return new(Muxer) },
	}
}

// Provision implements [caddy.Provisioner]. It sets defaults.
func (m *Muxer) Provision(caddy.Context) error {
	setDefault(&m.MaxIncomingStreams, 1000)
	setDefault(&m.AcceptBacklog, 256)
	setDefault(&m.Keepalive, core.Duration(30*time.Second))
	setDefault(&m.WriteTimeout, core.Duration(10*time.Second))
	setDefault(&m.MaxWindow, 16<<20)
	setDefault(&m.MaxMessage, blockFrame)
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
		{"keepalive", int64(m.Keepalive), int64(time.Second), int64(time.Hour), duration},
		{"write_timeout", int64(m.WriteTimeout), int64(100 * time.Millisecond), int64(10 * time.Minute), duration},
		{"max_window", int64(m.MaxWindow), initialWindow, 1 << 30, size},
		{"max_message", int64(m.MaxMessage), 1 << 10, 256 << 10, size},
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

// Mux implements [core.Muxer]. Reads from conn should be cheap: they are often
// of 12 bytes.
func (m *Muxer) Mux(conn net.Conn, initiator bool, memory core.ConnMemory) (core.Session, error) {
	return m.mux(conn, initiator, memory), nil
}

func (m *Muxer) mux(conn net.Conn, initiator bool, memory core.ConnMemory) *session {
	s := newSession(m, conn, initiator, memory)
	s.start()
	return s
}

var (
	_ core.Muxer        = (*Muxer)(nil)
	_ caddy.Provisioner = (*Muxer)(nil)
	_ caddy.Validator   = (*Muxer)(nil)
)
