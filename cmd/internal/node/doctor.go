// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Diagnosis is what a doctor finds.
type Diagnosis struct {
	Checks []Check `json:"checks"`
}

// Check is one thing that was looked at.
type Check struct {
	// ID names the check, the same in every version.
	ID string `json:"id"`
	// Status is "ok", "warning", "error", or "unchecked": then Evidence says
	// why.
	Status   string `json:"status"`
	Evidence string `json:"evidence"`
	// Remedy is what to do about it.
	Remedy string `json:"remedy,omitempty"`
}

// The states of a check.
const (
	statusOK        = "ok"
	statusWarning   = "warning"
	statusError     = "error"
	statusUnchecked = "unchecked"
)

const (
	// wantFiles is how many open files are enough for the default limits.
	wantFiles = 4096
	// wantBuffers is what quic-go asks for, in bytes.
	wantBuffers = 7168 << 10
	// clockSlack is by how much clocks may differ.
	clockSlack = 10 * time.Minute
	// someConns is how many connections say something about all.
	someConns = 4
)

// built is a time that no clock that is right shows.
var built = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// carrierNAT is the range behind routers of providers.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// checks are all of them, in the order in which they are shown.
var checks = []struct {
	id    string
	check func(*Facts) Check
}{
	{"reach.node", checkReach}, {"nat.type", checkNAT}, {"nat.double", checkDouble}, {"nat.portmap", checkMap},
	{"nat.hairpin", checkHairpin}, {"nat.relay", checkRelay}, {"udp.blocked", checkUDP}, {"ipv6", checkIPv6},
	{"clock", checkClock}, {"files", checkFiles}, {"udp.buffers", checkBuffers},
}

// Diagnose judges facts.
func Diagnose(f Facts) Diagnosis {
	var d Diagnosis
	for _, c := range checks {
		found := c.check(&f)
		found.ID = c.id
		d.Checks = append(d.Checks, found)
	}
	return d
}

func ok(format string, args ...any) Check {
	return Check{Status: statusOK, Evidence: fmt.Sprintf(format, args...)}
}

func unchecked(why string) Check { return Check{Status: statusUnchecked, Evidence: why} }

const (
	noNode  = "no node is running; start one with 'xnode start'"
	noReach = "no module of the node finds out; add autonat to nat"
)

// judged says why nothing can be known of how the node is reached, or that it can.
func (f *Facts) judged() (why string, can bool) {
	switch {
	case !f.Running:
		return noNode, false
	case f.Reach == nil:
		return noReach, false
	}
	return "", true
}

func checkReach(f *Facts) Check {
	why, can := f.judged()
	if !can {
		return unchecked(why)
	}
	public := 0
	for _, a := range f.Reach.Addrs {
		if a.Reachability == core.ReachabilityPublic {
			public++
		}
	}
	evidence := fmt.Sprintf("%d of %d addresses can be reached", public, len(f.Reach.Addrs))
	switch f.Reach.Reachability {
	case core.ReachabilityPublic:
		return ok("peers can dial the node; %s", evidence)
	case core.ReachabilityPrivate:
		return Check{Status: statusWarning, Evidence: "peers cannot dial the node; " + evidence,
			Remedy: "forward its ports at the router, add portmap to nat, or listen on /p2p-circuit to use a relay"}
	}
	return unchecked("not enough peers of other networks that speak AutoNAT have said anything yet; 'xnode addrs reach' has the details")
}

// checkNAT tells from where peers see the node whether a router gives it one port
// for all of them.
func checkNAT(f *Facts) Check {
	why, can := f.judged()
	if !can {
		return unchecked(why)
	}
	seen := make(map[string]map[netip.AddrPort]int) // by network: where, and by how many
	for _, a := range f.Reach.Seen {
		if end, network, ok := endOf(a); ok {
			if seen[network] == nil {
				seen[network] = make(map[netip.AddrPort]int)
			}
			seen[network][end]++
		}
	}
	enough := false
	for _, network := range []string{"udp", "tcp"} {
		ends, peers := seen[network], 0
		for end, n := range ends {
			if f.owns(end.Addr()) {
				return ok("none: peers see the node at %s, which is this machine's own address", end)
			}
			peers += n
		}
		if len(ends) > 1 {
			return Check{Status: statusWarning,
				Evidence: fmt.Sprintf("hard: %d peers see the node at %d different %s ports; the router takes another one for each", peers, len(ends), network),
				Remedy:   "hole punching will not work with others behind such a router; forward a port, use IPv6, or a relay"}
		}
		enough = enough || peers > 1
	}
	if !enough {
		return unchecked("it takes two peers of the Internet that the node has dialled from a port that it listens on")
	}
	return ok("easy: all peers see the node at the same address and port")
}

