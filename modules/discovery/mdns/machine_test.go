// SPDX-License-Identifier: Apache-2.0 OR MIT

package mdns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/xnode-p2p/xnode/core/coretest"
)

var (
	neighbour = netip.MustParseAddrPort("192.168.1.8:5353")
	resolver  = netip.MustParseAddrPort("192.168.1.8:49152") // who knows only unicast DNS
	stranger  = netip.MustParseAddrPort("10.9.9.9:5353")
)

// run is a machine on one link, its time, and a trace of what it does.
type run struct {
	t testing.TB
	*machine
	start, now, wake time.Time
	lines            []string
}

func newRun(t testing.TB, texts ...string) *run {
	start := time.Unix(0, 0)
	r := &run{t: t, machine: newMachine(alice, service0, "name", 1), start: start, now: start}
	r.change(texts...)
	return r
}

// change says what the node has on its only link.
func (r *run) change(texts ...string) {
	r.do(linksChanged{[]linkState{{1, home, false, tell(home, alice, addrs(texts...))}}})
}

func (r *run) do(event any) {
	actions, wake := r.Step(event, r.now)
	r.wake = wake
	for _, a := range actions {
		r.lines = append(r.lines, fmt.Sprintf("%v %s", r.now.Sub(r.start).Round(time.Second), r.show(a)))
	}
}

// show names an action, and reads packets as others do.
func (r *run) show(action any) string {
	switch a := action.(type) {
	case send:
		m := read(r.t, a.data)
		what := "ask"
		if m.Response {
			what = "answer"
			if m.Answers[0].Header.TTL == 0 {
				what = "goodbye"
			}
		}
		if a.to.IsValid() {
			what += " " + a.to.String()
		}
		return what
	case found:
		return fmt.Sprintf("found %s %v", a.peer.ID.Short(), a.peer.Addrs)
	case lost:
		return "lost " + a.id.Short()
	}
	return fmt.Sprint(action)
}

// until lets time go by.
func (r *run) until(after time.Duration) {
	for end := r.start.Add(after); ; {
		if r.wake.IsZero() || r.wake.After(end) {
			r.now = end
			return
		}
		r.now = r.wake
		r.do(tick{})
	}
}

func (r *run) hear(from netip.AddrPort, data []byte) { r.do(received{1, from, data}) }

