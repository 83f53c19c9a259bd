// SPDX-License-Identifier: Apache-2.0 OR MIT

package mdns

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

var (
	home  = []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("fe80::/64"), netip.MustParsePrefix("2001:db8:1::/64")}
	alice = coretest.NewIdentity(1).ID()
	bob   = coretest.NewIdentity(2).ID()
)

func addrs(texts ...string) (list []ma.Multiaddr) {
	for _, t := range texts {
		list = append(list, ma.StringCast(t))
	}
	return list
}

const service0 = "_p2p._udp.local."

var testNames = newMachine(alice, service0, "name", 1).names

// The packets byte for byte, from RFC 1035.
func TestGoldenPackets(t *testing.T) {
	question := "0000" + "0000" + "0001" + "0000" + "0000" + "0000" +
		"04" + hex.EncodeToString([]byte("_p2p")) + "04" + hex.EncodeToString([]byte("_udp")) + "05" + hex.EncodeToString([]byte("local")) + "00" +
		"000c" + "0001"
	if got := hex.EncodeToString(testNames.question()); got != question {
		t.Errorf("question\n%s, want\n%s", got, question)
	}

	o := tell(home, alice, addrs("/ip4/192.168.1.7/tcp/4001"))
	got, err := testNames.build(answer{wants: wantPTR, ttl: ttl, own: o})
	if err != nil {
		t.Fatal(err)
	}
	text := "dnsaddr=/ip4/192.168.1.7/tcp/4001/p2p/" + alice.String()
	txt := fmt.Sprintf("%02x", len(text)) + hex.EncodeToString([]byte(text))
	const record = "8001" + "00000168"
	want := "0000" + "8400" + "0000" + "0001" + "0000" + "0003" +
		question[24:len(question)-8] + "000c" + "0001" + "00000168" + "0007" + "04" + hex.EncodeToString([]byte("name")) + "c00c" + // PTR
		"c027" + "0010" + record + fmt.Sprintf("%04x", 1+len(text)) + txt +
		"c027" + "0021" + record + "0016" + "0000" + "0000" + "14e9" + // SRV, whose target is never compressed
		"04" + hex.EncodeToString([]byte("name")) + "03" + hex.EncodeToString([]byte("p2p")) + "05" + hex.EncodeToString([]byte("local")) + "00" +
		"04" + hex.EncodeToString([]byte("name")) + "03" + hex.EncodeToString([]byte("p2p")) + "c016" + "0001" + record + "0004" + "c0a80107" // A
	if h := hex.EncodeToString(got); h != want {
		t.Errorf("answer\n%s, want\n%s", h, want)
	}
}

// read parses a packet as an independent reader would: all of it, strictly.
func read(t testing.TB, b []byte) dnsmessage.Message {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		t.Fatalf("%v: %x", err, b)
	}
	return m
}

