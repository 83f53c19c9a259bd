// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/nat/relay"
)

// What a peer says that has no module, byte by byte.

func kind(n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), n)
}

func withPeer(b []byte, p peer.ID) []byte {
	id := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte(p))
	return protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), id)
}

func withStatus(b []byte, field protowire.Number, s relay.Status) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(s))
}

// say sends a message on a new stream to a peer and returns the stream and the
// status that comes back.
func say(t testing.TB, from *host.Host, to peer.ID, protocol string, message []byte) (core.Stream, relay.Status) {
	t.Helper()
	s, err := from.NewStream(core.AllowLimited(t.Context()), to, protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Reset(core.StreamNoError) })
	if err := wire.WriteMessage(s, message); err != nil {
		t.Fatal(err)
	}
	return s, readStatus(t, s, protocol)
}

func readStatus(t testing.TB, s core.Stream, protocol string) relay.Status {
	t.Helper()
	b, err := wire.ReadMessage(s, 4096)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	field := protowire.Number(5)
	if protocol == relay.StopID {
		field = 4
	}
	for f, err := range wire.Fields(b) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Num == field {
			n, err := f.Uint64()
			if err != nil {
				t.Fatal(err)
			}
			return relay.Status(n)
		}
	}
	t.Fatalf("no status in %x", b)
	return 0
}

// raw is a node without the module that has connected itself.
func raw(t testing.TB, n *hosttest.Network, seed uint64, to *host.Host) *host.Host {
	t.Helper()
	h := hidden(t, n, seed, `{"listen": []}`)
	hosttest.Connect(t, h, to)
	return h
}

// circuit makes a circuit between two that have no module, and returns its ends.
func circuit(t testing.TB, s *scene) (a, b core.Stream) {
	t.Helper()
	src, dst := raw(t, s.network, 11, s.relay), raw(t, s.network, 12, s.relay)
	asked := make(chan core.Stream, 1)
	t.Cleanup(dst.Handle(relay.StopID, func(st core.Stream) error {
		if _, err := wire.ReadMessage(st, 4096); err != nil {
			return err
		}
		if err := wire.WriteMessage(st, withStatus(kind(1), 4, relay.StatusOK)); err != nil {
			return err
		}
		asked <- st
		<-t.Context().Done()
		return nil
	}))
	if _, status := say(t, dst, s.relay.ID(), relay.HopID, kind(0)); status != relay.StatusOK {
		t.Fatalf("no place: %v", status)
	}
	a, status := say(t, src, s.relay.ID(), relay.HopID, withPeer(kind(1), dst.ID()))
	if status != relay.StatusOK {
		t.Fatalf("no circuit: %v", status)
	}
	return a, <-asked
}

func TestEvil_R2_DataLimit(t *testing.T) {
	const limit = 131072
	for _, c := range []struct {
		send int
		fine bool
	}{{limit - 1, true}, {limit, true}, {limit + 1, false}, {limit + 100_000, false}} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, back %v", c.send, back), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					from, to := circuit(t, newScene(t, `{}`))
					if back {
						from, to = to, from
					}
					data := bytes.Repeat([]byte{7}, c.send)
					go func() {
						from.Write(data)
						from.CloseWrite()
					}()
					got, err := io.ReadAll(to)
					if c.fine && (err != nil || !bytes.Equal(got, data)) {
						t.Errorf("%d bytes, %v", len(got), err)
					}
					if !c.fine && (!errors.Is(err, core.ErrReset) || len(got) > limit) {
						t.Errorf("%d bytes, %v", len(got), err)
					}
					if !c.fine {
						if _, err := from.Read(make([]byte, 1)); !errors.Is(err, core.ErrReset) {
							t.Errorf("the sender reads %v", err)
						}
					}
				})
			})
		}
	}
}

func TestEvil_R2_TimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := circuit(t, newScene(t, `{}`))
		begin := time.Now()
		var writing sync.WaitGroup
		defer writing.Wait()
		writing.Go(func() { // slow, and endless
			for {
				if _, err := a.Write([]byte{1}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		_, err := io.Copy(io.Discard, b)
		if d := time.Since(begin); !errors.Is(err, core.ErrReset) || d != 2*time.Minute {
			t.Errorf("%v after %v", err, d)
		}
	})
}

// TestEvil_R2_Silence: who says nothing, or does not answer, holds nothing for long.
func TestEvil_R2_Silence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `{"connect_timeout": "10s"}`)
		src, dst := raw(t, s.network, 11, s.relay), raw(t, s.network, 12, s.relay)
		begin := time.Now()
		st, err := src.NewStream(t.Context(), s.relay.ID(), relay.HopID)
		if err != nil {
			t.Fatal(err)
		}
		st.Write([]byte{200}) // the first byte of a length
		if _, err := io.Copy(io.Discard, st); err == nil || time.Since(begin) != time.Minute {
			t.Errorf("half a message: %v after %v", err, time.Since(begin))
		}
		t.Cleanup(dst.Handle(relay.StopID, func(st core.Stream) error {
			_, err := io.Copy(io.Discard, st)
			return err
		}))
		say(t, dst, s.relay.ID(), relay.HopID, kind(0))
		begin = time.Now()
		if _, status := say(t, src, s.relay.ID(), relay.HopID, withPeer(kind(1), dst.ID())); status != relay.StatusConnectionFailed || time.Since(begin) != 10*time.Second {
			t.Errorf("%v after %v", status, time.Since(begin))
		}
	})
}

