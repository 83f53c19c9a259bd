// SPDX-License-Identifier: Apache-2.0 OR MIT

package evil_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/internal/evil"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// garbage is what is no libp2p at the layer it is sent at.
var garbage = []struct {
	name string
	send func(*evil.Attacker) *evil.Conn
}{
	{"HTTP", plain([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))},
	{"TLS", plain([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3})},
	{"zeros", plain(make([]byte, 1<<16))},
	{"endless varint", plain(bytes.Repeat([]byte{0xff}, 1<<16))},
	{"random", plain(random(1 << 16))},
	{"line too long", plain(append(evil.Line(evil.Header), append([]byte{0x81, 8}, make([]byte, 1025)...)...))},
	{"no newline", plain(append([]byte{20}, "/multistream/1.0.0  "...))},
	{"old multistream", plain(evil.Line("/multistream/0.4.0"))},
	{"yamux at once", plain(evil.Frame{Kind: evil.Ping, Flags: evil.SYN}.Bytes())},
	{"plaintext", func(a *evil.Attacker) *evil.Conn {
		c := a.Raw()
		c.Line(evil.Header)
		for range 17 {
			c.Line("/plaintext/2.0.0")
		}
		return c
	}},
	{"Noise: random", afterNoiseID(random(1 << 16))},
	{"Noise: no point", afterNoiseID(evil.Record(make([]byte, 32)))},
	{"Noise: empty", afterNoiseID(evil.Record(nil))},
	{"Noise: short", afterNoiseID(evil.Record(make([]byte, 31)))},
	{"Noise: long", afterNoiseID(evil.Record(make([]byte, 65535)))},
	{"Noise: bad payload", badPayload(random(100))},
	{"Noise: no payload", badPayload(nil)},
	{"Noise: huge key", badPayload(evil.NoisePayload(random(4000), random(64)))},
	{"Noise: not signed", badPayload(evil.NoisePayload(append([]byte{8, 1, 18, 32}, make([]byte, 32)...), make([]byte, 64)))},
	{"muxer: random", after(nil, random(1<<16))},
	{"muxer: unknown", func(a *evil.Attacker) *evil.Conn {
		c := a.Secured()
		c.Line(evil.Header)
		for range 17 {
			c.Line("/mplex/6.7.0")
		}
		return c
	}},
	{"muxer: unknown within Noise", func(a *evil.Attacker) *evil.Conn { return a.Secured("/mplex/6.7.0") }},
	{"record that does not decrypt", func(a *evil.Attacker) *evil.Conn {
		c := a.Muxed()
		c.Unsealed(evil.Record(random(100)))
		return c
	}},
	{"yamux: version", after([]string{evil.YamuxID}, []byte{1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0})},
	{"yamux: type", after([]string{evil.YamuxID}, evil.Frame{Kind: 9}.Bytes())},
	{"yamux: no such stream", after([]string{evil.YamuxID}, evil.Frame{Kind: evil.Data, ID: 7, Length: 1}.Bytes())},
	{"yamux: beyond the window", after([]string{evil.YamuxID}, evil.Frame{Kind: evil.Data, Flags: evil.SYN, ID: 1, Length: 1 << 31}.Bytes())},
	{"yamux: random", after([]string{evil.YamuxID}, random(1<<16))},
}

func plain(b []byte) func(*evil.Attacker) *evil.Conn {
	return func(a *evil.Attacker) *evil.Conn {
		c := a.Raw()
		c.Send(b)
		return c
	}
}

func afterNoiseID(b []byte) func(*evil.Attacker) *evil.Conn {
	return func(a *evil.Attacker) *evil.Conn {
		c := a.Raw()
		c.Propose(evil.NoiseID)
		c.Send(b)
		return c
	}
}

func badPayload(b []byte) func(*evil.Attacker) *evil.Conn {
	return func(a *evil.Attacker) *evil.Conn {
		c := a.Raw()
		c.Propose(evil.NoiseID)
		c.NoiseWith(func([]byte) ([]byte, error) { return b, nil })
		return c
	}
}

func after(muxers []string, b []byte) func(*evil.Attacker) *evil.Conn {
	return func(a *evil.Attacker) *evil.Conn {
		c := a.Secured(muxers...)
		c.Send(b)
		return c
	}
}

