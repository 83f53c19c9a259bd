// SPDX-License-Identifier: Apache-2.0 OR MIT

package holepunch

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

var epoch = time.Unix(1_800_000_000, 0)

func addrsOf(texts ...string) (list []ma.Multiaddr) {
	for _, t := range texts {
		list = append(list, ma.StringCast(t))
	}
	return list
}

var (
	mine      = addrsOf("/ip4/198.41.0.4/tcp/1", "/ip4/198.41.0.4/udp/1/quic-v1")
	theirs    = addrsOf("/ip4/192.5.5.241/tcp/2", "/ip4/192.5.5.241/udp/2/quic-v1")
	errNoHole = errors.New("no hole")
)

func describe(actions []any) string {
	var words []string
	for _, a := range actions {
		switch a := a.(type) {
		case send:
			words = append(words, fmt.Sprintf("send %d with %d", a.kind, len(a.addrs)))
		case await:
			words = append(words, "await "+a.String())
		case dial:
			words = append(words, fmt.Sprintf("dial %d as %s, rtt %v, hear %v", len(a.addrs), a.Role, a.RTT, a.Hear))
		case end:
			words = append(words, fmt.Sprintf("end: %v", a.err))
		}
	}
	return strings.Join(words, ", ")
}

// story is what happens, and when, and what is to be done.
type story []struct {
	at    time.Duration
	event any
	want  string
}

func connectMessage(a []ma.Multiaddr) received { return received{message{connectKind, a}} }

func TestInitiator(t *testing.T) {
	for name, s := range map[string]story{
		"near": {
			{0, started{}, "send 100 with 2, await 0s"},
			{80 * time.Millisecond, connectMessage(theirs), "send 300 with 0, dial 2 as server, rtt 80ms, hear 1.36s"},
			{200 * time.Millisecond, dialled{}, "end: <nil>"},
		},
		"far": {
			{0, started{}, "send 100 with 2, await 0s"},
			{500 * time.Millisecond, connectMessage(theirs[:1]), "send 300 with 0, dial 1 as server, rtt 500ms, hear 2.2s"},
			{5 * time.Second, dialled{errNoHole}, "end: no hole"},
		},
		"with nobody": {
			{0, started{}, "send 100 with 2, await 0s"},
			{time.Second, connectMessage(nil), "end: no address that a hole could be punched to"},
		},
		"into a local network": {
			{0, started{}, "send 100 with 2, await 0s"},
			{time.Second, connectMessage(addrsOf("/ip4/192.168.1.1/tcp/22", "/ip4/127.0.0.1/tcp/22")), "end: no address that a hole could be punched to"},
		},
		"with one who speaks out of turn": {
			{0, started{}, "send 100 with 2, await 0s"},
			{time.Second, received{message{kind: syncKind}}, "end: malformed message: type 300 is not due"},
		},
		"with one who leaves": {
			{0, started{}, "send 100 with 2, await 0s"},
			{time.Second, broken{io.EOF}, "end: EOF"},
		},
		"while something comes late": {
			{0, started{}, "send 100 with 2, await 0s"},
			{0, waited{}, ""},
			{0, dialled{}, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &initiator{own: mine}
			for i, s := range s {
				if got := describe(m.step(s.event, epoch.Add(s.at))); got != s.want {
					t.Fatalf("%d: %q, want %q", i, got, s.want)
				}
			}
		})
	}
	if got := describe(new(initiator).step(started{}, epoch)); got != "end: "+errNoAddrs.Error() {
		t.Errorf("without an address: %s", got)
	}
}

var syncMessage = received{message{kind: syncKind}}