func TestEvil_R3_WrongWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `{}`)
		s.connect(t)
		x := s.network.Node(t, hosttest.Settings{Seed: 11, Config: `{}`})
		hosttest.Connect(t, x, s.relay)
		hosttest.Connect(t, s.dialer, x)
		self, place := s.relay.ID(), s.behind.ID()
		for _, c := range []struct {
			name     string
			from     *host.Host
			to       peer.ID
			protocol string
			message  []byte
			want     relay.Status
		}{
			{"the relay itself", x, self, relay.HopID, withPeer(kind(1), self), relay.StatusNoReservation},
			{"oneself, without a place", x, self, relay.HopID, withPeer(kind(1), x.ID()), relay.StatusNoReservation},
			{"nobody", x, self, relay.HopID, kind(1), relay.StatusMalformedMessage},
			{"a status", x, self, relay.HopID, withStatus(kind(2), 5, relay.StatusOK), relay.StatusUnexpectedMessage},
			{"an unknown type", x, self, relay.HopID, kind(9), relay.StatusUnexpectedMessage},
			{"no type", x, self, relay.HopID, nil, relay.StatusMalformedMessage},
			{"nonsense", x, self, relay.HopID, []byte{0xff, 0xff}, relay.StatusMalformedMessage},
			{"stop from one who is no relay of theirs", x, s.dialer.ID(), relay.StopID, withPeer(kind(0), place), relay.StatusPermissionDenied},
			{"stop without a type", x, s.dialer.ID(), relay.StopID, nil, relay.StatusMalformedMessage},
			{"stop with a status", x, s.dialer.ID(), relay.StopID, withStatus(kind(1), 4, relay.StatusOK), relay.StatusUnexpectedMessage},
			{"stop with nobody", x, s.dialer.ID(), relay.StopID, kind(0), relay.StatusMalformedMessage},
		} {
			if _, got := say(t, c.from, c.to, c.protocol, c.message); got != c.want {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
	})
}

// TestEvil_R3_ThroughAnotherRelay asks a relay for a place, and for a connection,
// over a connection that is relayed.
func TestEvil_R3_ThroughAnotherRelay(t *testing.T) {
	for _, service := range []string{`{}`, `{"unlimited": true}`} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, service)
			// The node behind the relay is one too.
			second := hidden(t, s.network, 21, fmt.Sprintf(`{"nat": {"relay": {"service": {}}}, "listen": [%q]}`, s.at(t)))
			at := waitPlace(t, second)
			x := hidden(t, s.network, 22, `{"nat": {"relay": {}}, "listen": []}`)
			if _, err := x.Connect(t.Context(), peer.AddrInfo{ID: second.ID(), Addrs: []ma.Multiaddr{at}}); err != nil {
				t.Fatal(err)
			}
			for _, message := range [][]byte{kind(0), withPeer(kind(1), s.behind.ID())} {
				if _, got := say(t, x, second.ID(), relay.HopID, message); got != relay.StatusPermissionDenied {
					t.Errorf("%v, want %v", got, relay.StatusPermissionDenied)
				}
			}
			double := ma.StringCast(at.String() + "/p2p/" + second.ID().String() + "/p2p-circuit")
			_, err := x.Connect(t.Context(), peer.AddrInfo{ID: s.behind.ID(), Addrs: []ma.Multiaddr{double}})
			if err == nil {
				t.Error("connected through two relays")
			}
			// Nor is the node's own module to be made to do it.
			via := ma.StringCast("/p2p/" + second.ID().String() + "/p2p-circuit")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := x.Connect(ctx, peer.AddrInfo{ID: s.dialer.ID(), Addrs: []ma.Multiaddr{via}}); err == nil {
				t.Error("a relay that is behind a relay was used")
			}
		})
	}
}

