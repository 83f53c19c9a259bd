// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pion/ice/v4"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
)

const (
	// maxCandidates bounds the candidates of either side that are used. More of
	// the remote's are passed over.
	maxCandidates = 32
	// maxCandidate bounds a candidate, in bytes.
	maxCandidate = 1 << 10
	// minPort is the lowest port that a candidate may have. Below it are the
	// services that a datagram from here could mean something to.
	minPort = 1024
)

// candidateInit is a candidate as browsers write it in JSON.
type candidateInit struct {
	Candidate string  `json:"candidate"`
	Mid       *string `json:"sdpMid,omitempty"`
	Index     *uint16 `json:"sdpMLineIndex,omitempty"`
	Fragment  *string `json:"usernameFragment,omitempty"`
}

// encodeCandidate writes a candidate as browsers do.
func encodeCandidate(candidate, mid, fragment string) string {
	index := uint16(0)
	b, err := json.Marshal(candidateInit{"candidate:" + candidate, &mid, &index, &fragment})
	if err != nil {
		panic(err) // there is nothing in it that JSON cannot have
	}
	return string(b)
}

// decodeCandidate reads what browsers write: a candidate, or that there are no
// more, for which the result is empty.
func decodeCandidate(data string) (string, error) {
	if len(data) > maxCandidate {
		return "", fmt.Errorf("a candidate of %d bytes, limit %d", len(data), maxCandidate)
	}
	switch strings.TrimSpace(data) {
	case "", "null", `""`:
		return "", nil
	}
	var c candidateInit
	if err := json.Unmarshal([]byte(data), &c); err != nil {
		return "", fmt.Errorf("candidate: %w", err)
	}
	return c.Candidate, nil
}

var (
	errNotUDP   = errors.New("not over UDP")
	errNotIP    = errors.New("a name, which is not looked up")
	errPort     = fmt.Errorf("a port below %d", minPort)
	errNotThere = errors.New("not an address that can be reached from here")
)

// reach says to whose addresses datagrams may be sent.
type reach struct {
	// loopback lets those of this machine be among them: the other side is
	// likely to be on it.
	loopback bool
	// own are the IP addresses of this side. Private addresses are dialled only
	// within the private network that one of them belongs to.
	own []netip.Addr
}

// parse makes a candidate of the remote's, or says why it is not used: nobody may
// choose where in this network the node sends datagrams to.
func (r reach) parse(text string) (ice.Candidate, error) {
	text = strings.TrimPrefix(text, "a=")
	c, err := ice.UnmarshalCandidate(text)
	if err != nil {
		return nil, err
	}
	if c.NetworkType() != ice.NetworkTypeUDP4 && c.NetworkType() != ice.NetworkTypeUDP6 || c.Component() != ice.ComponentRTP {
		return nil, errNotUDP
	}
	ip, err := netip.ParseAddr(c.Address())
	switch {
	case err != nil:
		return nil, errNotIP
	case c.Port() < minPort || c.Port() > 1<<16-1:
		return nil, errPort
	case !r.allows(ip.Unmap()):
		return nil, errNotThere
	}
	return c, nil
}

// allows tells whether datagrams may be sent to an address.
func (r reach) allows(ip netip.Addr) bool {
	a, err := udpport.Multiaddr(netip.AddrPortFrom(ip, minPort))
	switch {
	case err != nil || ip.Zone() != "":
		return false
	case ip.IsLoopback():
		return r.loopback
	case peer.IsPublic(a):
		return true
	}
	network, ok := privateNetwork(ip)
	if !ok {
		return false
	}
	for _, own := range r.own {
		if network.Contains(own) {
			return true
		}
	}
	return false
}

// privateNetworks are those of RFC 1918.
var privateNetworks = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
}

// privateNetwork returns the private network that an address is of. For IPv6 it
// is one site's, RFC 4193.
func privateNetwork(ip netip.Addr) (netip.Prefix, bool) {
	for _, p := range privateNetworks {
		if p.Contains(ip) {
			return p, true
		}
	}
	if ip.Is6() && ip.IsPrivate() {
		p, err := ip.Prefix(48)
		return p, err == nil
	}
	return netip.Prefix{}, false
}
