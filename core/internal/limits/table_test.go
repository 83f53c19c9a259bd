// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// clock is a time that the test moves.
type clock struct{ t time.Time }

func newClock() *clock { return &clock{time.Unix(1_700_000_000, 0)} }

func (c *clock) now() time.Time { return c.t }

func newLimits(t testing.TB, c Config, k *clock) *Limits {
	t.Helper()
	if err := c.Provision(); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return New(c, k.now)
}

func addr(text string) ma.Multiaddr {
	if strings.HasPrefix(text, "/") {
		return ma.StringCast(text)
	}
	if strings.Contains(text, ":") {
		return ma.StringCast("/ip6/" + text + "/tcp/4001")
	}
	return ma.StringCast("/ip4/" + text + "/tcp/4001")
}

var local = addr("127.0.0.1")

func peerID(n int) peer.ID {
	return peer.ID(fmt.Sprintf("\x00\x24%036d", n))
}

func knob(t testing.TB, err error) string {
	t.Helper()
	var limit *core.LimitError
	if !errors.As(err, &limit) {
		t.Fatalf("error %v", err)
	}
	if limit.Limit < 0 || limit.Scope == "" || limit.Resource == "" {
		t.Errorf("incomplete error %#v", limit)
	}
	return limit.Knob
}

func wantZero(t testing.TB, l *Limits) {
	t.Helper()
	if s := l.Stat(); s != (Stat{}) {
		t.Errorf("not all given back: %+v", s)
	}
}

