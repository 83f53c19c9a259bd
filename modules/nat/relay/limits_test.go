// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/nat/relay"
)

// agrees has a raw peer accept whatever a relay connects to it.
func agrees(t *testing.T, h *host.Host) {
	t.Cleanup(h.Handle(relay.StopID, func(s core.Stream) error {
		if _, err := wire.ReadMessage(s, 4096); err != nil {
			return err
		}
		if err := wire.WriteMessage(s, withStatus(kind(1), 4, relay.StatusOK)); err != nil {
			return err
		}
		_, err := io.Copy(s, s)
		return err
	}))
}

// TestLimits: each setting of a relay does what it says. R stands for a request for
// a place by the first or second peer, C for one for a connection to the first.
func TestLimits(t *testing.T) {
	const first, second = 31, 32
	id := func(seed uint64) string { return idOf(seed).String() }
	type step struct {
		by   uint64
		what byte
		want relay.Status
	}
	const full, denied = relay.StatusResourceLimitExceeded, relay.StatusPermissionDenied
	for service, steps := range map[string][]step{
		`{"reservations": 1}`: {{first, 'R', relay.StatusOK}, {second, 'R', full}, {first, 'R', relay.StatusOK}},
		`{"circuits": 1}`:     {{first, 'R', relay.StatusOK}, {second, 'C', relay.StatusOK}, {second, 'C', full}},
		`{"circuits_per_peer": 2}`: {
			{first, 'R', relay.StatusOK}, {second, 'C', relay.StatusOK}, {second, 'C', relay.StatusOK}, {second, 'C', full},
		},
		`{"reserve": {"deny": ["` + id(first) + `"]}}`:   {{first, 'R', denied}, {second, 'R', relay.StatusOK}},
		`{"reserve": {"allow": ["` + id(first) + `"]}}`:  {{first, 'R', relay.StatusOK}, {second, 'R', denied}, {second, 'C', relay.StatusOK}},
		`{"connect": {"deny": ["` + id(second) + `"]}}`:  {{first, 'R', relay.StatusOK}, {second, 'R', relay.StatusOK}, {second, 'C', denied}},
		`{"connect": {"allow": ["` + id(second) + `"]}}`: {{first, 'R', relay.StatusOK}, {second, 'C', relay.StatusOK}, {first, 'C', denied}},
	} {
		t.Run(service, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := hosttest.NewNetwork(memnet.Options{})
				r := network.Node(t, hosttest.Settings{Seed: relaySeed, Config: `{"nat": {"relay": {"service": ` + service + `}}}`})
				nodes := map[uint64]*host.Host{first: raw(t, network, first, r), second: raw(t, network, second, r)}
				agrees(t, nodes[first])
				for i, s := range steps {
					message := kind(0)
					if s.what == 'C' {
						message = withPeer(kind(1), idOf(first))
					}
					if _, got := say(t, nodes[s.by], r.ID(), relay.HopID, message); got != s.want {
						t.Errorf("step %d, %c by %d: %v, want %v", i, s.what, s.by, got, s.want)
					}
				}
			})
		})
	}
}

// TestLimitsOfConnections: how long and how much, and how long a place lasts.
func TestLimitsOfConnections(t *testing.T) {
	for service, want := range map[string]core.RelayLimit{
		`{"duration": "7s", "data": "1KiB"}`: {Duration: 7 * time.Second, Data: 1 << 10},
		`{"unlimited": true}`:                {},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, service)
			a, b := circuit(t, s)
			begun := time.Now()
			if all := statsOf(t, s.relay).Service.Circuits; len(all) != 1 || all[0].Limit != want {
				t.Errorf("%s: circuits %+v", service, all)
			}
			if want.Data == 0 {
				go a.Write(make([]byte, 1<<20))
				if _, err := io.ReadFull(b, make([]byte, 1<<20)); err != nil {
					t.Errorf("%s: %v", service, err)
				}
				return
			}
			if _, err := a.Write(make([]byte, want.Data)); err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, b); n != int64(want.Data) || err == nil || time.Since(begun) != want.Duration {
				t.Errorf("%s: %d bytes, %v after %v", service, n, err, time.Since(begun))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `{"reservation_time": "3m"}`)
		if all := statsOf(t, s.relay).Service.Reservations; len(all) != 1 || time.Until(all[0].Expires) > 3*time.Minute || time.Until(all[0].Expires) < 170*time.Second {
			t.Errorf("places until %+v", all)
		}
	})
}

// TestConnectedBeforeThePlaceIsKnown: a relay may connect somebody before its answer,
// that there is a place, has come.
func TestConnectedBeforeThePlaceIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{})
		h := network.Node(t, hosttest.Settings{Seed: relaySeed, Config: `{}`})
		early, late := make(chan relay.Status, 1), make(chan relay.Status, 1)
		stop := func(to core.Conn) relay.Status {
			s, err := h.NewStream(t.Context(), to.RemotePeer(), relay.StopID)
			if err != nil {
				t.Error(err)
				return 0
			}
			defer s.Reset(core.StreamNoError)
			if err := wire.WriteMessage(s, withPeer(kind(0), idOf(9))); err != nil {
				t.Error(err)
			}
			return readStatus(t, s, relay.StopID)
		}
		t.Cleanup(h.Handle(relay.HopID, func(s core.Stream) error {
			if _, err := wire.ReadMessage(s, 4096); err != nil {
				return err
			}
			early <- stop(s.Conn())
			if err := wire.WriteMessage(s, withStatus(kind(2), 5, relay.StatusReservationRefused)); err != nil {
				return err
			}
			go func() {
				time.Sleep(time.Second)
				late <- stop(s.Conn())
			}()
			return nil
		}))
		s := &scene{relay: h}
		hidden(t, network, behindSeed, fmt.Sprintf(`{"nat": {"relay": {}}, "listen": [%q]}`, s.at(t)))
		if got := <-early; got != relay.StatusOK {
			t.Errorf("while the relay is asked: %v", got)
		}
		if got := <-late; got != relay.StatusPermissionDenied {
			t.Errorf("after it has refused: %v", got)
		}
	})
}