func TestEvil_R5_NoReservation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `{}`)
		hosttest.Connect(t, s.dialer, s.relay)
		x := raw(t, s.network, 11, s.relay)
		via := peer.AddrInfo{ID: s.dialer.ID(), Addrs: []ma.Multiaddr{s.at(t)}}
		y := hidden(t, s.network, 22, `{"nat": {"relay": {}}, "listen": []}`)
		_, err := y.Connect(t.Context(), via)
		var status *relay.StatusError
		if !errors.As(err, &status) || status.Status != relay.StatusNoReservation {
			t.Errorf("connect to one without a place: %v", err)
		}
		// A place is none any more when its peer has left, even if it comes back.
		if _, got := say(t, x, s.relay.ID(), relay.HopID, kind(0)); got != relay.StatusOK {
			t.Fatal(got)
		}
		x.Disconnect(s.relay.ID())
		synctest.Wait()
		if _, got := say(t, y, s.relay.ID(), relay.HopID, withPeer(kind(1), x.ID())); got != relay.StatusNoReservation {
			t.Errorf("connect to one who has left: %v", got)
		}
		hosttest.Connect(t, x, s.relay)
		if _, got := say(t, y, s.relay.ID(), relay.HopID, withPeer(kind(1), x.ID())); got != relay.StatusNoReservation {
			t.Errorf("connect to one who has left and come back: %v", got)
		}
	})
}

func TestEvil_R6_BulkOverALimitedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `{}`)
		s.connect(t)
		if _, err := s.dialer.NewStream(t.Context(), s.behind.ID(), "/echo/1.0.0"); !errors.Is(err, core.ErrLimited) {
			t.Errorf("our own node opens it: %v", err)
		}
		// One that does not care meets the other's refusal.
		st, err := s.dialer.NewStream(core.AllowLimited(t.Context()), s.behind.ID(), "/echo/1.0.0")
		if err == nil {
			st.Write([]byte("x"))
			_, err = st.Read(make([]byte, 1))
		}
		var reset *core.StreamError
		if !errors.As(err, &reset) {
			t.Errorf("the other node serves it: %v", err)
		}
	})
}

// wicked is a relay that does something to the bytes that it carries.
func wicked(t testing.TB, n *hosttest.Network, seed uint64, alter func(from peer.ID, b []byte) []byte) *host.Host {
	t.Helper()
	h := n.Node(t, hosttest.Settings{Seed: seed, Config: `{}`})
	t.Cleanup(h.Handle(relay.HopID, func(s core.Stream) error {
		b, err := wire.ReadMessage(s, 4096)
		if err != nil {
			return err
		}
		ok := withStatus(kind(2), 5, relay.StatusOK)
		var dst peer.ID
		for f, err := range wire.Fields(b) {
			if err != nil {
				return err
			}
			if f.Num == 2 {
				v, _ := f.Bytes()
				for g := range wire.Fields(v) {
					id, _ := g.Bytes()
					dst = peer.ID(id)
				}
			}
		}
		if dst == "" { // a place for an hour
			expires := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(time.Now().Add(time.Hour).Unix()))
			return wire.WriteMessage(s, protowire.AppendBytes(protowire.AppendTag(ok, 3, protowire.BytesType), expires))
		}
		to, err := h.NewStream(t.Context(), dst, relay.StopID)
		if err != nil {
			return err
		}
		defer to.Reset(core.StreamNoError)
		if err := wire.WriteMessage(to, withPeer(kind(0), s.Conn().RemotePeer())); err != nil {
			return err
		}
		if _, err := wire.ReadMessage(to, 4096); err != nil {
			return err
		}
		if err := wire.WriteMessage(s, ok); err != nil {
			return err
		}
		carry := func(dst, src core.Stream) {
			defer dst.CloseWrite()
			buf := make([]byte, 1<<15)
			for {
				n, err := src.Read(buf)
				if err != nil {
					return
				}
				if _, err := dst.Write(alter(src.Conn().RemotePeer(), buf[:n])); err != nil {
					return
				}
			}
		}
		done := make(chan struct{})
		go func() { carry(s, to); close(done) }()
		carry(to, s)
		<-done
		return nil
	}))
	return h
}

// wickedScene is a scene whose relay is wicked.
func wickedScene(t testing.TB, alter func(from peer.ID, b []byte) []byte) *scene {
	t.Helper()
	s := &scene{network: hosttest.NewNetwork(memnet.Options{})}
	s.relay = wicked(t, s.network, relaySeed, alter)
	s.behind = hidden(t, s.network, behindSeed, fmt.Sprintf(
		`{"nat": {"relay": {}}, "listen": [%q], "protocols": {"ping": {}, "echo": {}}}`, s.at(t)))
	s.dialer = hidden(t, s.network, dialerSeed, `{"nat": {"relay": {}}, "listen": []}`)
	s.addr = waitPlace(t, s.behind)
	return s
}