// trace checks what has been done since the last call.
func (r *run) trace(want ...string) {
	r.t.Helper()
	if got := strings.Join(r.lines, "\n"); got != strings.Join(want, "\n") {
		r.t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	r.lines = nil
}

func (r *run) count(what string) (n int) {
	for _, l := range r.lines {
		if _, action, _ := strings.Cut(l, " "); strings.HasPrefix(action, what) {
			n++
		}
	}
	return n
}

const (
	here  = "/ip4/192.168.1.7/tcp/4001"
	there = "/ip4/192.168.1.8/tcp/4001"
)

// The golden trace of a node that starts, answers, hears and goes.
func TestTrace(t *testing.T) {
	r := newRun(t, here)
	r.until(100 * time.Second)
	r.trace("0s answer", "0s ask", "1s ask", "1s answer", "4s ask", "13s ask", "42s ask")

	r.hear(neighbour, testNames.question())
	r.until(102 * time.Second)
	r.trace("1m40s answer")

	bobs := rustPacket("bob."+service0, dnsaddr(there))
	r.hear(neighbour, bobs)
	r.hear(neighbour, bobs)
	short := bob.Short()
	r.trace("1m42s found "+short+" ["+there+"]", "1m42s found "+short+" ["+there+"]")

	r.change(here, "/ip4/192.168.1.7/udp/4001/quic-v1")
	r.until(104 * time.Second)
	r.trace("1m42s answer", "1m43s answer")
	r.change(here, "/ip4/192.168.1.7/udp/4001/quic-v1")
	r.until(105 * time.Second)
	r.trace()

	r.do(closing{})
	r.trace("1m45s goodbye")
}

// Questions go out less and less often, without end.
func TestQueriesBackOff(t *testing.T) {
	r := newRun(t)
	r.until(time.Hour)
	if n := r.count("ask"); n < 25 || n > 35 || len(r.lines) != n {
		t.Errorf("%d questions in an hour, of %d actions, by a node with nothing to tell", n, len(r.lines))
	}
}

// On another network it asks anew, and on none it is silent.
func TestLinksChange(t *testing.T) {
	r := newRun(t, here)
	r.until(time.Hour)
	r.lines = nil
	r.do(linksChanged{})
	r.until(2 * time.Hour)
	r.trace()
	r.change(here)
	r.until(2*time.Hour + 2*time.Second)
	r.trace("2h0m0s answer", "2h0m0s ask", "2h0m1s ask", "2h0m1s answer")
}

// Whoever asks, from wherever on the link, gets an answer that he can hear.
func TestReplies(t *testing.T) {
	ask := func(name string, kind dnsmessage.Type, class dnsmessage.Class) []byte {
		m := dnsmessage.Message{Header: dnsmessage.Header{ID: 99}, Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: class}}}
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, tc := range map[string]struct {
		from     netip.AddrPort
		question []byte
		unicast  bool
		answers  string // the types of the records in the answer section
		more     int    // in the additional one
	}{
		"multicast":         {neighbour, ask(service0, dnsmessage.TypePTR, 1), false, "TypePTR", 3},
		"any, upper case":   {neighbour, ask("_P2P._UDP.LOCAL.", dnsmessage.TypeALL, 255), false, "TypePTR", 3},
		"wants unicast":     {neighbour, ask(service0, dnsmessage.TypePTR, 0x8001), true, "TypePTR", 3},
		"legacy":            {resolver, ask(service0, dnsmessage.TypePTR, 1), true, "TypePTR", 3},
		"all services":      {resolver, ask(metaService, dnsmessage.TypePTR, 1), true, "TypePTR", 0},
		"text":              {resolver, ask("name."+service0, dnsmessage.TypeTXT, 1), true, "TypeTXT", 0},
		"server":            {resolver, ask("name."+service0, dnsmessage.TypeSRV, 1), true, "TypeSRV", 1},
		"all of the peer":   {resolver, ask("Name."+service0, dnsmessage.TypeALL, 1), true, "TypeTXT TypeSRV", 1},
		"address":           {resolver, ask("name.p2p.local.", dnsmessage.TypeA, 1), true, "TypeA", 0},
		"another peer":      {resolver, ask("nobody."+service0, dnsmessage.TypeTXT, 1), false, "", 0},
		"another service":   {resolver, ask("_ipp._tcp.local.", dnsmessage.TypePTR, 1), false, "", 0},
		"a private network": {resolver, ask("_p2p-00._udp.local.", dnsmessage.TypePTR, 1), false, "", 0},
		"from elsewhere":    {stranger, ask(service0, dnsmessage.TypePTR, 0x8001), false, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, here)
			r.until(10 * time.Second)
			actions, _ := r.Step(received{1, tc.from, tc.question}, r.now)
			alone := 0
			r.now = r.now.Add(between)
			later, _ := r.Step(tick{}, r.now)
			answered := false
			for _, a := range append(actions, later...) {
				s := a.(send)
				m := read(t, s.data)
				if !m.Response {
					continue
				}
				answered = true
				var kinds []string
				for _, rr := range m.Answers {
					kinds = append(kinds, rr.Header.Type.String())
				}
				if got := strings.Join(kinds, " "); got != tc.answers || len(m.Additionals) != tc.more {
					t.Errorf("%s and %d more, want %s and %d", got, len(m.Additionals), tc.answers, tc.more)
				}
				if s.to.IsValid() {
					alone++
				}
				wantID := uint16(0)
				if s.to == resolver {
					wantID = 99
				}
				if m.ID != wantID || (len(m.Questions) == 1) != (s.to == resolver) {
					t.Errorf("ID %d, %d questions to %v", m.ID, len(m.Questions), s.to)
				}
			}
			if answered != (tc.answers != "") || (alone == 1) != tc.unicast || alone > 1 {
				t.Errorf("answered %v, %d times to one alone", answered, alone)
			}
		})
	}
}