// TestAnswer checks what the readers of the other stacks look for: all of them
// want PTR in the answer section; rust-libp2p wants TXT in the additional one,
// go-libp2p one TXT record, SRV and A or AAAA as well.
func TestAnswer(t *testing.T) {
	o := tell(home, alice, addrs("/ip6/2001:db8:1::7/tcp/4001", "/ip4/192.168.1.7/udp/4001/quic-v1", "/ip4/192.168.1.7/tcp/4001",
		"/ip4/10.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.7/tcp/4001/ws", "/dns4/x.local/tcp/1",
		"/ip4/192.168.1.7/udp/4001/quic-v1/webtransport", "/ip4/192.168.1.9/tcp/1/p2p/"+bob.String()+"/p2p-circuit", "/ip4/8.8.8.8/tcp/1"))
	b, err := testNames.build(answer{wants: wantPTR, ttl: ttl, own: o})
	if err != nil {
		t.Fatal(err)
	}
	m := read(t, b)
	if len(m.Answers) != 1 || len(m.Additionals) != 4 || len(m.Questions)+len(m.Authorities) > 0 || !m.Response || !m.Authoritative || m.ID != 0 {
		t.Fatalf("%+v", m)
	}
	if ptr := m.Answers[0].Body.(*dnsmessage.PTRResource); ptr.PTR.String() != "name."+service0 || m.Answers[0].Header.Class != 1 {
		t.Errorf("%+v", m.Answers[0])
	}
	var seen []string
	for _, r := range m.Additionals {
		switch body := r.Body.(type) {
		case *dnsmessage.TXTResource:
			seen = append(seen, strings.ReplaceAll(strings.Join(body.TXT, " "), "/p2p/"+alice.String(), ""))
		case *dnsmessage.SRVResource:
			seen = append(seen, "SRV "+body.Target.String())
		case *dnsmessage.AResource:
			seen = append(seen, fmt.Sprint(netip.AddrFrom4(body.A)))
		case *dnsmessage.AAAAResource:
			seen = append(seen, fmt.Sprint(netip.AddrFrom16(body.AAAA)))
		}
		if r.Header.Class != 0x8001 || r.Header.TTL != 360 {
			t.Errorf("%+v", r.Header)
		}
	}
	want := "dnsaddr=/ip4/192.168.1.7/tcp/4001 dnsaddr=/ip4/192.168.1.7/udp/4001/quic-v1 dnsaddr=/ip6/2001:db8:1::7/tcp/4001, SRV name.p2p.local., 192.168.1.7, 2001:db8:1::7"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
}

// One packet of a usual link has room for all that is told, and what is longer
// than a string of DNS is left out.
func TestAnswerFitsIntoAPacket(t *testing.T) {
	var many []ma.Multiaddr
	for i := range 200 {
		many = append(many, ma.StringCast(fmt.Sprintf("/ip4/192.168.1.%d/tcp/4001", i+1)))
	}
	many = append(many, ma.StringCast("/ip4/192.168.1.1/tcp/1/http-path/"+strings.Repeat("a", 250)))
	o := tell(home, alice, many)
	for _, w := range []wants{wantPTR, 0xff} {
		b, err := testNames.build(answer{wants: w, ttl: ttl, own: o, legacy: legacy{1, &dnsmessage.Question{Name: dnsmessage.MustNewName(service0)}}})
		if err != nil || len(b) > 1452 {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
	for _, text := range o.texts {
		if len(text) > maxText {
			t.Errorf("%d bytes", len(text))
		}
	}
}

// packet makes the packets of other stacks.
type packet struct{ answers, additionals []dnsmessage.Resource }

func rr(name string, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: 120},
		Body:   body,
	}
}

func ptr(to string) dnsmessage.Resource {
	return rr(service0, &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(to)})
}

func txt(name string, texts ...string) dnsmessage.Resource {
	return rr(name, &dnsmessage.TXTResource{TXT: texts})
}

func (p packet) pack(t testing.TB) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, Response: true, Authoritative: true}, Answers: p.answers, Additionals: p.additionals}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rustPacket is laid out as rust-libp2p does it: no SRV and no addresses, PTR
// as answer, each address in a TXT record of its own in the additional section,
// names not compressed, a mixed-case name that does not end in the service's.
func rustPacket(instance string, texts ...string) []byte {
	name := func(s string) (b []byte) {
		for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
			b = append(append(b, byte(len(label))), label...)
		}
		return append(b, 0)
	}
	b := binary.BigEndian.AppendUint16(nil, 0xf8f8)
	b = binary.BigEndian.AppendUint16(b, 0x8400)
	for _, n := range []int{0, 1, 0, len(texts)} {
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	record := func(owner []byte, kind, class uint16, data []byte) {
		b = append(b, owner...)
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint16(b, class)
		b = binary.BigEndian.AppendUint32(b, 360)
		b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
		b = append(b, data...)
	}
	record(name(service0), 12, 1, name(instance))
	for _, text := range texts {
		record(name(instance), 16, 0x8001, append([]byte{byte(len(text))}, text...))
	}
	return b
}