func TestResponder(t *testing.T) {
	for name, c := range map[string]struct {
		attempt int
		story   story
	}{
		"dials before it is told to": {1, story{
			{80 * time.Millisecond, connectMessage(theirs), "send 100 with 2, await 20ms"},
			{100 * time.Millisecond, waited{}, "dial 2 as client, rtt 0s, hear 0s"},
			{0, dialled{}, "end: <nil>"},
		}},
		"dials as soon as it is told to": {1, story{
			{time.Hour, connectMessage(theirs), "send 100 with 2, await 1s"},
			{time.Hour + 80*time.Millisecond, syncMessage, "dial 2 as client, rtt 80ms, hear 0s"},
			{0, dialled{errNoHole}, "end: no hole"},
		}},
		"is patient in the second attempt": {2, story{
			{5 * time.Second, connectMessage(theirs), "send 100 with 2, await 0s"},
			{6 * time.Second, syncMessage, "dial 2 as client, rtt 1s, hear 0s"},
			{0, dialled{errNoHole}, "end: no hole"},
		}},
		"listens in the third attempt": {3, story{
			{10 * time.Second, connectMessage(theirs), "send 100 with 2, await 0s"},
			{11 * time.Second, syncMessage, "dial 2 as client, rtt 1s, hear 500ms"},
			{0, dialled{}, "end: <nil>"},
		}},
		"is left": {1, story{
			{0, connectMessage(theirs), "send 100 with 2, await 1ns"},
			{0, broken{io.EOF}, "end: EOF"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &responder{own: mine, attempt: c.attempt, opened: epoch}
			for i, s := range c.story {
				if got := describe(m.step(s.event, epoch.Add(s.at))); got != s.want {
					t.Fatalf("%d: %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

// TestEvil_R8_Responder has the other side say what it should not.
func TestEvil_R8_Responder(t *testing.T) {
	var many []ma.Multiaddr
	for i := range 1000 {
		many = append(many, ma.StringCast(fmt.Sprintf("/ip4/192.5.5.241/tcp/%d", 1+i)))
	}
	const answer = "send 100 with 2, await 1ns"
	for name, s := range map[string]story{
		"sync early": {{0, syncMessage, "end: malformed message: type 300 is not due"}},
		"sync twice": {
			{0, connectMessage(theirs), answer},
			{0, syncMessage, "dial 2 as client, rtt 0s, hear 0s"},
			{0, syncMessage, "end: malformed message: type 300 is not due"},
		},
		"connect twice": {
			{0, connectMessage(theirs), answer},
			{0, connectMessage(theirs), "end: malformed message: type 100 is not due"},
		},
		"a thousand addresses": {
			{0, connectMessage(many), answer},
			{0, syncMessage, "dial 8 as client, rtt 0s, hear 0s"},
		},
		"private addresses": {
			{0, connectMessage(addrsOf("/ip4/10.0.0.1/tcp/22", "/ip4/169.254.169.254/tcp/80", "/ip6/::1/tcp/22", "/ip4/127.0.0.1/udp/53/quic-v1")),
				"end: " + errNoAddrs.Error()},
		},
		"other sorts of address": {
			{0, connectMessage(addrsOf("/dns4/example.org/tcp/1", "/ip4/192.5.5.241/udp/53", "/ip4/192.5.5.241/tcp/1/ws",
				"/ip4/192.5.5.241/tcp/2/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit")), "end: " + errNoAddrs.Error()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &responder{own: mine, attempt: 1, opened: epoch}
			for i, s := range s {
				if got := describe(m.step(s.event, epoch)); got != s.want {
					t.Fatalf("%d: %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

func TestMessages(t *testing.T) {
	m := message{connectKind, theirs}
	got, err := unmarshal(m.marshal())
	if err != nil || got.kind != m.kind || len(got.addrs) != 2 || !got.addrs[1].Equal(theirs[1]) {
		t.Errorf("%+v, %v", got, err)
	}
	if b := (message{kind: syncKind}).marshal(); string(b) != "\x08\xac\x02" {
		t.Errorf("%x", b)
	}
	for _, b := range []string{"", "\x08\x01", "\x0a\x00", "\x12\x05"} {
		if m, err := unmarshal([]byte(b)); !errors.Is(err, errMessage) {
			t.Errorf("%x: %+v, %v", b, m, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(message{connectKind, mine}.marshal())
	f.Add(message{kind: syncKind}.marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := unmarshal(b)
		if err != nil {
			return
		}
		if len(m.addrs) > maxAddrs || m.kind != connectKind && m.kind != syncKind {
			t.Fatalf("%+v", m)
		}
		for _, own := range [][]ma.Multiaddr{nil, mine} {
			for _, step := range []func(any, time.Time) []any{
				(&responder{own: own, attempt: 1}).step, (&initiator{own: mine, phase: connecting}).step,
			} {
				for _, a := range append(step(received{m}, epoch), step(waited{}, epoch)...) {
					if d, ok := a.(dial); ok && (len(d.addrs) == 0 || len(usable(d.addrs, false)) != len(d.addrs)) {
						t.Fatalf("%v", d.addrs)
					}
				}
			}
		}
	})
}
