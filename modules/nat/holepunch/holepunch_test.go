// SPDX-License-Identifier: Apache-2.0 OR MIT

package holepunch_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	"github.com/xnode-p2p/xnode/modules/nat/holepunch"
	_ "github.com/xnode-p2p/xnode/modules/nat/relay"
	_ "github.com/xnode-p2p/xnode/modules/protocol/echo"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
	_ "github.com/xnode-p2p/xnode/modules/transport/quic"
	_ "github.com/xnode-p2p/xnode/modules/transport/tcp"
)

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return coretest.MustLoad[core.NAT](t, "holepunch", `{}`)
	})
}

func TestConfigs(t *testing.T) {
	coretest.TestConfigs[core.NAT](t, "holepunch", []coretest.Config{
		{JSON: `{}`},
		{JSON: `{"attempts": 1, "timeout": "2s", "linger": "5s", "allow_private": true}`},
		{JSON: `{"attempts": 4}`, WantErr: "attempts: 4 is not between 1 and 3"},
		{JSON: `{"timeout": "10ms"}`, WantErr: "timeout: 10ms is too short"},
		{JSON: `{"linger": "-1s"}`, WantErr: "no duration"},
	})
}

// scene is a relay that two nodes meet at, who do not know each other.
type scene struct {
	relay, behind, dialer *host.Host
	addr                  ma.Multiaddr // of behind, through the relay
}

