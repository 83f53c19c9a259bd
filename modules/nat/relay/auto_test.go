// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/discovery/bootstrap"
	_ "github.com/xnode-p2p/xnode/modules/discovery/rendezvous"
	_ "github.com/xnode-p2p/xnode/modules/routing/kad"
	_ "github.com/xnode-p2p/xnode/modules/storage/memory"
)

// The seeds of a network in which relays are found, and nobody names one.
const (
	meetingSeed   = 40 // whom everybody knows, and who is no relay
	plainSeed     = 41 // and so on: others that are none
	plainNodes    = 4
	relaysSeed    = 60 // and so on
	unwillingSeed = 69 // a relay that serves others
	privateSeed   = 70
	visitorSeed   = 71
)

// finding is how the nodes of a network find each other: the parts of the
// configurations of the one whom all know, of those who are found, and of those who
// only look.
type finding struct{ meeting, found, looks string }

func findings() map[string]func(meeting string) finding {
	const storage = `"storage": {"module": "memory"}`
	return map[string]func(string) finding{
		"kad": func(meeting string) finding {
			kad := func(mode string) string {
				return storage + `, "routing": {"kad": {"network": "test", "mode": "` + mode + `"}}`
			}
			bootstrap := `, "discovery": {"bootstrap": {"peers": [` + meeting + `]}}`
			return finding{kad("server"), kad("server") + bootstrap, kad("client") + bootstrap}
		},
		"rendezvous": func(meeting string) finding {
			rendezvous := func(what string) string {
				return storage + `, "discovery": {"rendezvous": {"points": [` + meeting + `], "interval": "1m", "connect": 0, ` + what + `}}`
			}
			return finding{
				storage + `, "discovery": {"rendezvous": {"server": {}}}`, rendezvous(`"advertise": ["test"]`), rendezvous(`"find": ["test"]`),
			}
		},
	}
}

// placesOf are the relays at which a node has places.
func placesOf(t testing.TB, h *host.Host) (list []peer.ID) {
	t.Helper()
	for _, p := range statsOf(t, h).Places {
		if p.Err == "" {
			list = append(list, p.Relay)
		}
	}
	return list
}

// TestFindsRelays: a node that cannot be reached finds relays by itself, keeps its
// places, is reached through them, and has others in the place of those that die.
func TestFindsRelays(t *testing.T) {
	for name, find := range findings() {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { findsRelays(t, find) }) })
	}
}

func findsRelays(t *testing.T, find func(meeting string) finding) {
	network := hosttest.NewNetwork(memnet.Options{Delay: 10 * time.Millisecond})
	node := func(seed uint64, config string) *host.Host {
		return network.Node(t, hosttest.Settings{Seed: seed, Config: `{` + config + `}`})
	}
	meeting := node(meetingSeed, find("").meeting)
	by := find(fmt.Sprintf("%q", peer.JoinAddr(meeting.Addrs()[0], meeting.ID())))
	for i := range plainNodes {
		node(plainSeed+uint64(i), by.found)
	}
	relays := map[peer.ID]*host.Host{}
	more := func(n int) {
		for range n {
			h := node(relaysSeed+uint64(len(relays)), by.found+`, "nat": {"relay": {"service": {"reservation_time": "20m"}}}`)
			relays[h.ID()] = h
		}
	}
	more(3)
	unwilling := node(unwillingSeed, by.found+`, "nat": {"relay": {"service": {"reserve": {"deny": ["`+idOf(privateSeed).String()+`"]}}}}`)
	private := hidden(t, network, privateSeed, `{`+by.looks+`, "nat": {"relay": {}}, "listen": ["/p2p-circuit"], "protocols": {"ping": {}}}`)
	time.Sleep(5 * time.Minute)
	if got := placesOf(t, private); len(got) != 0 {
		t.Fatalf("before it knows that it is private: places at %v", got)
	}

	// What autonat says is what it goes by.
	private.Emit(core.ReachabilityChanged{Reachability: core.ReachabilityPrivate})
	await := func(what string, within time.Duration, done func(places []peer.ID) bool) {
		t.Helper()
		for begun := time.Now(); !done(placesOf(t, private)); time.Sleep(time.Second) {
			if time.Since(begun) > within {
				t.Fatalf("%s: after %v, places at %v; %+v", what, within, placesOf(t, private), statsOf(t, private).Places)
			}
		}
	}
	two := func(places []peer.ID) bool { return len(places) == 2 }
	await("two places", 2*time.Minute, two)
	first := placesOf(t, private)
	for _, p := range first {
		if relays[p] == nil {
			t.Errorf("a place at %s, which is no relay", p)
		}
	}

	// The addresses behind them are told, and good.
	visitor := hidden(t, network, visitorSeed, `{"nat": {"relay": {}}, "listen": []}`)
	for _, a := range private.Addrs() {
		if _, err := visitor.Connect(core.AllowLimited(t.Context()), peer.AddrInfo{ID: private.ID(), Addrs: []ma.Multiaddr{a}}); err != nil {
			t.Errorf("%s: %v", a, err)
		} else if err := pingOnce(t, visitor, private.ID()); err != nil {
			t.Error(err)
		}
		visitor.Disconnect(private.ID())
	}
	if n := len(private.Addrs()); n != 2 {
		t.Errorf("it tells %v", private.Addrs())
	}

	// They are asked for again in time, and by nobody else.
	time.Sleep(65 * time.Minute)
	if got := placesOf(t, private); !slices.Equal(got, first) {
		t.Errorf("places at %v, later at %v", first, got)
	}
	for _, p := range first {
		s := statsOf(t, relays[p]).Service
		if len(s.Reservations) != 1 || s.Reservations[0].Peer != private.ID() || s.Reserved < 5 || s.Reserved > 10 {
			t.Errorf("a relay has %+v, and was asked %d times", s.Reservations, s.Reserved)
		}
	}

	// A relay dies: the third one takes its place.
	kill := func(p peer.ID) {
		t.Helper()
		if err := relays[p].Close(); err != nil {
			t.Fatal(err)
		}
	}
	kill(first[0])
	await("another place", 5*time.Minute, func(places []peer.ID) bool {
		return two(places) && !slices.Contains(places, first[0]) && slices.Contains(places, first[1])
	})
	if all := private.Addrs(); slices.ContainsFunc(all, func(a ma.Multiaddr) bool { return relayIn(a) == first[0] }) {
		t.Errorf("it still tells %v", all)
	}

	// All die, and for an hour there are none: those that are gone are asked less and
	// less, and new ones are found.
	for _, p := range placesOf(t, private) {
		kill(p)
	}
	denials := func() uint64 { return statsOf(t, unwilling).Service.Refused["PERMISSION_DENIED"] }
	before := denials()
	time.Sleep(time.Hour)
	if n := denials() - before; n < 3 || n > 12 { // after 10 s, and twice as long each time, 30 minutes at most
		t.Errorf("a relay that refuses was asked %d times in an hour, and %d times before", n, before)
	}
	if got := placesOf(t, private); len(got) != 0 || len(private.Addrs()) != 0 {
		t.Errorf("places at %v, which are gone", got)
	}
	more(2)
	await("places at new relays", 15*time.Minute, two)

	// Who can be reached needs none.
	private.Emit(core.ReachabilityChanged{Reachability: core.ReachabilityPublic})
	await("no place", time.Minute, func(places []peer.ID) bool { return len(places) == 0 })
}

// relayIn is the relay in an address.
func relayIn(a ma.Multiaddr) peer.ID {
	_, id := peer.SplitAddr(a[:len(a)-1])
	return id
}
