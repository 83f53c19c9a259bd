// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// The networks of a lab. The one outside has to look like the Internet: peers do
// not tell each other addresses that are set aside for documentation.
var (
	outside = netip.MustParsePrefix("1.2.3.0/24")
	inside  = [2]netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("192.168.2.0/24")}
)

// lab is a network with a relay on it, and two networks behind routers. The host on
// the first dials that on the second.
type lab struct {
	relay     *lan.Host
	relayAddr netip.Addr
	sides     [2]side
	closers   []io.Closer // in the order they were made
}

// side is a network behind a router, and the host on it.
type side struct {
	router  *lan.Router // nil if there is none, and the host is outside
	host    *lan.Host
	uplink  *lan.Wire
	private *lan.Net   // behind the router
	addr    netip.Addr // that the host listens on
}

// newLab makes a lab. Its name must be no other lab's.
func newLab(ctx context.Context, name string, a, b lan.NAT, uplink lan.Shape) (l *lab, err error) {
	return newLabWith(ctx, name, a, b, uplink, inside)
}

// newLabWith is newLab with networks behind the routers that are chosen.
func newLabWith(ctx context.Context, name string, a, b lan.NAT, uplink lan.Shape, inside [2]netip.Prefix) (l *lab, err error) {
	l = new(lab)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	public, err := lan.New(ctx, "pub"+name, outside, netip.Prefix{})
	if err != nil {
		return l, err
	}
	if l.relay, err = lan.NewHost(ctx); err != nil {
		return l, err
	}
	l.closers = append(l.closers, l.relay)
	link, err := l.relay.Join(ctx, public)
	if err != nil {
		return l, err
	}
	l.relayAddr = link.Addrs[0].Addr()
	for i, kind := range []lan.NAT{a, b} {
		s := &l.sides[i]
		s.uplink, s.addr = lan.NewWire(uplink), netip.IPv4Unspecified()
		l.closers = append(l.closers, s.uplink)
		if kind == open {
			if s.host, err = lan.NewHost(ctx); err != nil {
				return l, err
			}
			l.closers = append(l.closers, s.host)
			link, err := s.host.JoinOver(ctx, public, s.uplink)
			if err != nil {
				return l, err
			}
			s.addr = link.Addrs[0].Addr()
			continue
		}
		private, err := lan.New(ctx, fmt.Sprintf("lan%s%c", name, 'a'+i), inside[i], netip.Prefix{})
		if err != nil {
			return l, err
		}
		s.private = private
		if s.router, err = lan.NewRouter(ctx, private, public, kind, s.uplink); err != nil {
			return l, err
		}
		l.closers = append(l.closers, s.router)
		if s.host, err = s.router.NewHost(ctx); err != nil {
			return l, err
		}
		l.closers = append(l.closers, s.host)
	}
	return l, nil
}

// close takes the lab away.
func (l *lab) close() error {
	var errs []error
	for _, c := range slices.Backward(l.closers) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// server is a peer that runs on a host.
type server struct {
	*process.Server
	addrs []string
}

// serve starts a peer on a host.
func (l *lab) serve(ctx context.Context, on *lan.Host, p peers.Peer, words ...string) (server, error) {
	var ready struct{ Addrs []string }
	argv := on.Command(p.Command(append([]string{"listen", "--quiet"}, words...)...)...)
	s, err := process.Start(ctx, argv, &ready)
	if err != nil {
		return server{}, fmt.Errorf("%s listen: %w", p.Name, err)
	}
	if len(ready.Addrs) == 0 {
		return server{}, errors.Join(fmt.Errorf("%s listens nowhere", p.Name), s.Close())
	}
	return server{s, ready.Addrs}, nil
}

// outcome is what a peer says of a dial through a relay.
type outcome struct {
	Relayed     float64 `json:"relayed_ms"`
	Direct      bool    `json:"direct"`
	DirectAfter float64 `json:"direct_after_ms"`
}

// punch has the first host dial the second through the relay once. The routers have
// forgotten what there was before.
func (l *lab) punch(ctx context.Context, c *cell, relay string, flags []string, wait time.Duration) (o outcome, err error) {
	for _, s := range l.sides {
		if s.router == nil {
			continue
		}
		if err := s.router.Forget(ctx); err != nil {
			return o, err
		}
	}
	listen := func(i int) []string {
		return append([]string{"--ip", l.sides[i].addr.String(), "--port", strconv.Itoa(port)}, flags...)
	}
	b, err := l.serve(ctx, l.sides[1].host, c.peers.has, append([]string{"--reserve", relay, "--hole-punch"}, listen(1)...)...)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	at := slices.IndexFunc(b.addrs, func(a string) bool { return strings.Contains(a, "/p2p-circuit") })
	if at < 0 {
		return o, fmt.Errorf("%s has no address behind the relay: %s", c.Peer, b.addrs)
	}
	words := append([]string{"dial-through", b.addrs[at], "--wait", strconv.Itoa(int(wait.Seconds()))}, listen(0)...)
	// Peers have time-outs of their own; this one is for what hangs in spite of it.
	ctx, cancel := context.WithTimeoutCause(ctx, wait+runTime, fmt.Errorf("no answer %v after the wait", runTime))
	defer cancel()
	err = process.Run(ctx, l.sides[0].host.Command(c.peers.dials.Command(words...)...), &o)
	return o, err
}

// runTime is how much longer than the wait for a direct connection a run may take.
const runTime = 30 * time.Second
