// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"net"
	"net/netip"

	ma "github.com/multiformats/go-multiaddr"
)

// listenAddrs returns one address a transport. Those on TCP share one port, and
// those on UDP. Port 0 is any.
func listenAddrs(ts []transport, ip string, port int) ([]ma.Multiaddr, error) {
	at, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, usagef("--ip %q: not an IP address", ip)
	}
	family := "ip6"
	if at.Is4() {
		family = "ip4"
	}
	ports, err := sharedPorts(ts, at, port)
	if err != nil {
		return nil, err
	}
	var addrs []ma.Multiaddr
	for _, t := range ts {
		if t.socket == "" {
			addrs = append(addrs, ma.StringCast(t.suffix))
			continue
		}
		a, err := ma.NewMultiaddr(fmt.Sprintf("/%s/%s/%s/%d%s", family, at, t.socket, ports[t.socket], t.suffix))
		if err != nil {
			return nil, usagef("--ip %s --port %d: %w", ip, port, err)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// sharedPorts returns the port of each sort of socket. Where several transports
// are to share any port, one is picked that is free.
func sharedPorts(ts []transport, ip netip.Addr, port int) (map[string]int, error) {
	sharing := map[string]int{}
	for _, t := range ts {
		if t.socket != "" {
			sharing[t.socket]++
		}
	}
	ports := map[string]int{}
	for socket, transports := range sharing {
		ports[socket] = port
		if port == 0 && transports > 1 {
			free, err := freePort(socket, ip)
			if err != nil {
				return nil, err
			}
			ports[socket] = free
		}
	}
	return ports, nil
}

// freePort returns a port that nothing listens on.
func freePort(socket string, ip netip.Addr) (int, error) {
	at := netip.AddrPortFrom(ip, 0)
	if socket == "udp" {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return 0, err
		}
		return conn.LocalAddr().(*net.UDPAddr).Port, conn.Close()
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
