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
		case open:
			words = append(words, "open")
		case send:
			words = append(words, fmt.Sprintf("send %d with %d", a.kind, len(a.addrs)))
		case wait:
			words = append(words, "wait "+a.String())
		case dial:
			words = append(words, fmt.Sprintf("dial %d as %s", len(a.addrs), a.role))
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
		"at once": {
			{0, started{}, "open, send 100 with 2"},
			{80 * time.Millisecond, connectMessage(theirs), "send 300 with 0, wait 40ms"},
			{120 * time.Millisecond, waited{}, "dial 2 as server"},
			{200 * time.Millisecond, dialled{}, "end: <nil>"},
		},
		"never": {
			{0, started{}, "open, send 100 with 2"},
			{100 * time.Millisecond, connectMessage(theirs), "send 300 with 0, wait 50ms"},
			{150 * time.Millisecond, waited{}, "dial 2 as server"},
			{5 * time.Second, dialled{errNoHole}, "open, send 100 with 2"},
			{6 * time.Second, connectMessage(theirs), "send 300 with 0, wait 500ms"},
			{7 * time.Second, waited{}, "dial 2 as client"},
			{12 * time.Second, dialled{errNoHole}, "open, send 100 with 2"},
			{12 * time.Second, connectMessage(theirs[:1]), "send 300 with 0, wait 0s"},
			{12 * time.Second, waited{}, "dial 1 as server"},
			{17 * time.Second, dialled{errNoHole}, "end: no hole"},
		},
		"with nobody": {
			{0, started{}, "open, send 100 with 2"},
			{time.Second, connectMessage(nil), "end: no address that a hole could be punched to"},
		},
		"into a local network": {
			{0, started{}, "open, send 100 with 2"},
			{time.Second, connectMessage(addrsOf("/ip4/192.168.1.1/tcp/22", "/ip4/127.0.0.1/tcp/22")), "end: no address that a hole could be punched to"},
		},
		"with one who speaks out of turn": {
			{0, started{}, "open, send 100 with 2"},
			{time.Second, received{message{kind: syncKind}}, "end: malformed message: type 300 is not due"},
		},
		"with one who leaves": {
			{0, started{}, "open, send 100 with 2"},
			{time.Second, broken{io.EOF}, "end: EOF"},
		},
		"while something comes late": {
			{0, started{}, "open, send 100 with 2"},
			{0, waited{}, ""},
			{0, dialled{}, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &initiator{own: mine, attempts: 3}
			for i, s := range s {
				if got := describe(m.step(s.event, epoch.Add(s.at))); got != s.want {
					t.Fatalf("%d: %q, want %q", i, got, s.want)
				}
			}
		})
	}
	if got := describe((&initiator{attempts: 3}).step(started{}, epoch)); got != "end: "+errNoAddrs.Error() {
		t.Errorf("without an address: %s", got)
	}
}

func TestResponder(t *testing.T) {
	sync := received{message{kind: syncKind}}
	for name, s := range map[string]story{
		"at once": {
			{0, connectMessage(theirs), "send 100 with 2"},
			{0, sync, "dial 2 as client"},
			{0, dialled{}, "end: <nil>"},
		},
		"never": {
			{0, connectMessage(theirs), "send 100 with 2"},
			{0, sync, "dial 2 as client"},
			{0, dialled{errNoHole}, ""},
			{0, connectMessage(theirs), "send 100 with 2"},
			{0, sync, "dial 2 as client"},
			{0, dialled{errNoHole}, ""},
			{0, connectMessage(theirs), "send 100 with 2"},
			{0, sync, "dial 2 as client"},
			{0, dialled{errNoHole}, "end: no hole"},
			{0, connectMessage(theirs), "end: malformed message: type 100 is not due"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &responder{own: mine, attempts: 3}
			for i, s := range s {
				if got := describe(m.step(s.event)); got != s.want {
					t.Fatalf("%d: %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

// TestEvil_R8_Responder has the other side say what it should not.
func TestEvil_R8_Responder(t *testing.T) {
	sync := received{message{kind: syncKind}}
	var many []ma.Multiaddr
	for i := range 1000 {
		many = append(many, ma.StringCast(fmt.Sprintf("/ip4/192.5.5.241/tcp/%d", 1+i)))
	}
	for name, s := range map[string]story{
		"sync early": {{0, sync, "end: malformed message: type 300 is not due"}},
		"sync twice": {
			{0, connectMessage(theirs), "send 100 with 2"},
			{0, sync, "dial 2 as client"},
			{0, sync, "end: malformed message: type 300 is not due"},
		},
		"connect twice": {
			{0, connectMessage(theirs), "send 100 with 2"},
			{0, connectMessage(theirs), "end: malformed message: type 100 is not due"},
		},
		"a thousand addresses": {
			{0, connectMessage(many), "send 100 with 2"},
			{0, sync, "dial 8 as client"},
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
			m := &responder{own: mine, attempts: 3}
			for i, s := range s {
				if got := describe(m.step(s.event)); got != s.want {
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
			r, i := &responder{own: own, attempts: 3}, &initiator{own: mine, attempts: 3}
			r.step(received{m})
			i.step(started{}, epoch)
			i.step(received{m}, epoch)
			if len(usable(r.addrs, false)) != len(r.addrs) || len(usable(i.addrs, false)) != len(i.addrs) {
				t.Fatalf("%v, %v", r.addrs, i.addrs)
			}
		}
	})
}