// Many questions have one answer to all a second, and a few more to those who
// asked alone.
func TestEvil_R10_QuestionsDoNotAmplify(t *testing.T) {
	r := newRun(t, here)
	r.until(10 * time.Second)
	r.lines = nil
	for i := range 1000 {
		from := neighbour
		if i%2 == 0 {
			from = resolver
		}
		r.hear(from, testNames.question())
	}
	r.until(12 * time.Second)
	if all := r.count("answer"); all > maxUnicasts+1 {
		t.Errorf("1000 questions at once have %d answers", all)
	}
}

// One thousand forged answers in a second: what is remembered has a bound, and
// an honest peer is found, and its goodbye understood, afterwards.
func TestEvil_R10_ForgedAnswers(t *testing.T) {
	r := newRun(t, here)
	for i := range 1000 {
		p := coretest.NewIdentity(uint64(i + 10)).ID()
		name := fmt.Sprintf("p%d.%s", i, service0)
		r.hear(neighbour, packet{[]dnsmessage.Resource{ptr(name), txt(name, "dnsaddr="+there+"/p2p/"+p.String())}, nil}.pack(t))
		if len(r.known) > maxKnown {
			t.Fatalf("%d are known", len(r.known))
		}
	}
	if n := r.count("found"); n != maxReads {
		t.Errorf("%d of 1000 packets were read in a second, want %d", n, maxReads)
	}
	r.until(2 * time.Second)
	r.lines = nil
	r.hear(neighbour, rustPacket("bob."+service0, dnsaddr(there)))
	bye := ptr("BOB." + service0)
	bye.Header.TTL = 0
	r.hear(neighbour, packet{[]dnsmessage.Resource{bye}, nil}.pack(t))
	r.trace("2s found "+bob.Short()+" ["+there+"]", "2s lost "+bob.Short())
}

// A reflector repeats what the node itself has said, from its own address or
// from another network, with and without its name.
func TestEvil_R10_Reflector(t *testing.T) {
	r := newRun(t, here)
	r.until(10 * time.Second)
	r.lines = nil
	own, err := r.names.build(answer{wants: wantPTR, ttl: ttl, own: tell(home, alice, addrs(here))})
	if err != nil {
		t.Fatal(err)
	}
	r.hear(neighbour, own)
	r.hear(stranger, own)
	r.hear(neighbour, packet{[]dnsmessage.Resource{txt("other."+service0, "dnsaddr="+here+"/p2p/"+alice.String())}, nil}.pack(t))
	r.hear(stranger, rustPacket("bob."+service0, dnsaddr("/ip4/10.9.9.9/tcp/1")))
	r.hear(neighbour, rustPacket("bob."+service0, dnsaddr("/ip4/10.9.9.9/tcp/1")))
	bye := ptr(r.names.instance)
	bye.Header.TTL = 0
	r.hear(neighbour, packet{[]dnsmessage.Resource{bye}, nil}.pack(t))
	r.until(12 * time.Second)
	r.trace()
}

// rust-libp2p has another name in every answer: what is remembered of one peer
// stays little, and others are still understood when they go.
func TestManyNames(t *testing.T) {
	r := newRun(t)
	carol := coretest.NewIdentity(77).ID()
	r.hear(neighbour, rustPacket("quiet."+service0, "dnsaddr=/ip4/192.168.1.9/tcp/1/p2p/"+carol.String()))
	for i := range 3 * maxKnown {
		r.hear(neighbour, rustPacket(fmt.Sprintf("n%d.", i), dnsaddr(there)))
	}
	if len(r.known) != 1+maxNames {
		t.Errorf("%d names are remembered", len(r.known))
	}
	if k := r.known["quiet."+service0]; k == nil || k.peer != carol {
		t.Error("another peer's name is not remembered")
	}
}

// A peer that begins again under another name, as after a reload, is not lost
// with the old one.
func TestSuccessorIsNotLost(t *testing.T) {
	r := newRun(t)
	r.lines = nil
	r.hear(neighbour, rustPacket("old."+service0, dnsaddr(there)))
	r.hear(neighbour, rustPacket("new."+service0, dnsaddr(there)))
	r.lines = nil
	for _, name := range []string{"old.", "new.", "new.", "never."} {
		bye := ptr(name + service0)
		bye.Header.TTL = 0
		r.hear(neighbour, packet{[]dnsmessage.Resource{bye}, nil}.pack(t))
	}
	r.trace("0s lost " + bob.Short())
}
