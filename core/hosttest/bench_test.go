// SPDX-License-Identifier: Apache-2.0 OR MIT

package hosttest_test

import (
	"io"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// BenchmarkStream opens a stream, has 32 bytes echoed, and closes it. Both sides
// are in the figures: half of them is one side's.
func BenchmarkStream(b *testing.B) {
	nodes := hosttest.NewNetwork(memnet.Options{}).Nodes(b, 2, "")
	defer nodes[1].Handle("/echo/1.0.0", func(s core.Stream) error {
		var buf [32]byte
		for {
			n, err := s.Read(buf[:])
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if _, err := s.Write(buf[:n]); err != nil {
				return err
			}
		}
	})()
	hosttest.Connect(b, nodes[0], nodes[1])
	ctx, buf := b.Context(), make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		s, err := nodes[0].NewStream(ctx, nodes[1].ID(), "/echo/1.0.0")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(s, buf); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// BenchmarkConnect connects, waits for identify on both sides, and disconnects.
// Both sides are in the figures.
func BenchmarkConnect(b *testing.B) {
	nodes := hosttest.NewNetwork(memnet.Options{}).Nodes(b, 2, "")
	here, there := nodes[0], nodes[1]
	identified, gone := make(chan struct{}, 1), make(chan struct{}, 2)
	defer core.On(there, func(core.Identified) { identified <- struct{}{} })()
	for _, n := range nodes {
		defer core.On(n, func(core.Disconnected) { gone <- struct{}{} })()
	}
	b.ReportAllocs()
	for b.Loop() {
		c := hosttest.Connect(b, here, there)
		<-identified
		c.Close()
		<-gone
		<-gone
	}
}
