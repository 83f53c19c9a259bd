// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"net"
	"net/netip"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/pion/ice/v4"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/transport/internal/pionlog"
)

const (
	// keepalive is how often the two sides ask each other whether they are
	// there, which also keeps NATs open.
	keepalive = 2 * time.Second
	// unsure is after how long without an answer a way is no longer trusted.
	unsure = 5 * time.Second
	// gatherTime bounds the wait for an answer of a STUN server.
	gatherTime = 5 * time.Second
	// reflexiveTime, peerTime and turnTime are how long better ways are waited for
	// before one is taken that leads through a NAT, to where a NAT has been seen
	// to send from, and through a TURN server.
	reflexiveTime, peerTime, turnTime = 200 * time.Millisecond, 400 * time.Millisecond, time.Second
	// maxChecks is how often a pair of addresses is tried.
	maxChecks = 7
)

// hosts are the addresses of this machine that remotes may be told of: those that
// the node listens on, or all if it names none.
type hosts struct {
	ips      map[netip.Addr]bool // nil for all
	loopback bool
}

// hostAddrs are the addresses for a remote that is signalled with over c. Those
// of the machine itself are told if the remote seems to be on it, too.
func (t *Transport) hostAddrs(c core.Conn) hosts {
	h := hosts{loopback: isHere(c.RemoteMultiaddr())}
	for _, a := range t.node.ListenAddrs() {
		ip, ok := peer.IP(a)
		switch {
		case !ok || isRelayed(a):
		case ip.IsUnspecified():
			return hosts{loopback: h.loopback}
		default:
			if h.ips == nil {
				h.ips = make(map[netip.Addr]bool)
			}
			h.ips[ip] = true
		}
	}
	return h
}

// isRelayed tells whether the IP address of an address is a relay's.
func isRelayed(a ma.Multiaddr) bool {
	return slices.ContainsFunc(a, func(c ma.Component) bool { return c.Code() == ma.P_CIRCUIT })
}

// isHere tells whether an address, or that of the relay it is behind, is one of
// this machine.
func isHere(a ma.Multiaddr) bool {
	ip, ok := peer.IP(a)
	return !ok || ip.IsLoopback()
}

// allows tells whether a remote may be told of an address.
func (h hosts) allows(ip netip.Addr) bool {
	switch {
	case ip.IsLoopback() && !h.loopback, ip.IsLinkLocalUnicast():
		return false
	}
	return h.ips == nil || h.ips[ip]
}

// newAgent makes an ICE agent for one connection.
func (t *Transport) newAgent(s *sockets, h hosts) (*ice.Agent, error) {
	types := []ice.CandidateType{ice.CandidateTypeHost}
	if len(t.servers.all) > 0 {
		types = append(types, ice.CandidateTypeServerReflexive)
	}
	if t.servers.turn {
		types = append(types, ice.CandidateTypeRelay)
	}
	options := []ice.AgentOption{
		ice.WithNet(s),
		ice.WithUrls(t.servers.all),
		ice.WithCandidateTypes(types),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithIPFilter(func(ip net.IP) bool {
			a, ok := netip.AddrFromSlice(ip)
			return ok && h.allows(a.Unmap())
		}),
		ice.WithKeepaliveInterval(keepalive),
		ice.WithDisconnectedTimeout(unsure),
		ice.WithFailedTimeout(time.Duration(t.IdleTimeout) - unsure),
		ice.WithMaxBindingRequests(maxChecks),
		ice.WithSrflxAcceptanceMinWait(reflexiveTime),
		ice.WithPrflxAcceptanceMinWait(peerTime),
		ice.WithRelayAcceptanceMinWait(turnTime),
		ice.WithSTUNGatherTimeout(gatherTime),
		ice.WithLoggerFactory(pionlog.Logs{To: t.log, Secretive: true}),
	}
	if h.loopback {
		options = append(options, ice.WithIncludeLoopback())
	}
	return ice.NewAgentWithOptions(options...)
}
