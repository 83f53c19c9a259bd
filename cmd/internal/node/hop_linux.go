// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"context"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// hopTime is how long a router is waited for.
	hopTime = time.Second
	// hopPort is where nobody listens: nothing arrives there that is meant.
	hopPort = 33434
	// timeExceeded is the type of the ICMP message of who drops a packet that has
	// come too far.
	timeExceeded = 11
)

// secondHop finds out which router is behind the first one, on the way to an IPv4
// address: a datagram that may not go farther has to be dropped there, and the
// system hands out what that router says of it.
func secondHop(ctx context.Context, to netip.Addr) (router netip.Addr) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp4", netip.AddrPortFrom(to, hopPort).String())
	if err != nil {
		return router
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return router
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		if failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1); failed == nil {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, 2)
		}
	})
	if err != nil || failed != nil || c.SetReadDeadline(time.Now().Add(hopTime)) != nil {
		return router
	}
	defer context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })()
	if _, err := c.Write([]byte{0}); err != nil {
		return router
	}
	_ = raw.Read(func(fd uintptr) bool { // without an answer, nothing is known
		b, control := make([]byte, 64), make([]byte, 512)
		_, n, _, _, err := unix.Recvmsg(int(fd), b, control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return err != unix.EAGAIN
		}
		router = droppedBy(control[:n])
		return true
	})
	return router
}

// droppedBy reads in control data who says that a packet has come too far.
func droppedBy(control []byte) (router netip.Addr) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return router
	}
	for _, m := range messages {
		// An error, its origin in the byte 4 and its type in 5, and behind 16 bytes
		// the address of who says so: family and port, and from 20 on the IP address.
		if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR && len(m.Data) >= 24 &&
			m.Data[4] == unix.SO_EE_ORIGIN_ICMP && m.Data[5] == timeExceeded {
			return netip.AddrFrom4([4]byte(m.Data[20:24]))
		}
	}
	return router
}