// endOf is the IP address and port of an address.
func endOf(a ma.Multiaddr) (end netip.AddrPort, network string, ok bool) {
	if len(a) < 2 {
		return end, "", false
	}
	at, err := manet.ToNetAddr(a[:2])
	if err != nil {
		return end, "", false
	}
	end, err = netip.ParseAddrPort(at.String())
	return end, at.Network()[:3], err == nil
}

// checkDouble looks for a router behind the router.
func checkDouble(f *Facts) Check {
	for _, ip := range f.Interfaces {
		if carrierNAT.Contains(ip) {
			return Check{Status: statusWarning, Evidence: fmt.Sprintf("carrier-grade NAT: this machine has the address %s", ip),
				Remedy: "ask the provider for a public address, use IPv6, or a relay"}
		}
	}
	if !f.Running {
		return unchecked(noNode)
	}
	if f.Maps == nil || len(f.Maps.Maps) == 0 {
		if carrierNAT.Contains(f.SecondHop) || f.SecondHop.IsPrivate() {
			return Check{Status: statusWarning, Evidence: fmt.Sprintf("two routers, as it seems: behind the first one there is %s, which is not on the Internet", f.SecondHop),
				Remedy: "forward the ports at both, or make the nearer one a bridge; if the farther one is the provider's, ask for a public address, use IPv6, or a relay"}
		}
		return unchecked("the router does not say what its address is; add portmap to nat")
	}
	outside := f.Maps.Maps[0].Outside.Addr()
	a, err := manet.FromIP(outside.AsSlice())
	if err != nil {
		return unchecked(err.Error())
	}
	if carrierNAT.Contains(outside) {
		return Check{Status: statusWarning, Evidence: fmt.Sprintf("carrier-grade NAT: the router's address is %s", outside),
			Remedy: "ask the provider for a public address, use IPv6, or a relay"}
	}
	if !peer.IsPublic(a) {
		return Check{Status: statusWarning, Evidence: fmt.Sprintf("two routers: the address of the nearer one, %s, is not on the Internet", outside),
			Remedy: "forward the ports at the farther router too, or make the nearer one a bridge"}
	}
	if f.Reach != nil {
		for _, s := range f.Reach.Seen {
			if ip, is := peer.IP(s); is && ip.Is4() && ip != outside {
				return Check{Status: statusWarning, Evidence: fmt.Sprintf("the router says that its address is %s, and peers see %s", outside, ip),
					Remedy: "there is another router, or this one is wrong: forward the ports at the farther one"}
			}
		}
	}
	return ok("the router's address is %s", outside)
}

func checkMap(f *Facts) Check {
	switch {
	case !f.Running:
		return unchecked(noNode)
	case f.Maps == nil:
		return unchecked("no module of the node asks the router for ports; add portmap to nat")
	case len(f.Maps.Maps) > 0 && f.Maps.Err == nil:
		return ok("the router %s forwards %d ports, asked by %s", f.Maps.Gateway, len(f.Maps.Maps), f.Maps.Method)
	}
	why := "there is nothing to ask it for"
	if f.Maps.Err != nil {
		why = f.Maps.Err.Error()
	}
	return Check{Status: statusWarning, Evidence: "the router forwards no ports, or not all: " + why,
		Remedy: "turn UPnP, NAT-PMP or PCP on at the router, or forward the ports there by hand; a machine with an address of its own needs neither"}
}

func checkHairpin(f *Facts) Check {
	switch {
	case !f.Running:
		return unchecked(noNode)
	case f.Hairpin == "":
		return unchecked("there is no TCP address outside this machine at which the node can be reached")
	case f.Hairpin == statusOK:
		return ok("the router lets the node reach itself at its address outside")
	}
	return Check{Status: statusWarning, Evidence: "the router does not let the node reach itself at its address outside: " + f.Hairpin,
		Remedy: "peers on the same local network have to find each other by mdns"}
}

func checkRelay(f *Facts) Check {
	if !f.Running {
		return unchecked(noNode)
	}
	places := 0
	for _, a := range f.Addrs {
		if has(a, ma.P_CIRCUIT) {
			places++
		}
	}
	private := f.Reach != nil && f.Reach.Reachability == core.ReachabilityPrivate
	switch {
	case places > 0:
		return ok("the node has %d addresses at relays", places)
	case private:
		return Check{Status: statusWarning, Evidence: "the node cannot be reached, and has no place at a relay",
			Remedy: "add relay to nat, and /p2p-circuit to listen"}
	}
	return ok("the node has no place at a relay, and is not known to need one")
}

