// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
)

// TestDefaults pins the defaults: changing one is a decision.
func TestDefaults(t *testing.T) {
	var c Config
	if err := c.Provision(); err != nil {
		t.Fatal(err)
	}
	want := Config{
		Memory: 256 << 20, MemoryPerPeer: 32 << 20, MemoryPerConnection: 32 << 20,
		MemoryPerStream: 24 << 20, MemoryPerProtocol: 128 << 20,
		Connections: 500, InboundConnections: 400, Target: 350, Grace: core.Duration(20 * time.Second),
		Handshakes: 64, ConnectionsPerPeer: 8, ConnectionsPerSubnet: 8, ConnectRate: 0.2, ConnectBurst: 16,
		Streams: 16384, InboundStreams: 13107, StreamsPerPeer: 2048, StreamsPerConnection: 1000,
		StreamsPerProtocol: 8192, StreamsPerProtocolPerPeer: 1000,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	for n := 1; n < 100; n++ {
		small := Config{Memory: core.Size(n), Connections: n, Streams: n}
		if err := small.Provision(); err != nil {
			t.Fatal(err)
		}
		if err := small.Validate(); err != nil {
			t.Errorf("%d of each: %v", n, err)
		}
	}
}

func TestValidate(t *testing.T) {
	cases := []struct {
		config Config
		names  []string
	}{
		{Config{Connections: 100, Target: 200}, []string{"target (200)", "connections (100)"}},
		{Config{Connections: -1}, []string{"connections: -1"}},
		{Config{Memory: 1 << 20, MemoryPerPeer: 1 << 21}, []string{"memory_per_peer (2MiB)", "memory (1MiB)"}},
		{Config{MemoryPerConnection: 1 << 30}, []string{"memory_per_connection (1GiB)", "memory_per_peer (32MiB)"}},
		{Config{ConnectRate: -1}, []string{"connect_rate: -1"}},
		{Config{ConnectRate: math.NaN()}, []string{"connect_rate: NaN"}},
		{Config{ConnectRate: math.Inf(1)}, []string{"connect_rate: +Inf"}},
		{Config{Trusted: []string{"10.0.0.0/8", "lan"}}, []string{`trusted: 1: "lan"`}},
		{Config{Streams: 10, StreamsPerPeer: 11}, []string{"streams_per_peer (11)", "streams (10)"}},
		{Config{Handshakes: -5, Streams: -7}, []string{"handshakes: -5", "streams: -7"}},
		{Config{Protocols: map[string]ProtocolConfig{"/a": {Streams: -1}}}, []string{"protocols: /a"}},
	}
	for _, c := range cases {
		if err := c.config.Provision(); err != nil {
			t.Fatal(err)
		}
		err := c.config.Validate()
		for _, name := range c.names {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("want %q in %v", name, err)
			}
		}
	}
}

