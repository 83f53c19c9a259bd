// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestGrowth(t *testing.T) {
	memory := coretest.NewMemory(1000)
	g := &growth{memory: memory}
	for _, step := range []struct {
		n        int
		priority uint8
		ok       bool
		reserved int
	}{
		{initialWindow, 255, true, 0}, // the ledger's
		{100, 128, true, 100},
		{300, 128, true, 400},
		{300, 128, false, 400},
	} {
		if err := g.ReserveMemory(step.n, step.priority); (err == nil) != step.ok {
			t.Errorf("ReserveMemory(%d, %d): %v", step.n, step.priority, err)
		}
		if got := memory.Reserved(); got != step.reserved {
			t.Errorf("%d bytes are reserved, want %d", got, step.reserved)
		}
	}
	g.ReleaseMemory(100)
	if got := memory.Reserved(); got != 300 {
		t.Errorf("%d bytes are reserved, want 300", got)
	}
	g.Done()
	g.Done()
	g.ReleaseMemory(100)
	if err := g.ReserveMemory(100, 128); err != errStreamEnded {
		t.Errorf("ReserveMemory after Done: %v", err)
	}
	memory.Check(t)
}

func TestGrowthWhileTheStreamEnds(t *testing.T) {
	memory := coretest.NewMemory(-1)
	for range 1000 {
		g := &growth{memory: memory}
		var wg sync.WaitGroup
		wg.Go(func() { _ = g.ReserveMemory(10, 128) })
		wg.Go(func() { _ = g.ReserveMemory(20, 128) })
		wg.Go(g.Done)
		wg.Wait()
	}
	memory.Check(t)
}