// newScene starts the three. transports, listen and punch are of the two; listen
// may be empty.
func newScene(t testing.TB, transports, listen, punch string) *scene {
	t.Helper()
	n := hosttest.NewNetwork(memnet.Options{})
	s := &scene{relay: n.Node(t, hosttest.Settings{Seed: 1, Config: `{"listen": [], "nat": {"relay": {"service": {}}}}`})}
	at := fmt.Sprintf("%s/p2p/%s/p2p-circuit", s.relay.Addrs()[0], s.relay.ID())
	for seed, h := range map[uint64]**host.Host{2: &s.behind, 3: &s.dialer} {
		addrs := listen
		if seed == 2 {
			addrs = fmt.Sprintf("%q", at)
			if listen != "" {
				addrs += "," + listen
			}
		}
		config := fmt.Sprintf(`{"transports": {%s}, "listen": [%s], "nat": {"relay": {}, "holepunch": %s}, "protocols": {"echo": {}}}`, transports, addrs, punch)
		node, err := host.New(host.Settings{Key: hosttest.Key(seed)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { node.Close() })
		plan := n.Plan(t, config)
		plan.Listen = slices.DeleteFunc(plan.Listen, ma.StringCast("/memory/0").Equal)
		if _, err := node.Acquire(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		*h = node
	}
	s.addr = ma.StringCast(at)
	changed := make(chan struct{}, 16)
	stop := core.On(s.behind, func(core.LocalAddrsChanged) { changed <- struct{}{} })
	defer stop()
	for !slices.ContainsFunc(s.behind.Addrs(), s.addr.Equal) {
		<-changed
	}
	return s
}

// connect connects the dialer through the relay.
func (s *scene) connect(t testing.TB) core.Conn {
	t.Helper()
	c, err := s.dialer.Connect(t.Context(), peer.AddrInfo{ID: s.behind.ID(), Addrs: []ma.Multiaddr{s.addr}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// announced are addresses of both nodes at which nobody listens.
func (s *scene) announced() map[*host.Host]ma.Multiaddr {
	return map[*host.Host]ma.Multiaddr{s.behind: ma.StringCast("/ip4/198.41.0.4/tcp/1"), s.dialer: ma.StringCast("/ip4/192.5.5.241/tcp/1")}
}

// TestPunches gets a direct connection on real sockets, and closes the relayed one
// when it is not used any more.
func TestPunches(t *testing.T) {
	for _, c := range []struct{ transports, listen string }{
		{`"tcp": {}`, `"/ip4/127.0.0.1/tcp/0"`},
		{`"quic": {}`, `"/ip4/127.0.0.1/udp/0/quic-v1"`},
	} {
		t.Run(c.transports, func(t *testing.T) {
			coretest.VerifyNoLeaks(t)
			s := newScene(t, c.transports, c.listen, `{"allow_private": true, "linger": "1h"}`)
			ended := make(chan core.HolePunched, 8)
			defer core.On(s.behind, func(e core.HolePunched) { ended <- e })()
			relayed := s.connect(t)
			busy, err := relayed.NewStream(core.AllowLimited(t.Context()), holepunch.ID)
			if err == nil { // the wrong way round: it ends, and with it what is still on the connection
				io.Copy(io.Discard, busy)
			}
			e := <-ended
			if e.Err != nil || !e.Initiator || e.Role != core.PunchServer || e.Attempt != 1 || len(e.Addrs) != 1 || e.Peer != s.dialer.ID() {
				t.Fatalf("%+v", e)
			}
			// Both sides use it from now on.
			for from, to := range map[*host.Host]*host.Host{s.dialer: s.behind, s.behind: s.dialer} {
				st, err := from.NewStream(t.Context(), to.ID(), "/echo/1.0.0")
				if err != nil {
					t.Fatal(err)
				}
				if st.Conn().Stat().Limited {
					t.Error("a stream on the relayed connection")
				}
				st.Reset(core.StreamNoError)
			}
			<-relayed.Done()
		})
	}
}

// TestServerFindsAListener: where the other side's dials do not arrive, one as the
// server finds a listener that knows nothing of it.
func TestServerFindsAListener(t *testing.T) {
	for _, c := range []struct{ transports, listen string }{
		{`"tcp": {}`, `"/ip4/127.0.0.1/tcp/0"`},
		{`"quic": {}`, `"/ip4/127.0.0.1/udp/0/quic-v1"`},
	} {
		t.Run(c.transports, func(t *testing.T) {
			coretest.VerifyNoLeaks(t)
			n := hosttest.NewNetwork(memnet.Options{})
			nodes := n.Nodes(t, 2, fmt.Sprintf(`{"transports": {%s}, "listen": [%s]}`, c.transports, c.listen))
			ctx := core.Punch(t.Context(), core.PunchDial{Role: core.PunchServer, Hear: 100 * time.Millisecond})
			var far []ma.Multiaddr
			for _, a := range nodes[1].Addrs() {
				if peer.IsLoopback(a) {
					far = append(far, a)
				}
			}
			if _, err := nodes[0].Connect(ctx, peer.AddrInfo{ID: nodes[1].ID(), Addrs: far}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestKeepsTheRelayedConnection: where nothing can be reached, everything stays as
// it was, after all attempts.
func TestKeepsTheRelayedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `"meeting": {}`, ``, `{}`)
		var mu sync.Mutex
		var events []core.HolePunched
		for h, at := range s.announced() {
			defer core.On(h, func(e core.HolePunched) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, e)
			})()
			defer h.Announce(at)()
		}
		begun := time.Now()
		c := s.connect(t)
		time.Sleep(90 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		// One direct dial, three attempts of the initiator and three of the responder.
		roles := map[string]int{}
		for _, e := range events {
			if e.Err == nil {
				t.Errorf("a direct connection: %+v", e)
			}
			roles[fmt.Sprintf("%d %v %v", e.Attempt, e.Initiator, e.Role)]++
		}
		want := map[string]int{
			"0 true unknown": 1,
			"1 true server":  1, "2 true server": 1, "3 true server": 1,
			"1 false client": 1, "2 false client": 1, "3 false client": 1,
		}
		if !maps.Equal(roles, want) {
			t.Errorf("attempts %v", roles)
		}
		select {
		case <-c.Done():
			t.Error("the relayed connection has ended")
		default:
		}
		if d := time.Since(begun); d > 2*time.Minute {
			t.Errorf("took %v", d)
		}
	})
}

// TestLaterAttempts has the first dials of both sides lost: the roles in the
// attempts after that are those of the first one, on both sides.
func TestLaterAttempts(t *testing.T) {
	for lost := range 3 {
		synctest.Test(t, func(t *testing.T) {
			newPlace(t.Name())
			// Between the first attempt and the second, the addresses that the
			// other side tells are dialled too.
			s := newScene(t, fmt.Sprintf(`"meeting": {"place": %q, "lose": %d}`, t.Name(), lost), ``, `{}`)
			ended := make(chan core.HolePunched, 8)
			defer core.On(s.behind, func(e core.HolePunched) { ended <- e })()
			for h, at := range s.announced() {
				defer h.Announce(at)()
			}
			s.connect(t)
			if e := succeeded(t, ended); e.Attempt != lost+1 || e.Role != core.PunchServer {
				t.Errorf("%d lost: %+v", lost, e)
			}
			for h, p := range map[*host.Host]peer.ID{s.behind: s.dialer.ID(), s.dialer: s.behind.ID()} {
				synctest.Wait()
				if c := h.ConnsTo(p)[0]; c.Stat().Transport != "meeting" {
					t.Errorf("%+v", c.Stat())
				}
			}
		})
	}
}

// upgraded connects through the relay, with a stream of an application on that
// connection, and waits for the direct one.
func (s *scene) upgraded(t testing.TB) (relayed core.Conn, st core.Stream) {
	t.Helper()
	ended := make(chan core.HolePunched, 8)
	t.Cleanup(core.On(s.behind, func(e core.HolePunched) { ended <- e }))
	for h, at := range s.announced() {
		t.Cleanup(h.Announce(at))
	}
	t.Cleanup(s.behind.Handle("/app", func(st core.Stream) error { _, err := io.Copy(st, st); return err }, core.HandleLimited()))
	relayed = s.connect(t)
	st, err := relayed.NewStream(core.AllowLimited(t.Context()), "/app")
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, st)
	succeeded(t, ended)
	return relayed, st
}

// succeeded waits for the attempt that succeeds.
func succeeded(t testing.TB, ended <-chan core.HolePunched) core.HolePunched {
	t.Helper()
	for {
		select {
		case e := <-ended:
			if e.Err == nil {
				return e
			}
		case <-time.After(time.Minute):
			t.Fatal("no direct connection")
		}
	}
}

func exchange(t testing.TB, st core.Stream) {
	t.Helper()
	b := []byte("hello")
	if _, err := st.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(st, b); err != nil || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
}

func ended(c core.Conn) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// TestStreamsMove: an application finds its stream as it was, and moves on with a
// new one when it likes to; then the relayed connection ends.
func TestStreamsMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newPlace(t.Name())
		s := newScene(t, fmt.Sprintf(`"meeting": {"place": %q}`, t.Name()), ``, `{}`)
		relayed, old := s.upgraded(t)
		time.Sleep(30 * time.Second)
		exchange(t, old)
		moved, err := s.dialer.NewStream(t.Context(), s.behind.ID(), "/app")
		if err != nil {
			t.Fatal(err)
		}
		defer moved.Close()
		exchange(t, moved)
		if moved.Conn().Stat().Transport != "meeting" {
			t.Errorf("moved to %+v", moved.Conn().Stat())
		}
		if ended(relayed) {
			t.Fatal("the relayed connection has ended before its stream")
		}
		old.Close()
		time.Sleep(2 * time.Second)
		if !ended(relayed) {
			t.Error("the relayed connection goes on")
		}
		exchange(t, moved)
	})
}

// TestLinger: who does not move is cut off in the end, and told why.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newPlace(t.Name())
		s := newScene(t, fmt.Sprintf(`"meeting": {"place": %q}`, t.Name()), ``, `{"linger": "10s"}`)
		relayed, old := s.upgraded(t)
		time.Sleep(9 * time.Second)
		exchange(t, old)
		time.Sleep(2 * time.Second)
		_, err := old.Read(make([]byte, 1))
		var why *core.ConnError
		if !ended(relayed) || !errors.As(err, &why) || !why.Remote || why.Code != core.ConnSupplanted {
			t.Errorf("the stream: %v", err)
		}
	})
}