// A negative number is one mistake, whatever defaults follow from it.
func TestNegativeNumberIsOneMistake(t *testing.T) {
	for key := range new(Config).numbers() {
		if strings.HasPrefix(key, "memory") {
			continue // core.Size has no negative values in JSON
		}
		var c Config
		if err := json.Unmarshal(fmt.Appendf(nil, `{%q: -5}`, key), &c); err != nil {
			t.Fatal(err)
		}
		if err := c.Provision(); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err == nil || err.Error() != key+": -5 is too little, the least is 1" {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestJSON decodes what the manual shows.
func TestJSON(t *testing.T) {
	const text = `{"memory":"1GiB","connections":2000,"grace":"1m","connect_rate":0.5,"trusted":["203.0.113.0/24"],` +
		`"protocols":{"/ipfs/ping/1.0.0":{"streams_per_peer":4}}}`
	var c Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	l := newLimits(t, c, newClock())
	if n, grace := l.Target(); n != 1400 || grace != time.Minute || l.config.Memory != 1<<30 {
		t.Errorf("target %d, grace %v, memory %v", n, grace, l.config.Memory)
	}
	again, err := json.Marshal(c)
	want := strings.Replace(text, `"1m"`, `"1m0s"`, 1)
	if err != nil || string(again) != want {
		t.Errorf("%s, %v", again, err)
	}
}

// TestContained has a row of the contradiction table for every pair.
func TestContained(t *testing.T) {
	var c Config
	keys := slices.Collect(maps.Keys(c.numbers()))
	for _, pair := range contained {
		if !slices.Contains(keys, pair[0]) || !slices.Contains(keys, pair[1]) {
			t.Errorf("unknown key in %v", pair)
		}
	}
}

func TestPriorities(t *testing.T) {
	const limit = 256 << 10
	l := newLimits(t, Config{MemoryPerConnection: limit}, newClock())
	for _, c := range []struct {
		priority uint8
		fits     int
	}{{0, 1 << 10}, {101, 102 << 10}, {152, 153 << 10}, {203, 204 << 10}, {255, limit}} {
		conn := open(t, l, core.Outbound, local, 1)
		if err := conn.Reserve(c.fits+1, c.priority); knob(t, err) != "limits.memory_per_connection" {
			t.Errorf("%d: %v", c.priority, err)
		}
		if err := conn.Reserve(c.fits, c.priority); err != nil {
			t.Errorf("%d: %v", c.priority, err)
		}
		if err := conn.Reserve(math.MaxInt, 255); err == nil {
			t.Error("reserved everything there is")
		}
		conn.Done()
	}
	wantZero(t, l)
	if got := allowed(math.MaxInt64, 255); got != math.MaxInt64 {
		t.Errorf("all of the largest limit is %d", got)
	}
}

func TestMemoryMovesToPeer(t *testing.T) {
	l := newLimits(t, Config{MemoryPerPeer: 4096}, newClock())
	a := open(t, l, core.Outbound, local, 1)
	if err := a.Reserve(3000, 255); err != nil {
		t.Fatal(err)
	}
	b, err := l.OpenConn(core.Outbound, local)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Reserve(2000, 255); err != nil {
		t.Fatal(err)
	}
	if got := knob(t, b.SetPeer(peerID(1))); got != "limits.memory_per_peer" {
		t.Error(got)
	}
	b.Release(2000)
	b.Release(2000) // more than it has
	b.Release(-5)
	if err := b.SetPeer(peerID(1)); err != nil {
		t.Error(err)
	}
	if got := l.Stat().Memory; got != 3000 {
		t.Errorf("%d bytes", got)
	}
	a.Done()
	b.Done()
	wantZero(t, l)
}

func TestAfterDone(t *testing.T) {
	l := newLimits(t, Config{}, newClock())
	c := open(t, l, core.Inbound, local, 1)
	var s, late, never Stream
	if err := c.OpenStream(core.Inbound, &s); err != nil {
		t.Fatal(err)
	}
	c.Done()
	wantZero(t, l)
	s.Done()
	never.Done()
	c.Release(5)
	for _, err := range []error{
		s.SetProtocol("/a", 0), never.SetProtocol("/a", 0), c.SetPeer(peerID(2)), c.Reserve(1, 255), c.OpenStream(core.Inbound, &late),
	} {
		if !errors.Is(err, core.ErrConnClosed) {
			t.Errorf("error %v", err)
		}
	}
	c.Done()
	wantZero(t, l)
}

// TestUpdate lowers a limit below what there is: nothing is lost, nothing is
// let in until there is less.
func TestUpdate(t *testing.T) {
	l := newLimits(t, Config{Connections: 10}, newClock())
	var list []*Conn
	for i := range 6 {
		list = append(list, open(t, l, core.Outbound, local, i))
	}
	small := Config{Connections: 4}
	if err := small.Provision(); err != nil {
		t.Fatal(err)
	}
	l.Update(small)
	for len(list) > 3 {
		if _, err := l.OpenConn(core.Outbound, local); knob(t, err) != "limits.connections" {
			t.Fatalf("with %d: %v", len(list), err)
		}
		list[0].Done()
		list = list[1:]
	}
	list = append(list, open(t, l, core.Outbound, local, 9))
	for _, c := range list {
		c.Done()
	}
	wantZero(t, l)
}

func TestConcurrent(t *testing.T) {
	l := newLimits(t, Config{Connections: 20, StreamsPerConnection: 5}, newClock())
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				c, err := l.OpenConn(core.Direction(1+i%2), addr(fmt.Sprintf("1.2.%d.%d", g, i%250)))
				if err != nil {
					continue
				}
				if c.SetPeer(peerID(i%5)) == nil {
					var inner sync.WaitGroup
					var list [8]Stream
					for n := range list {
						inner.Go(func() {
							_ = c.Reserve(100, 100)
							if c.OpenStream(core.Inbound, &list[n]) == nil {
								_ = list[n].SetProtocol("/a", 3)
							}
							list[n].Done()
							c.Release(50)
						})
					}
					if i%3 > 0 {
						inner.Wait()
					}
					c.Done()
					inner.Wait()
				}
				c.Done()
			}
		})
	}
	wg.Wait()
	wantZero(t, l)
}
