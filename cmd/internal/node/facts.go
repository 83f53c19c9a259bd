// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"context"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

// Facts are what the checks of a [Diagnosis] are made of. Nobody outside is asked
// for them but those to whom the node is connected anyway, and its own addresses.
type Facts struct {
	// Running is false if there is no node: then there is only the machine.
	Running bool
	Now     time.Time
	// Interfaces are the addresses of the machine.
	Interfaces []netip.Addr
	// Route6 tells whether there is a way to the IPv6 Internet.
	Route6 bool
	// Files is how many files the process may have open, RMem and WMem the
	// most that UDP buffers may have in bytes; 0 if unknown.
	Files, RMem, WMem int

	Listen, Addrs []ma.Multiaddr
	// Reach is nil if no module finds out, Maps if none asks the router.
	Reach *core.Reach
	Maps  *core.PortMaps
	// TCP and UDP are the connections over each, Relayed those through relays.
	TCP, UDP, Relayed int
	// Signed are the times at which the peers that are connected have signed their
	// addresses, of those that say when.
	Signed []time.Time
	// SecondHop is the router behind the first one, as it calls itself, on the
	// way to a peer of the IPv4 Internet; invalid if it is unknown.
	SecondHop netip.Addr
	// Hairpin is the outcome of a dial of an own address from outside: empty
	// for none, "ok", or an error.
	Hairpin string
}

// hairpinTime is how long a dial of an own address may take.
const hairpinTime = 2 * time.Second

// MachineFacts are those that need no node.
func MachineFacts() Facts {
	f := Facts{Now: time.Now(), Route6: route6()}
	addrs, _ := net.InterfaceAddrs() // without them there are none
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				f.Interfaces = append(f.Interfaces, ip.Unmap())
			}
		}
	}
	f.Files = maxFiles()
	f.RMem, f.WMem = number("/proc/sys/net/core/rmem_max"), number("/proc/sys/net/core/wmem_max")
	return f
}

// NodeFacts are all facts of a running node.
func NodeFacts(ctx context.Context, h *host.Host) Facts {
	f := MachineFacts()
	f.Running, f.Listen, f.Addrs = true, h.ListenAddrs(), h.Addrs()
	if r, ok := core.Find[core.ReachReporter](h); ok {
		reach := r.Reach()
		f.Reach = &reach
	}
	if m, ok := core.Find[core.PortMapper](h); ok {
		maps := m.PortMaps()
		f.Maps = &maps
	}
	var far netip.Addr
	for _, c := range h.Conns() {
		if ip, ok := peer.IP(c.RemoteMultiaddr()); ok && ip.Is4() && peer.IsPublic(c.RemoteMultiaddr()) {
			far = ip
		}
		switch a := c.RemoteMultiaddr(); {
		case has(a, ma.P_CIRCUIT):
			f.Relayed++
		case has(a, ma.P_UDP):
			f.UDP++
		case has(a, ma.P_TCP):
			f.TCP++
		}
	}
	f.Signed = signed(h)
	if far.IsValid() {
		f.SecondHop = secondHop(ctx, far)
	}
	f.Hairpin = hairpin(ctx, f)
	return f
}

// signed are the times in the records of the peers that are connected. Their numbers
// are nanoseconds since 1970 with most implementations, and with the others they
// are no time at which there was libp2p.
func signed(h *host.Host) (list []time.Time) {
	seen := make(map[peer.ID]bool)
	for _, c := range h.Conns() {
		p := c.RemotePeer()
		e := h.PeerRecord(p)
		if seen[p] || e == nil {
			continue
		}
		seen[p] = true
		var r record.PeerRecord
		if r.Unmarshal(e.Payload) != nil || r.Seq > math.MaxInt64 {
			continue
		}
		if at := time.Unix(0, int64(r.Seq)); at.Year() >= 2015 {
			list = append(list, at)
		}
	}
	return list
}

func has(a ma.Multiaddr, code int) bool {
	for _, c := range a {
		if c.Code() == code {
			return true
		}
	}
	return false
}

// hairpin dials an address of the node that is another than the machine has.
func hairpin(ctx context.Context, f Facts) string {
	if f.Reach == nil {
		return ""
	}
	for _, a := range f.Reach.Addrs {
		ip, ok := peer.IP(a.Addr)
		if !ok || a.Reachability != core.ReachabilityPublic || len(a.Addr) < 2 || a.Addr[1].Code() != ma.P_TCP || f.owns(ip) {
			continue
		}
		to, err := manet.ToNetAddr(a.Addr[:2])
		if err != nil {
			continue
		}
		d := net.Dialer{Timeout: hairpinTime}
		c, err := d.DialContext(ctx, "tcp", to.String())
		if err != nil {
			return err.Error()
		}
		c.Close()
		return "ok"
	}
	return ""
}

// owns tells whether an address is one of the machine.
func (f *Facts) owns(ip netip.Addr) bool {
	for _, i := range f.Interfaces {
		if i == ip {
			return true
		}
	}
	return false
}

// route6 asks the system for a way. Nothing is sent.
func route6() bool {
	c, err := net.Dial("udp6", "[2606:4700:4700::1111]:1")
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// maxFiles reads the limit of this process, where the system shows it in a file.
func maxFiles() int {
	b, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, _ := strconv.Atoi(f[0]) // "unlimited" is unknown
				return n
			}
		}
	}
	return 0
}

// number reads a file with a number.
func number(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b))) // what is none is unknown
	return n
}