func dnsaddr(a string) string { return "dnsaddr=" + a + "/p2p/" + bob.String() }

// The layouts of the answers of the other stacks.
func TestReadsAllStacks(t *testing.T) {
	const a, b = "/ip4/192.168.1.8/tcp/1", "/ip4/192.168.1.8/udp/2/quic-v1"
	const name = "peer." + service0
	for stack, p := range map[string][]byte{
		"rust": rustPacket("AbCdEfGh.", dnsaddr(a), dnsaddr(b)),
		"go": packet{[]dnsmessage.Resource{ptr(name)}, []dnsmessage.Resource{
			rr(name, &dnsmessage.SRVResource{Port: 4001, Target: dnsmessage.MustNewName("peer.local.")}),
			txt(name, dnsaddr(a), dnsaddr(b)),
			rr("peer.local.", &dnsmessage.AResource{A: [4]byte{192, 168, 1, 8}})}}.pack(t),
		"js":   packet{[]dnsmessage.Resource{ptr(name), txt(name, dnsaddr(a)), txt(name, dnsaddr(b))}, nil}.pack(t),
		"py":   packet{[]dnsmessage.Resource{ptr(name)}, []dnsmessage.Resource{txt(name, dnsaddr(a), "dnsaddr2="+dnsaddr(b)[8:])}}.pack(t),
		"text": packet{[]dnsmessage.Resource{txt(name, dnsaddr(a), dnsaddr(b))}, nil}.pack(t),
	} {
		m, err := parse(p, testNames)
		if err != nil || len(m.instances) != 1 {
			t.Errorf("%s: %+v, %v", stack, m, err)
			continue
		}
		got := heard(home, m.instances[0].texts)
		if got.ID != bob || fmt.Sprint(got.Addrs) != fmt.Sprint(addrs(a, b)) || m.instances[0].ttl < 2*time.Minute {
			t.Errorf("%s: %v", stack, got)
		}
	}
}

func TestReadsOwnAnswer(t *testing.T) {
	o := tell(home, bob, addrs("/ip4/192.168.1.7/tcp/4001", "/ip6/2001:db8:1::7/udp/1/quic-v1"))
	b, err := testNames.build(answer{wants: wantPTR, ttl: ttl, own: o})
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(b, testNames)
	if err != nil || len(m.instances) != 1 || m.instances[0].bye {
		t.Fatalf("%+v, %v", m, err)
	}
	if got := heard(home, m.instances[0].texts); got.ID != bob || len(got.Addrs) != 2 {
		t.Errorf("%v", got)
	}
}

// What is said of other places than the link is not believed.
func TestEvil_D2_AddressesOfOtherNetworks(t *testing.T) {
	for _, a := range []string{
		"/ip4/10.0.0.1/tcp/22", "/ip4/127.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/53", "/ip4/169.254.169.254/tcp/80", "/ip4/172.16.0.1/tcp/1",
		"/ip4/192.168.2.1/tcp/1", "/ip4/224.0.0.251/udp/5353/quic-v1", "/ip4/255.255.255.255/tcp/1", "/ip4/0.0.0.0/tcp/1", "/ip6/::1/tcp/1",
		"/ip6/fd00::1/tcp/1", "/ip6/2001:db8:2::1/tcp/1", "/ip6/::ffff:10.0.0.1/tcp/1", "/ip6/ff02::1/udp/1/quic-v1", "/ip6/64:ff9b::a00:1/tcp/1",
		"/dns4/example.org/tcp/1", "/dnsaddr/example.org", "/dns/printer.local/tcp/1", "/unix/tmp/socket", "/memory/1",
		"/ip4/192.168.1.9/tcp/1/p2p/" + alice.String() + "/p2p-circuit",
	} {
		if got := heard(home, []string{dnsaddr(a)}); len(got.Addrs) > 0 {
			t.Errorf("%s: %v", a, got)
		}
	}
	for _, a := range []string{"/ip4/192.168.1.9/tcp/1", "/ip6/::ffff:192.168.1.9/tcp/1", "/ip6/2001:db8:1::9/tcp/1", "/ip6/fe80::1/tcp/1", "/ip4/192.168.1.9/tcp/1/ws"} {
		if got := heard(home, []string{dnsaddr(a)}); len(got.Addrs) != 1 {
			t.Errorf("%s: %v", a, got)
		}
	}
	for _, text := range []string{
		"", "dnsaddr", "dnsaddr=", "dnsaddrx=" + dnsaddr("/ip4/192.168.1.9/tcp/1")[8:], "dnsaddr=" + bob.String(), "dnsaddr=/p2p/" + bob.String(),
		"dnsaddr=/ip4/192.168.1.9/tcp/1", "addr=/ip4/192.168.1.9/tcp/1/p2p/" + bob.String(), strings.Repeat("dnsaddr=/", 1000),
	} {
		if got := heard(home, []string{text}); got.ID != "" {
			t.Errorf("%q: %v", text, got)
		}
	}
	two := heard(home, []string{dnsaddr("/ip4/192.168.1.9/tcp/1"), "dnsaddr=/ip4/192.168.1.9/tcp/2/p2p/" + alice.String()})
	if two.ID != bob || len(two.Addrs) != 1 {
		t.Errorf("two peers in one record: %v", two)
	}
}

