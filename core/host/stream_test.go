// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/memnet"
)

const echoID = "/echo/1.0.0"

func echoAll(s core.Stream) error {
	_, err := io.Copy(s, s)
	return err
}

// roundTrip echoes something on a new stream.
func roundTrip(ctx context.Context, from, to core.Node, said []byte) error {
	s, err := from.NewStream(ctx, to.ID(), echoID)
	if err != nil {
		return err
	}
	defer s.Close()
	var writing sync.WaitGroup
	writing.Go(func() {
		s.Write(said)
		s.CloseWrite()
	})
	heard, err := io.ReadAll(s)
	writing.Wait()
	if err == nil && !bytes.Equal(said, heard) {
		err = fmt.Errorf("of %d bytes %d came back", len(said), len(heard))
	}
	if err != nil {
		s.Reset(core.StreamNoError)
	}
	return err
}

// Sixteen streams at a time are let in: all of many get through, if they try
// again.
func TestMoreStreamsThanTheLimit(t *testing.T) {
	const streams, workers = 1024, 64
	network := hosttest.NewNetwork(memnet.Options{})
	b := network.Node(t, hosttest.Settings{Seed: 1, Config: `{"limits": {"streams_per_protocol_per_peer": 16}}`})
	a := network.Node(t, hosttest.Settings{Seed: 2})
	defer b.Handle(echoID, echoAll)()
	hosttest.Connect(t, a, b)
	todo := make(chan int, streams)
	for i := range streams {
		todo <- i
	}
	close(todo)
	var refused, others int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range todo {
				for {
					err := roundTrip(t.Context(), a, b, fmt.Appendf(nil, "stream %d", i))
					if err == nil {
						break
					}
					var reset *core.StreamError
					mu.Lock()
					if errors.As(err, &reset) && reset.Remote {
						refused++
					} else if others++; others < 5 {
						t.Errorf("stream %d: %v", i, err)
					}
					stop := others >= 5
					mu.Unlock()
					if stop {
						return
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d streams were refused at first", refused)
}

// Who is not let in gets an error at once, not a timeout.
func TestConnectToAFullNode(t *testing.T) {
	network := hosttest.NewNetwork(memnet.Options{})
	b := network.Node(t, hosttest.Settings{Seed: 1, Config: `{"limits": {"connections": 2, "inbound_connections": 1, "target": 1}}`})
	hosttest.Connect(t, network.Node(t, hosttest.Settings{Seed: 2}), b)
	late := network.Node(t, hosttest.Settings{Seed: 3})
	_, err := late.Connect(t.Context(), hosttest.Info(b))
	if err == nil {
		t.Fatal("connected")
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("got a timeout: %v", err)
	}
	if n := len(late.Conns()) + late.Limits().Outbound; n != 0 {
		t.Error("something is left of it")
	}
}

// Everything that is done is counted, and nothing once it is over.
func TestLimitsCountEverything(t *testing.T) {
	nodes := hosttest.NewNetwork(memnet.Options{}).Nodes(t, 2, "")
	a, b := nodes[0], nodes[1]
	serving := make(chan struct{})
	defer b.Handle(echoID, func(s core.Stream) error {
		serving <- struct{}{}
		return echoAll(s)
	})()
	disconnected := make(chan struct{}, 2)
	for _, n := range nodes {
		defer core.On(n, func(core.Disconnected) { disconnected <- struct{}{} })()
	}
	c := hosttest.Connect(t, a, b)
	s, err := a.NewStream(t.Context(), b.ID(), echoID)
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("x"))
	<-serving
	for name, got := range map[string]limits.Stat{"a": a.Limits(), "b": b.Limits()} {
		if got.Inbound+got.Outbound != 1 || got.Peers != 1 || got.InboundStreams+got.OutboundStreams < 1 || got.Protocols < 1 || got.Memory == 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	c.Close()
	<-disconnected
	<-disconnected
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]limits.Stat{"a": a.Limits(), "b": b.Limits()} {
		if got != (limits.Stat{}) {
			t.Errorf("%s: %+v is left", name, got)
		}
	}
}

func TestReconnect(t *testing.T) {
	nodes := hosttest.NewNetwork(memnet.Options{}).Nodes(t, 2, "")
	for i := range 5 {
		a, b := nodes[i%2], nodes[(i+1)%2]
		remove := b.Handle(echoID, echoAll)
		c := hosttest.Connect(t, a, b)
		for range 10 {
			if err := roundTrip(t.Context(), a, b, bytes.Repeat([]byte("x"), 1<<16)); err != nil {
				t.Fatal(err)
			}
		}
		gone := make(chan struct{})
		stop := core.On(b, func(core.Disconnected) { close(gone) })
		c.Close()
		<-gone
		stop()
		remove()
	}
}

func TestErrorCodes(t *testing.T) {
	nodes := hosttest.NewNetwork(memnet.Options{}).Nodes(t, 2, "")
	a, b := nodes[0], nodes[1]
	resets := make(chan core.StreamCode)
	seen := make(chan error)
	defer b.Handle(echoID, func(s core.Stream) error {
		if code := <-resets; code != 0 {
			s.Reset(code)
		}
		_, err := io.Copy(io.Discard, s)
		seen <- err
		return nil
	})()
	c := hosttest.Connect(t, a, b)
	open := func() core.Stream {
		s, err := a.NewStream(t.Context(), b.ID(), echoID)
		if err != nil {
			t.Fatal(err)
		}
		s.Write([]byte("x"))
		return s
	}
	check := func(what string, err error, code core.StreamCode, remote bool) {
		t.Helper()
		var reset *core.StreamError
		if !errors.As(err, &reset) || reset.Code != code || reset.Remote != remote || !errors.Is(err, core.ErrReset) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v, want code %#x, remote %v", what, err, code, remote)
		}
	}
	for _, code := range []core.StreamCode{core.StreamRateLimited, core.StreamProtocolViolation, 42} {
		s := open()
		resets <- code
		check("remote", <-seen, code, false)
		_, err := s.Read(make([]byte, 1))
		check("read", err, code, true)
		_, err = s.Write([]byte("x"))
		check("write", err, code, true)
		s.Close()

		s = open()
		resets <- 0
		s.Reset(code)
		check("remote", <-seen, code, true)
		_, err = s.Read(make([]byte, 1))
		check("read", err, code, false)
	}
	s := open()
	resets <- 0
	c.CloseWithCode(core.ConnGated)
	_, err := s.Read(make([]byte, 1))
	for what, err := range map[string]error{"here": err, "there": <-seen} {
		var closed *core.ConnError
		if !errors.As(err, &closed) || closed.Code != core.ConnGated || closed.Remote != (what == "there") || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v, want code %#x", what, err, core.ConnGated)
		}
	}
}