func TestEvil_GarbageAtEveryLayer(t *testing.T) {
	for name, victim := range map[string]func(*testing.T) evil.Victim{
		"memory": func(t *testing.T) evil.Victim { return overMemory(t, "") },
		"tcp":    func(t *testing.T) evil.Victim { return overTCP(t) },
	} {
		t.Run(name, func(t *testing.T) {
			v := victim(t)
			for _, g := range garbage {
				t.Run(g.name, func(t *testing.T) {
					evil.Run(t, v, func(a *evil.Attacker) { g.send(a).WantClosed() }, evil.Budget{})
				})
			}
		})
	}
}

// The stages of a handshake at which an attacker stops, or all but stops.
var stages = map[string]func(a *evil.Attacker, c *evil.Conn){
	"silent":         func(*evil.Attacker, *evil.Conn) {},
	"in multistream": func(_ *evil.Attacker, c *evil.Conn) { drip(c, evil.Line(evil.Header)) },
	"in Noise": func(_ *evil.Attacker, c *evil.Conn) {
		c.Send(append(evil.Line(evil.Header), evil.Line(evil.NoiseID)...))
		drip(c, evil.Record(make([]byte, 100)))
	},
	"in the muxer's negotiation": func(a *evil.Attacker, c *evil.Conn) {
		c.Send(append(evil.Line(evil.Header), evil.Line(evil.NoiseID)...))
		c.ReadLine()
		c.ReadLine()
		if c.Noise(a.Key()) == nil {
			drip(c, evil.Line(evil.Header))
		}
	},
}

// drip sends a byte a second.
func drip(c *evil.Conn, b []byte) {
	for i := range b {
		if c.Send(b[i:i+1]) != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// flood opens connections from a number of IP addresses, and returns a function
// that waits until all of them are closed.
func flood(a *evil.Attacker, s *settler, count, sources int, stage func(*evil.Attacker, *evil.Conn)) (wait func()) {
	var wg sync.WaitGroup
	for i := range count {
		from := netip.AddrFrom4([4]byte{5, byte(i % sources >> 8), byte(i % sources), 1})
		raw, err := s.Dial(a.Context(), from, a.Victim.Node.ListenAddrs()[0])
		if err != nil {
			a.Fatal(err)
		}
		c := a.Take(raw)
		wg.Go(func() {
			stage(a, c)
			c.WantClosed()
		})
	}
	synctest.Wait()
	if n := a.Victim.Node.Limits().Handshakes; n > 64 {
		a.Errorf("%d handshakes at once, limit 64", n)
	}
	return wg.Wait
}

func TestEvil_A9_SlowHandshakes(t *testing.T) {
	for name, stage := range stages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSettler(t)
				v, newcomer := s.pair(""), s.node("6.6.6.6", "")
				evil.Run(t, v, func(a *evil.Attacker) {
					begin := time.Now()
					wait := flood(a, s, 500, 500, stage)
					wait()
					// 15 seconds, and one until a sender notices.
					if d := time.Since(begin); d > 16*time.Second {
						t.Errorf("the last of them was closed after %v", d)
					}
					hosttest.Connect(t, newcomer, v.Node.(*nodeHost))
					newcomer.Disconnect(v.Node.ID())
				}, evil.Budget{})
			})
		})
	}
}

// Few addresses cannot take all places: a newcomer gets in at once.
func TestEvil_A9_SlowHandshakesFromFewAddresses(t *testing.T) {
	for name, stage := range stages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSettler(t)
				v := s.pair("")
				newcomers := make([]*nodeHost, 10)
				for i := range newcomers {
					newcomers[i] = s.node(fmt.Sprintf("6.6.6.%d", i), "")
				}
				evil.Run(t, v, func(a *evil.Attacker) {
					wait := flood(a, s, 500, 10, stage)
					begin := time.Now()
					for _, n := range newcomers {
						hosttest.Connect(t, n, v.Node.(*nodeHost))
						n.Disconnect(v.Node.ID())
					}
					if time.Since(begin) > 0 {
						t.Errorf("they got in after %v", time.Since(begin))
					}
					wait()
				}, evil.Budget{})
			})
		})
	}
}
