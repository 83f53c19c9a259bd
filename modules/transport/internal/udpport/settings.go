// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"cmp"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
)

// Settings are what the users of a port may choose for its QUIC connections.
// What is zero has its default. Connections come in on a port before it is known
// whose they are, so the largest value of the port's listeners holds for all.
type Settings struct {
	// IdleTimeout is how long the remote may be silent. Default: 30s.
	IdleTimeout time.Duration
	// Keepalive is how long a connection is silent before it asks the remote
	// for a sign of life. Default: 15s.
	Keepalive time.Duration
	// HandshakeTimeout bounds a handshake. Default: 10s.
	HandshakeTimeout time.Duration
	// MaxIncomingStreams is how many streams of one connection the remote may
	// have open at a time. Default: 256.
	MaxIncomingStreams int
}

// Defaults of [Settings].
const (
	DefaultIdleTimeout        = 30 * time.Second
	DefaultKeepalive          = 15 * time.Second
	DefaultHandshakeTimeout   = 10 * time.Second
	DefaultMaxIncomingStreams = 256
)

// What a remote may send before it is read, in bytes. Windows begin small; what
// a connection's grows by is taken from its memory first. That of a connection
// begins with twice a stream's, so that a stream nobody reads leaves room for
// others.
const (
	initialStreamWindow     = 512 << 10
	initialConnectionWindow = 2 * initialStreamWindow
	maxStreamWindow         = 10 << 20
	maxConnectionWindow     = 15 << 20

	// windowPriority is that of a larger window: it makes a connection faster,
	// and must not take the last of the memory. See [core.Memory].
	windowPriority = 127

	// maxUniStreams is how many one-way streams a remote may have open: those
	// of HTTP/3, and nobody else's.
	maxUniStreams = 5
)

func (s Settings) withDefaults() Settings {
	return Settings{
		IdleTimeout:        cmp.Or(s.IdleTimeout, DefaultIdleTimeout),
		Keepalive:          cmp.Or(s.Keepalive, DefaultKeepalive),
		HandshakeTimeout:   cmp.Or(s.HandshakeTimeout, DefaultHandshakeTimeout),
		MaxIncomingStreams: cmp.Or(s.MaxIncomingStreams, DefaultMaxIncomingStreams),
	}
}

// or returns the larger value of each setting.
func (s Settings) or(o Settings) Settings {
	return Settings{
		IdleTimeout:        max(s.IdleTimeout, o.IdleTimeout),
		Keepalive:          max(s.Keepalive, o.Keepalive),
		HandshakeTimeout:   max(s.HandshakeTimeout, o.HandshakeTimeout),
		MaxIncomingStreams: max(s.MaxIncomingStreams, o.MaxIncomingStreams),
	}
}

// quicConfig is the configuration of every QUIC connection.
func (s Settings) quicConfig(grow func(c *quic.Conn, by uint64) bool) *quic.Config {
	s = s.withDefaults()
	return &quic.Config{
		Versions:             []quic.Version{quic.Version1}, // as /quic-v1 says
		HandshakeIdleTimeout: s.HandshakeTimeout / 2,        // the whole may take twice that
		MaxIdleTimeout:       s.IdleTimeout,
		KeepAlivePeriod:      s.Keepalive,

		InitialStreamReceiveWindow:     initialStreamWindow,
		MaxStreamReceiveWindow:         maxStreamWindow,
		InitialConnectionReceiveWindow: initialConnectionWindow,
		MaxConnectionReceiveWindow:     maxConnectionWindow,
		AllowConnectionWindowIncrease:  grow,

		MaxIncomingStreams:    int64(s.MaxIncomingStreams),
		MaxIncomingUniStreams: maxUniStreams,

		// WebTransport needs both. Whether a connection is one is known only
		// when it has told what it can do.
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
	}
}

// account is what a connection has taken from its memory.
type account struct {
	memory core.ConnMemory
	taken  atomic.Int64
}

// grow takes what a window is to grow by.
func (a *account) grow(by uint64) bool {
	if a.memory.Reserve(int(by), windowPriority) != nil {
		return false
	}
	a.taken.Add(int64(by))
	return true
}

// close gives everything back. The connection has ended.
func (a *account) close() {
	if n := a.taken.Swap(0); n > 0 {
		a.memory.Release(int(n))
	}
}