// talk has the dialer connect and send a text through echo; it returns what came
// back and why no more did.
func (s *scene) talk(t testing.TB, text string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.dialer.Connect(ctx, peer.AddrInfo{ID: s.behind.ID(), Addrs: []ma.Multiaddr{s.addr}}); err != nil {
		return "", err
	}
	st, err := s.dialer.NewStream(ctx, s.behind.ID(), "/echo/1.0.0")
	if err != nil {
		return "", err
	}
	defer st.Reset(core.StreamNoError)
	st.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(st, text); err != nil {
		return "", err
	}
	st.CloseWrite()
	got, err := io.ReadAll(st)
	return string(got), err
}

// TestEvil_R4_RelayAltersBytes has a relay flip a bit, repeat a byte or leave one
// out, at every place of a conversation in turn, and wants the ends to notice.
func TestEvil_R4_RelayAltersBytes(t *testing.T) {
	const text = "nobody else shall read or write this text, whoever carries it"
	for name, change := range map[string]func(b []byte, i int) []byte{
		"nothing":  func(b []byte, i int) []byte { return b },
		"flips":    func(b []byte, i int) []byte { b[i] ^= 0x10; return b },
		"repeats":  func(b []byte, i int) []byte { return append(b[:i+1:i+1], b[i:]...) },
		"drops":    func(b []byte, i int) []byte { return append(b[:i:i], b[i+1:]...) },
		"reorders": func(b []byte, i int) []byte { b[i], b[0] = b[0], b[i]; return b },
	} {
		t.Run(name, func(t *testing.T) {
			reached := 0
			for k := 7; k < 1200; k += 61 {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex // the relay may carry on when the talk is over
					var carried bytes.Buffer
					changed := false
					s := wickedScene(t, func(from peer.ID, b []byte) []byte {
						if from != idOf(dialerSeed) {
							return b
						}
						mu.Lock()
						defer mu.Unlock()
						begin := carried.Len()
						carried.Write(b)
						if i := k - begin; i >= 0 && i < len(b) {
							was := bytes.Clone(b)
							b = change(bytes.Clone(b), i)
							changed = !bytes.Equal(was, b)
						}
						return b
					})
					got, err := s.talk(t, text)
					mu.Lock()
					defer mu.Unlock()
					if changed {
						reached++
					}
					if bytes.Contains(carried.Bytes(), []byte(text[:16])) {
						t.Error("the relay reads the text")
					}
					switch {
					case !changed && (err != nil || got != text):
						t.Errorf("byte %d untouched: %q, %v", k, got, err)
					case changed && err == nil && got != text:
						t.Errorf("byte %d changed: another text came: %q", k, got)
					}
				})
			}
			if reached < 8 && name != "nothing" {
				t.Errorf("only %d of the conversations were altered", reached)
			}
		})
	}
}

// TestEvil_A6_SomebodyElseBehindTheRelay: a relay connects the dialer to another
// peer than it asked for.
func TestEvil_A6_SomebodyElseBehindTheRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wickedScene(t, func(_ peer.ID, b []byte) []byte { return b })
		nobody := idOf(99)
		// The relay takes any destination for the one it knows.
		t.Cleanup(s.relay.Handle(relay.HopID, func(st core.Stream) error {
			if _, err := wire.ReadMessage(st, 4096); err != nil {
				return err
			}
			to, err := s.relay.NewStream(t.Context(), s.behind.ID(), relay.StopID)
			if err != nil {
				return err
			}
			defer to.Reset(core.StreamNoError)
			wire.WriteMessage(to, withPeer(kind(0), st.Conn().RemotePeer()))
			if _, err := wire.ReadMessage(to, 4096); err != nil {
				return err
			}
			wire.WriteMessage(st, withStatus(kind(2), 5, relay.StatusOK))
			go io.Copy(to, st)
			io.Copy(st, to)
			return nil
		}))
		_, err := s.dialer.Connect(t.Context(), peer.AddrInfo{ID: nobody, Addrs: []ma.Multiaddr{s.addr}})
		var mismatch *core.PeerMismatchError
		if !errors.As(err, &mismatch) || mismatch.Want != nobody || mismatch.Got != s.behind.ID() {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if c := s.dialer.ConnsTo(s.behind.ID()); len(c) != 0 {
			t.Errorf("connected to %v", c)
		}
		if a := s.dialer.PeerAddrs(nobody); len(a) != 0 {
			t.Errorf("kept for the peer: %v", a)
		}
	})
}

func idOf(seed uint64) peer.ID { return peer.FromPublicKey(hosttest.Key(seed).Public()) }