// TestEvil_R8_ProtocolOnAndOff: a peer that comes out with the protocol again and
// again has its addresses dialled once, and punched to a few times.
func TestEvil_R8_ProtocolOnAndOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `"meeting": {}`, ``, `{"attempts": 1}`)
		for h, at := range s.announced() {
			defer h.Announce(at)()
		}
		var punched, dialled atomic.Int32
		defer core.On(s.behind, func(e core.HolePunched) {
			if e.Attempt == 0 {
				dialled.Add(1)
			} else {
				punched.Add(1)
			}
		})()
		s.connect(t)
		for range 20 {
			time.Sleep(10 * time.Second)
			s.behind.Emit(core.PeerProtocolsChanged{Peer: s.dialer.ID(), Added: []string{holepunch.ID}})
		}
		if punched.Load() > 6 || dialled.Load() != 1 {
			t.Errorf("punched %d times, dialled %d times", punched.Load(), dialled.Load())
		}
	})
}

// TestEvil_R8_OneAtATime: of many streams one is served, and what they want is
// dialled once.
func TestEvil_R8_OneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `"meeting": {}`, ``, `{}`)
		defer s.dialer.Announce(s.announced()[s.dialer])()
		s.connect(t)
		time.Sleep(time.Minute) // what the node itself has begun is over
		back := s.behind.ConnsTo(s.dialer.ID())[0]
		var punched atomic.Int32
		defer core.On(s.dialer, func(core.HolePunched) { punched.Add(1) })()
		connect := protowire.AppendBytes(protowire.AppendTag([]byte{8, 100}, 2, protowire.BytesType), ma.StringCast("/ip4/198.41.0.4/tcp/1").Bytes())
		begun := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				st, err := back.NewStream(core.AllowLimited(t.Context()), holepunch.ID)
				if err != nil {
					return
				}
				defer st.Reset(core.StreamNoError)
				wire.WriteMessage(st, connect)
				io.ReadAll(st)
			})
		}
		wg.Wait()
		if n := punched.Load(); n > 2 || time.Since(begun) > 2*time.Minute {
			t.Errorf("punched %d times in %v", n, time.Since(begun))
		}
	})
}