// open opens a connection whose handshake is over.
func open(t testing.TB, l *Limits, dir core.Direction, remote ma.Multiaddr, p int) *Conn {
	t.Helper()
	c, err := l.OpenConn(dir, remote)
	if err == nil {
		err = c.SetPeer(peerID(p))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// filler takes one more of what a limit bounds, each time it is called, until
// the limit refuses.
type filler func() (done func(), err error)

func conns(l *Limits, dir core.Direction, from func(i int) ma.Multiaddr, with func(i int) int) filler {
	i := 0
	return func() (func(), error) {
		i++
		c, err := l.OpenConn(dir, from(i))
		if err != nil {
			return nil, err
		}
		if with != nil {
			if err := c.SetPeer(peerID(with(i))); err != nil {
				c.Done()
				return nil, err
			}
		}
		return c.Done, nil
	}
}

// openAll opens connections of some peers, until the test's end.
func openAll(t *testing.T, l *Limits, peers, connsEach int) []*Conn {
	var list []*Conn
	for p := range peers {
		for range connsEach {
			list = append(list, open(t, l, core.Outbound, local, p))
		}
	}
	t.Cleanup(func() {
		for _, c := range list {
			c.Done()
		}
		wantZero(t, l)
	})
	return list
}

func streams(t *testing.T, l *Limits, dir core.Direction, protocol string, max, peers, connsEach int) filler {
	list := openAll(t, l, peers, connsEach)
	i := 0
	return func() (func(), error) {
		s := new(Stream)
		c := list[i%len(list)]
		i++
		if err := c.OpenStream(dir, s); err != nil {
			return nil, err
		}
		if protocol != "" {
			if err := s.SetProtocol(protocol, max); err != nil {
				s.Done()
				return nil, err
			}
		}
		return s.Done, nil
	}
}

func memory(t *testing.T, l *Limits, peers, connsEach int) filler {
	list := openAll(t, l, peers, connsEach)
	i := 0
	return func() (func(), error) {
		c := list[i%len(list)]
		i++
		if err := c.Reserve(1024, 255); err != nil {
			return nil, err
		}
		return func() { c.Release(1024) }, nil
	}
}

func streamMemory(t *testing.T, l *Limits, protocol string, streamsEach int) filler {
	var accounts []core.StreamMemory
	for _, c := range openAll(t, l, 2, 1) {
		for range streamsEach {
			s, a := new(Stream), c.Stream()
			if err := c.OpenStream(core.Inbound, s); err != nil {
				t.Fatal(err)
			}
			s.Charge(a)
			if err := a.Reserve(512, 255); err != nil { // before its protocol is known
				t.Fatal(err)
			}
			if err := s.SetProtocol(protocol, 0); err != nil {
				t.Fatal(err)
			}
			accounts = append(accounts, a)
		}
	}
	i := 0
	return func() (func(), error) {
		a := accounts[i%len(accounts)]
		i++
		if err := a.Reserve(1024, 255); err != nil {
			return nil, err
		}
		return sync.OnceFunc(func() { a.Release(1024) }), nil
	}
}

func same(remote ma.Multiaddr) func(int) ma.Multiaddr {
	return func(int) ma.Multiaddr { return remote }
}
func each(i int) int { return i }

// TestEveryKey goes over, under and at each limit, and checks that the error
// names its key. A key without a row fails the test.
func TestEveryKey(t *testing.T) {
	public := addr("1.2.3.4")
	rows := []struct {
		knob   string
		config Config
		fits   int
		fill   func(*testing.T, *Limits) filler
	}{
		{"memory", Config{Memory: 8192, MemoryPerPeer: 4096}, 8,
			func(t *testing.T, l *Limits) filler { return memory(t, l, 4, 1) }},
		{"memory_per_peer", Config{MemoryPerPeer: 8192}, 8,
			func(t *testing.T, l *Limits) filler { return memory(t, l, 1, 4) }},
		{"memory_per_connection", Config{MemoryPerConnection: 8192}, 8,
			func(t *testing.T, l *Limits) filler { return memory(t, l, 1, 1) }},
		{"memory_per_stream", Config{MemoryPerStream: 4096 + 512}, 8,
			func(t *testing.T, l *Limits) filler { return streamMemory(t, l, "/a", 1) }},
		{"memory_per_protocol", Config{MemoryPerProtocol: 8192 + 4*512}, 8,
			func(t *testing.T, l *Limits) filler { return streamMemory(t, l, "/a", 2) }},
		{"protocols./a.memory", Config{Protocols: map[string]ProtocolConfig{"/a": {Memory: 8192 + 4*512}}}, 8,
			func(t *testing.T, l *Limits) filler { return streamMemory(t, l, "/a", 2) }},
		{"connections", Config{Connections: 10}, 10,
			func(t *testing.T, l *Limits) filler { return conns(l, core.Outbound, same(public), each) }},
		{"inbound_connections", Config{Connections: 10}, 8,
			func(t *testing.T, l *Limits) filler { return conns(l, core.Inbound, same(local), each) }},
		{"handshakes", Config{Handshakes: 5}, 5,
			func(t *testing.T, l *Limits) filler { return conns(l, core.Inbound, same(local), nil) }},
		{"connections_per_peer", Config{ConnectionsPerPeer: 3}, 3,
			func(t *testing.T, l *Limits) filler {
				return conns(l, core.Outbound, same(public), func(int) int { return 1 })
			}},
		{"connections_per_subnet", Config{}, 8,
			func(t *testing.T, l *Limits) filler { return conns(l, core.Inbound, same(public), each) }},
		{"connect_burst", Config{ConnectionsPerSubnet: 100}, 16,
			func(t *testing.T, l *Limits) filler { return conns(l, core.Inbound, same(public), nil) }},
		{"streams", Config{Streams: 10}, 10,
			func(t *testing.T, l *Limits) filler { return streams(t, l, core.Outbound, "", 0, 2, 1) }},
		{"inbound_streams", Config{Streams: 10}, 8,
			func(t *testing.T, l *Limits) filler { return streams(t, l, core.Inbound, "", 0, 2, 1) }},
		{"streams_per_peer", Config{StreamsPerPeer: 7}, 7,
			func(t *testing.T, l *Limits) filler { return streams(t, l, core.Inbound, "", 0, 1, 4) }},
		{"streams_per_connection", Config{StreamsPerConnection: 7}, 7,
			func(t *testing.T, l *Limits) filler { return streams(t, l, core.Inbound, "/a", 0, 1, 1) }},
		{"streams_per_protocol", Config{StreamsPerProtocol: 7}, 7,
			func(t *testing.T, l *Limits) filler { return streams(t, l, core.Inbound, "/a", 0, 3, 1) }},
		{"streams_per_protocol_per_peer", Config{StreamsPerProtocolPerPeer: 7}, 7,
			func(t *testing.T, l *Limits) filler { return streams(t, l, core.Inbound, "/a", 9, 1, 2) }},
		{"protocols./a.streams", Config{Protocols: map[string]ProtocolConfig{"/a": {Streams: 4}}}, 4,
			func(t *testing.T, l *Limits) filler { return streams(t, l, core.Outbound, "/a", 0, 3, 1) }},
		{"protocols./a.streams_per_peer", Config{Protocols: map[string]ProtocolConfig{"/a": {StreamsPerPeer: 4}}}, 4,
			func(t *testing.T, l *Limits) filler { return streams(t, l, core.Inbound, "/a", 2, 1, 1) }},
		{"protocols./b.streams_per_peer", Config{}, 2,
			func(t *testing.T, l *Limits) filler { return streams(t, l, core.Inbound, "/b", 2, 1, 1) }},
	}
	// Keys that refuse nothing by themselves, and the one with its own test.
	seen := map[string]bool{"target": true, "grace": true, "trusted": true, "connect_rate": true}
	for _, row := range rows {
		seen[strings.SplitN(row.knob, ".", 2)[0]] = true
		t.Run(row.knob, func(t *testing.T) {
			l := newLimits(t, row.config, newClock())
			fill := row.fill(t, l)
			var undo []func()
			for i := range row.fits {
				done, err := fill()
				if err != nil {
					t.Fatalf("number %d of %d: %v", i+1, row.fits, err)
				}
				undo = append(undo, done)
			}
			for range 2 {
				done, err := fill()
				if err == nil {
					done()
					t.Fatal("one too many")
				}
				if got := knob(t, err); got != "limits."+row.knob {
					t.Fatalf("knob %s in %v", got, err)
				}
			}
			if row.knob != "connect_burst" {
				undo[0]()
				done, err := fill()
				if err != nil {
					t.Fatalf("after one was given back: %v", err)
				}
				undo[0] = done
			}
			if n := l.Refused()[strings.SplitN(row.knob, ".", 2)[0]]; n != 2 {
				t.Errorf("%d refusals", n)
			}
			for _, done := range undo {
				done()
				done() // the second does nothing
			}
		})
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !seen[key] {
			t.Errorf("no row for %s", key)
		}
	}
}