// A packet with as much as it can hold.
func TestEvil_R10_BigPackets(t *testing.T) {
	var p packet
	for i := range 1000 {
		name := fmt.Sprintf("p%d.%s", i, service0)
		p.answers = append(p.answers, ptr(name), txt(name, dnsaddr("/ip4/192.168.1.9/tcp/1")))
	}
	b := p.pack(t)
	if _, err := parse(b, testNames); err == nil {
		t.Errorf("%d bytes were read", len(b))
	}
	binary.BigEndian.PutUint16(b[6:], 60)
	m, err := parse(b[:maxPacket], testNames)
	if len(m.instances) > maxInstances {
		t.Errorf("%d instances, %v", len(m.instances), err)
	}
	var texts []string
	for i := range 150 {
		texts = append(texts, dnsaddr(fmt.Sprintf("/ip4/192.168.1.9/tcp/%d", i+1))[:50])
	}
	m, err = parse(packet{[]dnsmessage.Resource{ptr("x." + service0), txt("x."+service0, texts...)}, nil}.pack(t), testNames)
	if err != nil || len(m.instances) != 1 || len(m.instances[0].texts) != maxTexts {
		t.Errorf("%d instances, %v", len(m.instances), err)
	}
}

func FuzzParse(f *testing.F) {
	o := tell(home, bob, addrs("/ip4/192.168.1.7/tcp/4001"))
	for _, w := range []wants{wantPTR, wantMeta, 0xff} {
		b, err := testNames.build(answer{wants: w, ttl: ttl, own: o})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(testNames.question())
	f.Add(rustPacket("x."+service0, dnsaddr("/ip4/192.168.1.8/tcp/1")))
	f.Add(bytes.Repeat([]byte{0xc0, 0x0c}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b, testNames)
		if len(m.instances) > maxInstances || err == nil && len(b) > maxPacket {
			t.Fatal("too much")
		}
		for _, i := range m.instances {
			p := heard(home, i.texts)
			if (p.ID == "") != (len(p.Addrs) == 0) || len(p.Addrs) > maxAddrs {
				t.Fatalf("%v", p)
			}
			for _, a := range p.Addrs {
				if ip, ok := peer.IP(a); !ok || !onLink(home, ip) {
					t.Fatalf("%v is not on the link", a)
				}
			}
		}
		if q := m.query; q.wants != 0 {
			if out, err := testNames.build(answer{wants: q.wants, ttl: ttl, own: o, legacy: legacy{q.id, &q.first}}); err != nil || len(out) > 1452 {
				t.Fatalf("answer to %x: %d bytes, %v", b, len(out), err)
			}
		}
	})
}
