// SPDX-License-Identifier: Apache-2.0 OR MIT

package mdns

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// TestDissection has an independent reader, Wireshark's, take all packets that
// the module sends apart: it finds nothing to complain about.
func TestDissection(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed (Debian has it in the package tshark): packets are not dissected")
	}
	o := tell(home, alice, addrs("/ip4/192.168.1.7/tcp/4001", "/ip4/192.168.1.7/udp/4001/quic-v1", "/ip6/2001:db8:1::7/tcp/4001"))
	legacyQuestion := dnsmessage.Question{Name: dnsmessage.MustNewName(service0), Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}
	packets := [][]byte{testNames.question()}
	for _, a := range []answer{
		{wants: wantPTR, ttl: ttl}, {wants: wantPTR}, {wants: wantMeta, ttl: ttl}, {wants: wantSRV | wantTXT, ttl: ttl}, {wants: wantA | wantAAAA, ttl: ttl},
		{wants: wantPTR, ttl: legacyTTL, legacy: legacy{7, &legacyQuestion}},
	} {
		a.own = o
		b, err := testNames.build(a)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, b)
	}
	// A capture file of raw IPv4 packets.
	le := binary.LittleEndian
	file := le.AppendUint32(nil, 0xa1b2c3d4)
	file = le.AppendUint16(file, 2)
	file = le.AppendUint16(file, 4)
	for _, v := range []uint32{0, 0, 65535, 101} {
		file = le.AppendUint32(file, v)
	}
	for _, p := range packets {
		for _, v := range []uint32{0, 0, uint32(28 + len(p)), uint32(28 + len(p))} {
			file = le.AppendUint32(file, v)
		}
		file = append(file, ipv4UDP(p)...)
	}
	path := filepath.Join(t.TempDir(), "mdns.pcap")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tshark, "-r", path, "-V").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// All packets have the ID 0, as they must: what answers more than once is no
	// repetition.
	var text string
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "DNS response retransmission") {
			text += line
		}
	}
	if n := strings.Count(text, "Multicast Domain Name System ("); n != len(packets) {
		t.Errorf("%d of %d packets are seen as multicast DNS", n, len(packets))
	}
	for _, bad := range []string{"Malformed", "Expert Info", "Unknown (", "[Packet size limited"} {
		if i := strings.Index(text, bad); i >= 0 {
			t.Errorf("%q in the dissection:\n%s", bad, text[max(0, i-1000):min(len(text), i+300)])
		}
	}
	for _, want := range []string{
		"_p2p._udp.local: type PTR, class IN, name._p2p._udp.local", "name._p2p._udp.local: type SRV, class IN, cache flush, priority 0, weight 0, port 5353, target name.p2p.local",
		"TXT: dnsaddr=/ip4/192.168.1.7/tcp/4001/p2p/" + alice.String(), "name.p2p.local: type A, class IN, cache flush, addr 192.168.1.7",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the dissection lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// ipv4UDP puts headers before a packet to the group of multicast DNS.
func ipv4UDP(p []byte) []byte {
	be := binary.BigEndian
	b := []byte{0x45, 0}
	b = be.AppendUint16(b, uint16(28+len(p)))
	b = append(b, 0, 0, 0, 0, hops, 17, 0, 0, 192, 168, 1, 7, 224, 0, 0, 251)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(be.Uint16(b[i:]))
	}
	be.PutUint16(b[10:], ^uint16(sum+sum>>16))
	b = be.AppendUint16(b, port)
	b = be.AppendUint16(b, port)
	b = be.AppendUint16(b, uint16(8+len(p)))
	b = append(b, 0, 0) // no checksum
	return append(b, p...)
}
