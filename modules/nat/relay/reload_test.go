// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/nat/relay"
)

// statsOf is what a node says of its relaying.
func statsOf(t testing.TB, h *host.Host) core.RelayStats {
	t.Helper()
	r, ok := core.Find[core.Relay](h)
	if !ok {
		t.Fatal("the node has nothing to do with relays")
	}
	return r.RelayStats()
}

// reloading is a node whose configuration changes.
type reloading struct {
	*host.Host
	network *hosttest.Network
	lease   *host.Lease
}

func (r *reloading) reload(t testing.TB, config string) {
	t.Helper()
	next, err := r.Acquire(t.Context(), r.network.Plan(t, config))
	if err != nil {
		t.Fatal(err)
	}
	if r.lease != nil {
		if err := r.lease.Release(); err != nil {
			t.Fatal(err)
		}
	}
	r.lease = next
}

// TestReloadOfARelay: circuits go on while data flow, places are kept, and what comes
// after it has the new limits.
func TestReloadOfARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{})
		h, err := host.New(host.Settings{Key: hosttest.Key(relaySeed)})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		service := func(text string) string { return `{"nat": {"relay": {"service": ` + text + `}}}` }
		r := &reloading{Host: h, network: network}
		r.reload(t, service(`{"unlimited": true}`))
		s := &scene{network: network, relay: h}
		s.behind = hidden(t, network, behindSeed, fmt.Sprintf(
			`{"nat": {"relay": {}}, "listen": [%q], "protocols": {"ping": {}, "echo": {}}}`, s.at(t)))
		s.dialer = hidden(t, network, dialerSeed, `{"nat": {"relay": {}}, "listen": [], "protocols": {"ping": {}, "echo": {}}}`)
		s.addr = waitPlace(t, s.behind)
		c := s.connect(t)
		flow, err := c.NewStream(t.Context(), "/echo/1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		defer flow.Close()
		stop, flowing := make(chan struct{}), make(chan error, 1)
		go func() { // without a break, over the reload and after it
			flowing <- func() error {
				sent, got := make([]byte, 10_000), make([]byte, 10_000)
				for n := byte(0); ; n++ {
					select {
					case <-stop:
						return nil
					default:
					}
					sent[0], sent[len(sent)-1] = n, ^n
					if _, err := flow.Write(sent); err != nil {
						return err
					}
					if _, err := io.ReadFull(flow, got); err != nil {
						return err
					}
					if string(got) != string(sent) {
						return errors.New("another answer")
					}
					time.Sleep(50 * time.Millisecond)
				}
			}()
		}()
		time.Sleep(time.Second)
		before := statsOf(t, h).Service
		if len(before.Circuits) != 1 || len(before.Reservations) != 1 || before.Limit != (core.RelayLimit{}) || before.Circuits[0].Forth == 0 {
			t.Fatalf("before: %+v", before)
		}

		r.reload(t, service(`{"circuits": 2, "circuits_per_peer": 2, "reservations": 1, "duration": "1m", "data": "4KiB"}`))

		time.Sleep(time.Second)
		after := statsOf(t, h).Service
		switch {
		case len(after.Circuits) != 1 || after.Circuits[0].Opened != before.Circuits[0].Opened || after.Circuits[0].Limit != (core.RelayLimit{}):
			t.Errorf("the circuit is %+v, was %+v", after.Circuits, before.Circuits)
		case after.Circuits[0].Forth <= before.Circuits[0].Forth || after.Circuits[0].Back <= before.Circuits[0].Back:
			t.Errorf("no data flow any more: %+v, were %+v", after.Circuits, before.Circuits)
		case len(after.Reservations) != 1 || after.Reservations[0].Expires != before.Reservations[0].Expires:
			t.Errorf("the places are %+v, were %+v", after.Reservations, before.Reservations)
		case after.MaxCircuits != 2 || after.MaxReservations != 1 || after.Limit != (core.RelayLimit{Duration: time.Minute, Data: 4 << 10}):
			t.Errorf("the limits are %+v", after)
		case after.Connected != before.Connected || after.Bytes <= before.Bytes:
			t.Errorf("what was counted is forgotten: %+v, was %+v", after, before)
		}
		// Who comes now finds the new limits: one place is all, and a connection is
		// limited.
		third := raw(t, network, 20, h)
		if _, status := say(t, third, h.ID(), relay.HopID, kind(0)); status != relay.StatusResourceLimitExceeded {
			t.Errorf("a second place: %v", status)
		}
		late := hidden(t, network, 21, `{"nat": {"relay": {}}, "listen": [], "protocols": {"ping": {}}}`)
		c2, err := late.Connect(core.AllowLimited(t.Context()), peer.AddrInfo{ID: s.behind.ID(), Addrs: s.behind.Addrs()})
		if err != nil {
			t.Fatal(err)
		}
		if !c2.Stat().Limited {
			t.Error("a later connection has no limits")
		}
		// The old circuit has no limit of time either: it outlives the new one's.
		time.Sleep(70 * time.Second)
		if all := statsOf(t, h).Service.Circuits; len(all) != 1 || all[0].From != s.dialer.ID() {
			t.Errorf("open are %+v", all)
		}
		select {
		case err := <-flowing:
			t.Fatalf("the data stopped: %v", err)
		default:
		}
		close(stop)
		if err := <-flowing; err != nil {
			t.Error(err)
		}

		r.reload(t, `{"nat": {"relay": {}}}`)
		if s := statsOf(t, h); s.Service != nil {
			t.Errorf("no relay any more, but %+v", s.Service)
		}
		r.reload(t, service(`{}`))
		if s := statsOf(t, h).Service; s == nil || len(s.Reservations)+len(s.Circuits) != 0 || s.Bytes != 0 || s.Connected != 0 {
			t.Errorf("a new relay has %+v", s)
		}
	})
}

