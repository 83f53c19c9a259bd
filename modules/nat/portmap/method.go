// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// method is a protocol in which a gateway can be asked for ports.
type method interface {
	// add asks for a port, or for it to stay. What comes back is what the
	// gateway says, which may not be true.
	add(ctx context.Context, r request) (grant, error)
	// remove gives a port back.
	remove(ctx context.Context, r request) error
}

// request is a port that is wanted, or was.
type request struct {
	network  string // "tcp" or "udp"
	inside   netip.AddrPort
	outside  uint16 // the port to have outside; the gateway may give another
	lifetime time.Duration
	nonce    [12]byte // of this port, for PCP
}

// grant is a port that the gateway forwards.
type grant struct {
	outside  netip.AddrPort
	lifetime time.Duration // at least minLifetime
}

const (
	// minLifetime bounds how often ports are renewed, whatever the gateway
	// says about how long they last.
	minLifetime = 2 * time.Minute
	// answerTime is how long a gateway may take for one question.
	answerTime = 5 * time.Second
)

var errNoAnswer = errors.New("no answer")

// granted checks what a gateway says it forwards.
func granted(ip netip.Addr, port uint16, lifetime time.Duration) (grant, error) {
	ip = ip.Unmap()
	if !ip.Is4() || ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() {
		return grant{}, errors.New("the gateway says that its address is " + ip.String())
	}
	if port == 0 {
		return grant{}, errors.New("the gateway says that it forwards port 0")
	}
	return grant{netip.AddrPortFrom(ip, port), min(max(lifetime, minLifetime), 24*time.Hour)}, nil
}
