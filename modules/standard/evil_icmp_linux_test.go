// SPDX-License-Identifier: Apache-2.0 OR MIT

package standard_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

// udpOf is the UDP address in a multiaddr.
func udpOf(t *testing.T, a ma.Multiaddr) *net.UDPAddr {
	t.Helper()
	ip, err := a.ValueForProtocol(ma.P_IP4)
	if err != nil {
		t.Fatal(err)
	}
	port, err := a.ValueForProtocol(ma.P_UDP)
	if err != nil {
		t.Fatal(err)
	}
	at, err := net.ResolveUDPAddr("udp4", net.JoinHostPort(ip, port))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// echoLarge has more echoed than fits into a few packets.
func echoLarge(st io.ReadWriter) error {
	const size = 256 << 10
	sent := make(chan error, 1)
	go func() {
		_, err := st.Write(make([]byte, size))
		sent <- err
	}()
	_, err := io.ReadFull(st, make([]byte, size))
	return errors.Join(err, <-sent)
}

// tooBig is an ICMP message that says that a UDP packet of from to to did not fit
// into a link of the given MTU.
func tooBig(from, to *net.UDPAddr, mtu uint16) []byte {
	b := make([]byte, 8+20+8)
	b[0], b[1] = 3, 4 // destination unreachable, fragmentation needed
	binary.BigEndian.PutUint16(b[6:], mtu)
	ip := b[8:]
	ip[0], ip[8], ip[9] = 0x45, 64, syscall.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], 1280)
	binary.BigEndian.PutUint16(ip[6:], 0x4000) // do not fragment
	copy(ip[12:16], from.IP.To4())
	copy(ip[16:20], to.IP.To4())
	binary.BigEndian.PutUint16(ip[20:], uint16(from.Port))
	binary.BigEndian.PutUint16(ip[22:], uint16(to.Port))
	binary.BigEndian.PutUint16(ip[24:], 1260)
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
	return b
}

// Forged messages that packets were too big make neither side of a connection
// send smaller ones than QUIC works with, nor end it.
func TestEvil_Q7_ForgedICMP(t *testing.T) {
	raw, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("forging ICMP messages needs root's rights")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(raw)
	s := newSite(t, roomy)
	for i, w := range ways {
		if !strings.Contains(w.suffix, "quic-v1") {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			h := s.newcomers[i]
			c, err := h.Connect(t.Context(), s.info(t, w.suffix))
			if err != nil {
				t.Fatal(err)
			}
			st, err := c.NewStream(t.Context(), echoProtocol)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			here, there := udpOf(t, c.LocalMultiaddr()), udpOf(t, c.RemoteMultiaddr())
			if here.IP.IsUnspecified() {
				here.IP = there.IP
			}
			for _, mtu := range []uint16{0, 68, 576, 1100} {
				for _, p := range []struct{ from, to *net.UDPAddr }{{here, there}, {there, here}} {
					to := &syscall.SockaddrInet4{Addr: [4]byte(p.from.IP.To4())}
					if err := syscall.Sendto(raw, tooBig(p.from, p.to, mtu), 0, to); err != nil {
						t.Fatal(err)
					}
				}
				if err := echoLarge(st); err != nil {
					t.Fatalf("after an MTU of %d: %v", mtu, err)
				}
			}
			select {
			case <-c.Done():
				t.Error("the connection has ended")
			default:
			}
		})
	}
}
