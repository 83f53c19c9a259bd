// SPDX-License-Identifier: Apache-2.0 OR MIT

package mdns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// lan is the networks that a machine is on. Tests have another one than the
// system's.
type lan interface {
	// Links lists the interfaces.
	Links() ([]iface, error)
	// Open returns sockets for multicast DNS, one each IP version that there is.
	Open() ([]socket, error)
}

// iface is an interface of the machine.
type iface struct {
	index    int
	name     string
	up       bool
	local    bool // the machine itself
	usual    bool // it has multicast, and is neither local nor point-to-point
	prefixes []netip.Prefix
}

// socket sends and receives packets of multicast DNS.
type socket interface {
	// Join has the socket receive what is sent to everybody on a link. Joining
	// again changes nothing.
	Join(link int) error
	// Read waits for a packet. The link is zero if the system does not tell it.
	Read(b []byte) (n, link int, from netip.AddrPort, err error)
	// Send sends to everybody on a link.
	Send(b []byte, link int) error
	// SendTo sends to one; it fails for addresses of another IP version.
	SendTo(b []byte, to netip.AddrPort) error
	Close() error
}

// system is the lan of the machine.
type system struct{}

// Links implements [lan].
func (system) Links() ([]iface, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var links []iface
	for _, i := range list {
		l := iface{
			index: i.Index, name: i.Name, up: i.Flags&net.FlagUp != 0, local: i.Flags&net.FlagLoopback != 0,
			usual: i.Flags&net.FlagMulticast != 0 && i.Flags&(net.FlagLoopback|net.FlagPointToPoint) == 0,
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				ip, _ := netip.AddrFromSlice(n.IP)
				bits, _ := n.Mask.Size()
				if ip = ip.Unmap(); ip.IsValid() && bits <= ip.BitLen() {
					l.prefixes = append(l.prefixes, netip.PrefixFrom(ip, bits).Masked())
				}
			}
		}
		links = append(links, l)
	}
	return links, nil
}

// Open implements [lan].
func (system) Open() ([]socket, error) {
	var list []socket
	four, err4 := open4()
	if err4 == nil {
		list = append(list, four)
	}
	six, err6 := open6()
	if err6 == nil {
		list = append(list, six)
	}
	if len(list) == 0 {
		return nil, errors.Join(err4, err6)
	}
	return list, nil
}

// The groups of multicast DNS.
var (
	group4 = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: port}
	group6 = &net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: port}
)

// hops is what RFC 6762 section 11 wants.
const hops = 255

// socket4 is the socket for IPv4.
type socket4 struct {
	*ipv4.PacketConn
	udp *net.UDPConn
	mu  sync.Mutex // held while a link is chosen and sent to
}

// open4 binds the port, which others on the machine may have too: the package
// net shares a port that is opened under the address of a group.
func open4() (*socket4, error) {
	c, err := net.ListenUDP("udp4", group4)
	if err != nil {
		return nil, err
	}
	s := &socket4{PacketConn: ipv4.NewPacketConn(c), udp: c}
	err = errors.Join(s.SetMulticastLoopback(true), s.SetMulticastTTL(hops), s.SetTTL(hops))
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	_ = s.SetControlMessage(ipv4.FlagInterface, true) // where there is such a thing
	return s, nil
}

// Join implements [socket].
func (s *socket4) Join(link int) error {
	i, err := net.InterfaceByIndex(link)
	if err != nil {
		return err
	}
	return joined(s.JoinGroup(i, group4), s.LeaveGroup, s.JoinGroup, i, group4)
}

// joined makes of an error of joining a group none if the socket is a member.
func joined(err error, leave, join func(*net.Interface, net.Addr) error, i *net.Interface, group net.Addr) error {
	if err == nil {
		return nil
	}
	if leave(i, group) != nil {
		return fmt.Errorf("%s: join: %w", i.Name, err)
	}
	return join(i, group) // it was one, perhaps from before the interface came back
}

// Read implements [socket].
func (s *socket4) Read(b []byte) (n, link int, from netip.AddrPort, err error) {
	n, cm, addr, err := s.ReadFrom(b)
	if err != nil {
		return 0, 0, from, err
	}
	if cm != nil {
		link = cm.IfIndex
	}
	return n, link, addrPort(addr), nil
}

// Send implements [socket].
func (s *socket4) Send(b []byte, link int) error {
	i, err := net.InterfaceByIndex(link)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.SetMulticastInterface(i); err != nil {
		return err
	}
	_, err = s.WriteTo(b, nil, group4)
	return err
}

// SendTo implements [socket].
func (s *socket4) SendTo(b []byte, to netip.AddrPort) error {
	_, err := s.udp.WriteToUDPAddrPort(b, to)
	return err
}

// socket6 is the socket for IPv6.
type socket6 struct {
	*ipv6.PacketConn
	udp *net.UDPConn
	mu  sync.Mutex // held while a link is chosen and sent to
}

func open6() (*socket6, error) {
	c, err := net.ListenUDP("udp6", group6)
	if err != nil {
		return nil, err
	}
	s := &socket6{PacketConn: ipv6.NewPacketConn(c), udp: c}
	err = errors.Join(s.SetMulticastLoopback(true), s.SetMulticastHopLimit(hops), s.SetHopLimit(hops))
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	_ = s.SetControlMessage(ipv6.FlagInterface, true) // where there is such a thing
	return s, nil
}

// Join implements [socket].
func (s *socket6) Join(link int) error {
	i, err := net.InterfaceByIndex(link)
	if err != nil {
		return err
	}
	return joined(s.JoinGroup(i, group6), s.LeaveGroup, s.JoinGroup, i, group6)
}

// Read implements [socket].
func (s *socket6) Read(b []byte) (n, link int, from netip.AddrPort, err error) {
	n, cm, addr, err := s.ReadFrom(b)
	if err != nil {
		return 0, 0, from, err
	}
	if cm != nil {
		link = cm.IfIndex
	}
	return n, link, addrPort(addr), nil
}

// Send implements [socket].
func (s *socket6) Send(b []byte, link int) error {
	i, err := net.InterfaceByIndex(link)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.SetMulticastInterface(i); err != nil {
		return err
	}
	_, err = s.WriteTo(b, nil, group6)
	return err
}

// SendTo implements [socket].
func (s *socket6) SendTo(b []byte, to netip.AddrPort) error {
	_, err := s.udp.WriteToUDPAddrPort(b, to)
	return err
}

// addrPort is the address of a packet.
func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

var (
	_ lan    = system{}
	_ socket = (*socket4)(nil)
	_ socket = (*socket6)(nil)
)