// TestStats: what a relay and a peer with a place tell, as it comes and goes.
func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `{"reservation_time": "10m"}`)
		places := statsOf(t, s.behind).Places
		if len(places) != 1 || places[0].Relay != s.relay.ID() || len(places[0].Addrs) != 1 || !places[0].Addrs[0].Equal(s.addr) ||
			places[0].Limit != (core.RelayLimit{Duration: 2 * time.Minute, Data: 128 << 10}) || time.Until(places[0].Expires) < 9*time.Minute {
			t.Errorf("places: %+v", places)
		}
		c := s.connect(t)
		if err := pingOnce(t, s.dialer, s.behind.ID()); err != nil {
			t.Fatal(err)
		}
		r := statsOf(t, s.relay).Service
		if len(r.Reservations) != 1 || r.Reservations[0].Peer != s.behind.ID() || r.Reservations[0].Left || r.Reservations[0].Circuits != 1 || r.Reservations[0].Addr == nil {
			t.Errorf("reservations: %+v", r.Reservations)
		}
		if len(r.Circuits) != 1 || r.Circuits[0].From != s.dialer.ID() || r.Circuits[0].To != s.behind.ID() || r.Circuits[0].Forth+r.Circuits[0].Back != r.Bytes || r.Bytes == 0 {
			t.Errorf("circuits: %+v of %d bytes", r.Circuits, r.Bytes)
		}
		c.Close()
		if _, err := s.dialer.Connect(t.Context(), peer.AddrInfo{ID: idOf(99), Addrs: s.behind.Addrs()}); !errors.Is(err, core.ErrNoReservation) {
			t.Errorf("a peer without a place: %v", err)
		}
		time.Sleep(lingers)
		if err := s.behind.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r = statsOf(t, s.relay).Service
		if len(r.Circuits) != 0 || len(r.Reservations) != 1 || !r.Reservations[0].Left || r.Refused["NO_RESERVATION"] != 1 || r.Connected != 1 {
			t.Errorf("later: %+v", r)
		}
		time.Sleep(10 * time.Minute)
		if r = statsOf(t, s.relay).Service; len(r.Reservations) != 0 {
			t.Errorf("in the end: %+v", r.Reservations)
		}
	})
}

// lingers is longer than a closed connection may linger.
const lingers = 10 * time.Second

// TestStatsOfADenial: a relay that is none, and when it was asked.
func TestStatsOfADenial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{})
		s := &scene{relay: network.Node(t, hosttest.Settings{Seed: relaySeed, Config: `{}`})}
		time.Sleep(time.Minute)
		h := hidden(t, network, behindSeed, fmt.Sprintf(`{"nat": {"relay": {}}, "listen": [%q]}`, s.at(t)))
		begun := time.Now()
		time.Sleep(time.Second)
		synctest.Wait()
		places := statsOf(t, h).Places
		if len(places) != 1 || places[0].Relay != s.relay.ID() || places[0].Err == "" || !places[0].Asked.Equal(begun) || !places[0].Expires.IsZero() {
			t.Errorf("places: %+v", places)
		}
	})
}
