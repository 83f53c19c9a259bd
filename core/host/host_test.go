// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"io"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

func TestEchoBetweenTwoHosts(t *testing.T) {
	nodes := hosttest.NewNetwork(memnet.Options{}).Nodes(t, 2, "")
	a, b := nodes[0], nodes[1]
	remove := b.Handle("/echo/1.0.0", func(s core.Stream) error {
		_, err := io.Copy(s, s)
		return err
	})
	defer remove()
	stat := hosttest.Connect(t, a, b).Stat()
	if stat.Security != "/noise" || stat.Muxer != "/yamux/1.0.0" || stat.Direction != core.Outbound {
		t.Errorf("connection: %+v", stat)
	}
	s, err := a.NewStream(t.Context(), b.ID(), "/echo/1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(s)
	if err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	s.Close()
}
