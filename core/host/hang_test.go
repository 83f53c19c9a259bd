// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
)

// hanging is a service whose Close comes back when it is let.
type hanging struct{ let chan struct{} }

func (*hanging) Start(context.Context, core.Node) error { return nil }

func (h *hanging) Close() error {
	<-h.let
	return nil
}

// A module that does not close holds up neither a reload nor the node's end.
func TestModuleThatHangsInClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := host.New(host.Settings{Key: hosttest.Key(1)})
		if err != nil {
			t.Fatal(err)
		}
		s := &hanging{let: make(chan struct{})}
		lease, err := h.Acquire(t.Context(), &host.Plan{
			Services: []core.Loaded[core.Service]{{Name: "protocols/hanging", Module: s}},
		})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		err = lease.Release()
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("the release took %v", took)
		}
		if err == nil || !strings.Contains(err.Error(), "protocols/hanging: close: not done within 10s") {
			t.Errorf("got %v", err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		close(s.let)
	})
}