func TestEvil_R8_Streams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `"meeting": {}`, ``, `{}`)
		defer s.dialer.Announce(ma.StringCast("/ip4/198.41.0.4/tcp/1"))()
		c := s.connect(t)
		synctest.Wait()
		back := s.behind.ConnsTo(s.dialer.ID())[0]
		say := func(c core.Conn, messages ...[]byte) error {
			st, err := c.NewStream(core.AllowLimited(t.Context()), holepunch.ID)
			if err != nil {
				return err
			}
			defer st.Reset(core.StreamNoError)
			for _, m := range messages {
				if err := wire.WriteMessage(st, m); err != nil {
					return err
				}
			}
			_, err = io.ReadAll(st)
			return err
		}
		connect := protowire.AppendBytes(protowire.AppendTag([]byte{8, 100}, 2, protowire.BytesType), ma.StringCast("/ip4/192.5.5.241/tcp/1").Bytes())
		sync := []byte("\x08\xac\x02")
		if err := say(c, connect); !errors.Is(err, core.ErrReset) {
			t.Errorf("from the side that may not: %v", err)
		}
		hosttest.Connect(t, s.behind, s.relay)
		if err := say(back, make([]byte, 5000)); !errors.Is(err, core.ErrReset) {
			t.Errorf("a long message: %v", err)
		}
		if err := say(back, sync); !errors.Is(err, core.ErrReset) {
			t.Errorf("sync early: %v", err)
		}
		begun := time.Now()
		if err := say(back, connect); !errors.Is(err, core.ErrReset) || time.Since(begun) > time.Minute {
			t.Errorf("sync never: %v after %v", err, time.Since(begun))
		}
		// A loop has an end, and dials little.
		var punched atomic.Int32
		defer core.On(s.dialer, func(core.HolePunched) { punched.Add(1) })()
		for range 50 {
			say(back, connect, sync)
		}
		if n := punched.Load(); n > 6 {
			t.Errorf("%d attempts", n)
		}
	})
}

// TestEvil_R8_DirectConnection: what is direct already is not made direct.
func TestEvil_R8_DirectConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := hosttest.NewNetwork(memnet.Options{})
		nodes := n.Nodes(t, 2, `{"listen": [], "nat": {"holepunch": {}}}`)
		c := hosttest.Connect(t, nodes[0], nodes[1])
		st, err := c.NewStream(t.Context(), holepunch.ID)
		if err != nil {
			t.Fatal(err)
		}
		wire.WriteMessage(st, []byte{8, 100})
		if _, err := io.ReadAll(st); !errors.Is(err, core.ErrReset) {
			t.Errorf("%v", err)
		}
	})
}
