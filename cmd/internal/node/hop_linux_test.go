// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// said is control data as the system gives it of an ICMP message from 10.0.0.1.
func said(kind int32, origin, icmp byte) []byte {
	const header = 16 // on machines of 64 bits
	b := make([]byte, header, header+32)
	binary.NativeEndian.PutUint64(b, header+32)
	binary.NativeEndian.PutUint32(b[8:], uint32(unix.IPPROTO_IP))
	binary.NativeEndian.PutUint32(b[12:], uint32(kind))
	b = append(b, 113, 0, 0, 0, origin, icmp, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // EHOSTUNREACH
	return append(b, unix.AF_INET, 0, 0, 0, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
}

func TestDroppedBy(t *testing.T) {
	if unix.SizeofCmsghdr != 16 {
		t.Skip("headers are of another size here")
	}
	router := netip.MustParseAddr("10.0.0.1")
	for name, tc := range map[string]struct {
		control []byte
		want    netip.Addr
	}{
		"too far":          {said(unix.IP_RECVERR, unix.SO_EE_ORIGIN_ICMP, 11), router},
		"unreachable":      {said(unix.IP_RECVERR, unix.SO_EE_ORIGIN_ICMP, 3), netip.Addr{}},
		"of this machine":  {said(unix.IP_RECVERR, unix.SO_EE_ORIGIN_LOCAL, 11), netip.Addr{}},
		"something else":   {said(unix.IP_TTL, unix.SO_EE_ORIGIN_ICMP, 11), netip.Addr{}},
		"something before": {append(said(unix.IP_TTL, 0, 0), said(unix.IP_RECVERR, unix.SO_EE_ORIGIN_ICMP, 11)...), router},
		"cut off":          {said(unix.IP_RECVERR, unix.SO_EE_ORIGIN_ICMP, 11)[:30], netip.Addr{}},
		"nothing":          {nil, netip.Addr{}},
	} {
		if got := droppedBy(tc.control); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// Where there is no second router, none is found.
func TestNoSecondHop(t *testing.T) {
	if got := secondHop(t.Context(), netip.MustParseAddr("127.0.0.1")); got.IsValid() {
		t.Errorf("on the way to this machine there is %s", got)
	}
}