func checkUDP(f *Facts) Check {
	if !f.Running {
		return unchecked(noNode)
	}
	listens := false
	for _, a := range f.Listen {
		listens = listens || has(a, ma.P_UDP)
	}
	switch {
	case !listens:
		return unchecked("the node listens on no UDP port")
	case f.UDP > 0:
		return ok("%d connections are over UDP", f.UDP)
	case f.TCP < someConns:
		return unchecked(fmt.Sprintf("%d connections are too few to tell", f.TCP))
	}
	return Check{Status: statusWarning, Evidence: fmt.Sprintf("UDP looks blocked: of %d connections, none is over it", f.TCP),
		Remedy: "let UDP through at the firewall; without it, QUIC and WebRTC do not work"}
}

func checkIPv6(f *Facts) Check {
	public := netip.Addr{}
	for _, ip := range f.Interfaces {
		if a, err := manet.FromIP(ip.AsSlice()); err == nil && ip.Is6() && peer.IsPublic(a) {
			public = ip
		}
	}
	switch {
	case !public.IsValid():
		return Check{Status: statusWarning, Evidence: "this machine has no IPv6 address of the Internet", Remedy: "ask the provider for IPv6: with it, there is mostly no NAT"}
	case !f.Route6:
		return Check{Status: statusWarning, Evidence: fmt.Sprintf("this machine has the address %s, and no way to the IPv6 Internet", public), Remedy: "look at the routes of this machine ('ip -6 route')"}
	}
	for _, a := range f.Listen {
		if ip, is := peer.IP(a); is && ip.Is6() {
			return ok("this machine has the address %s, and the node listens on IPv6", public)
		}
	}
	if !f.Running {
		return ok("this machine has the address %s", public)
	}
	return Check{Status: statusWarning, Evidence: fmt.Sprintf("this machine has the address %s, and the node does not listen on IPv6", public), Remedy: "add /ip6/::/tcp/4001 and /ip6/::/udp/4001/quic-v1 to listen"}
}

func checkClock(f *Facts) Check {
	if f.Now.Before(built) {
		return Check{Status: statusError, Evidence: "the clock shows " + f.Now.Format(time.DateTime), Remedy: "set the clock: certificates and records are not valid at that time"}
	}
	shows := "it shows " + f.Now.UTC().Format(time.DateTime) + " UTC"
	times := slices.SortedFunc(slices.Values(f.Signed), func(a, b time.Time) int { return b.Compare(a) })
	if len(times) < 2 {
		return unchecked(shows + ", and too few peers have signed anything to compare that with")
	}
	switch behind := times[1].Sub(f.Now); { // one peer alone may be wrong
	case behind > clockSlack:
		return Check{Status: statusWarning, Evidence: fmt.Sprintf("the clock is slow: %s, and two of %d peers have signed their addresses %s later than that", shows, len(times), behind.Round(time.Minute)),
			Remedy: "set the clock, best by NTP: certificates and records may not be valid at that time"}
	case behind > -clockSlack:
		return ok("%s, and two of %d peers have signed their addresses within %s of that", shows, len(times), clockSlack)
	}
	return unchecked(fmt.Sprintf("%s; it is not slow, for %d peers have signed nothing later, and nothing just now either", shows, len(times)))
}

func checkFiles(f *Facts) Check {
	switch {
	case f.Files == 0:
		return unchecked("this system does not say how many files may be open, or has no limit")
	case f.Files < wantFiles:
		return Check{Status: statusWarning, Evidence: fmt.Sprintf("%d files may be open, want %d", f.Files, wantFiles),
			Remedy: fmt.Sprintf("raise the limit (ulimit -n %d, or LimitNOFILE= of the systemd unit), or lower limits.connections", wantFiles)}
	}
	return ok("%d files may be open", f.Files)
}

func checkBuffers(f *Facts) Check {
	switch {
	case f.RMem == 0 || f.WMem == 0:
		return unchecked("this system does not say how large UDP buffers may be")
	case min(f.RMem, f.WMem) < wantBuffers:
		return Check{Status: statusWarning, Evidence: fmt.Sprintf("UDP buffers may have %d KiB to receive and %d KiB to send; QUIC wants %d", f.RMem>>10, f.WMem>>10, wantBuffers>>10),
			Remedy: fmt.Sprintf("sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d", wantBuffers, wantBuffers)}
	}
	return ok("UDP buffers may have %d KiB", min(f.RMem, f.WMem)>>10)
}
