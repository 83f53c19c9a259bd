// SPDX-License-Identifier: Apache-2.0 OR MIT

package mdns

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/mdns"
	"golang.org/x/net/ipv4"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// patience is how long the tests with an implementation that is not ours wait for
// what must come. All but a busy machine is done in less than a second.
const patience = time.Minute

// loopback is the loopback interface, if what is sent to the group of multicast
// DNS there arrives there, and if hashicorp/mdns can join the group.
func loopback(t *testing.T) *net.Interface {
	t.Helper()
	list, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 })
	if i < 0 {
		t.Skip("there is no loopback interface that is up: hashicorp/mdns is not asked")
	}
	lo := &list[i]
	usual, err := net.ListenMulticastUDP("udp4", nil, group4)
	if err != nil {
		t.Skipf("no interface is the usual one for multicast, which hashicorp/mdns wants: %v", err)
	}
	defer usual.Close()
	s, err := open4()
	if err != nil {
		t.Skipf("the port of multicast DNS cannot be opened here: %v", err)
	}
	defer s.Close()
	probe := fmt.Sprintf("not DNS, %x", rand.Uint64())
	if err = s.Join(lo.Index); err == nil {
		err = s.Send([]byte(probe), lo.Index)
	}
	if err == nil {
		err = s.SetReadDeadline(time.Now().Add(10 * time.Second))
	}
	for b := make([]byte, maxPacket); err == nil; {
		var n int
		if n, _, _, err = s.Read(b); err == nil && string(b[:n]) == probe {
			return lo
		}
	}
	t.Skipf("the interface %s does not multicast: %v", lo.Name, err)
	return nil
}

// onInterface makes the module for the system's sockets on one interface.
func onInterface(t *testing.T, i *net.Interface) *MDNS {
	t.Helper()
	return coretest.MustLoad[core.Discoverer](t, "mdns", fmt.Sprintf(`{"interfaces": [%q], "connect": 0}`, i.Name)).(*MDNS)
}

// apart is the machine's lan for a querier with a port of its own: what is sent to
// one at the port of multicast DNS is read by only one of the sockets that share
// it, which may be another process's.
type apart struct{ system }

// Open implements [lan].
func (apart) Open() ([]socket, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	return []socket{&socket4{PacketConn: ipv4.NewPacketConn(c), udp: c}}, nil
}

var silent = log.New(io.Discard, "", 0)

// An independent querier, hashicorp/mdns, that wants PTR, TXT, SRV and A to
// show anything, asks for the service and is shown the node with all its
// addresses.
func TestHashicorpFinds(t *testing.T) {
	lo := loopback(t)
	n := coretest.FakeNodes(t, 1)[0]
	defer n.Announce(addrs("/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/4001/quic-v1")...)()
	m := onInterface(t, lo)
	if err := m.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	// The name is a random one: nobody else on this machine has it.
	want := fmt.Sprintf("%s at %s [127.0.0.1]:%d, [dnsaddr=/ip4/127.0.0.1/tcp/4001/p2p/%[4]s dnsaddr=/ip4/127.0.0.1/udp/4001/quic-v1/p2p/%[4]s]",
		m.proto.names.instance, m.proto.names.host, port, n.ID())
	for _, unicast := range []bool{false, true} {
		got := ""
		for end := time.Now().Add(patience); got == "" && time.Now().Before(end); {
			entries := make(chan *mdns.ServiceEntry, 64) // it drops what finds no room
			err := mdns.Query(&mdns.QueryParam{
				Service: "_p2p._udp", Interface: lo, Entries: entries, WantUnicastResponse: unicast,
				Timeout: 300 * time.Millisecond, DisableIPv6: true, Logger: silent,
			})
			if err != nil {
				t.Fatal(err)
			}
			close(entries) // the query has ended: entries do not change any more
			for e := range entries {
				if e.Name == m.proto.names.instance {
					got = fmt.Sprintf("%s at %s [%v]:%d, %v", e.Name, e.Host, e.AddrV4, e.Port, e.InfoFields)
				}
			}
		}
		if got != want {
			t.Errorf("a query, unicast %v, finds %q, want\n%q", unicast, got, want)
		}
	}
}

// An independent responder, hashicorp/mdns, that has all records in the answer
// section and sends them to the querier only, is read: of the strings of its TXT
// record those that are addresses of one peer on the link; its SRV and A records
// and the other strings do no harm.
func TestFindsHashicorp(t *testing.T) {
	lo := loopback(t)
	n := coretest.FakeNodes(t, 1)[0]
	defer n.Announce(addrs("/ip4/127.0.0.1/tcp/4001")...)()
	other := coretest.NewIdentity(rand.Uint64()).ID() // nobody else on this machine has it
	zone, err := mdns.NewMDNSService(peerName(), "_p2p._udp", "local.", "other.p2p.local.", 9, []net.IP{net.IPv4(127, 0, 0, 9), net.IPv6loopback}, []string{
		"path=/",
		"dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/" + other.String(),
		"dnsaddr=/ip4/127.0.0.1/tcp/4777/p2p/" + other.String(),
		"dnsaddr=/ip4/127.0.0.1/tcp/4778/p2p/" + bob.String(),
		"dnsaddr=/ip4/127.0.0.1/udp/4777/quic-v1/p2p/" + other.String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	server, err := mdns.NewServer(&mdns.Config{Zone: zone, Iface: lo, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	found := make(chan string, 1)
	defer core.On(n, func(e core.PeerDiscovered) {
		if e.Peer.ID == other {
			select {
			case found <- fmt.Sprint(e.Peer.Addrs):
			default:
			}
		}
	})()
	m := onInterface(t, lo)
	m.lan = apart{}
	if err := m.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	select {
	case got := <-found:
		if want := "[/ip4/127.0.0.1/tcp/4777 /ip4/127.0.0.1/udp/4777/quic-v1]"; got != want {
			t.Errorf("found %s, want %s", got, want)
		}
	case <-time.After(patience):
		t.Error("what hashicorp/mdns answers is not read")
	}
}
