// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"context"
	"slices"
	"testing"

	"github.com/xnode-p2p/xnode/core"
)

// TestLifecycle tests what every service must do about Start and Close.
// newService makes a new one each time, and prepare readies a node for it: with
// the modules it looks for, say.
func TestLifecycle(t *testing.T, newService func(*testing.T) core.Service, prepare ...func(*FakeNode)) {
	l := &lifecycle{newService}
	for _, c := range []struct {
		name string
		test func(*testing.T, *FakeNode)
	}{
		{"CloseWithoutStart", l.testCloseWithoutStart},
		{"CloseTwice", l.testCloseTwice},
		{"CloseLeavesNothing", l.testCloseLeavesNothing},
		{"StartAgain", l.testStartAgain},
		{"OutlivesContextOfStart", l.testOutlivesContext},
		{"SuccessorStartsBeforeClose", l.testSuccessor},
		{"NodeClosesFirst", l.testNodeClosesFirst},
	} {
		t.Run(c.name, func(t *testing.T) {
			VerifyNoLeaks(t)
			node := FakeNodes(t, 2)[0]
			for _, p := range prepare {
				p(node)
			}
			c.test(t, node)
		})
	}
}

type lifecycle struct{ newService func(*testing.T) core.Service }

func (l *lifecycle) start(t *testing.T, n *FakeNode) core.Service {
	t.Helper()
	s := l.newService(t)
	if err := s.Start(t.Context(), n); err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustClose(t *testing.T, s core.Service) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func (l *lifecycle) testCloseWithoutStart(t *testing.T, n *FakeNode) {
	s := l.newService(t)
	mustClose(t, s)
	mustClose(t, s)
	n.checkEmpty(t)
}

func (l *lifecycle) testCloseTwice(t *testing.T, n *FakeNode) {
	s := l.start(t, n)
	mustClose(t, s)
	mustClose(t, s)
}

func (l *lifecycle) testCloseLeavesNothing(t *testing.T, n *FakeNode) {
	mustClose(t, l.start(t, n))
	n.checkEmpty(t)
}

func (l *lifecycle) testStartAgain(t *testing.T, n *FakeNode) {
	var protocols []string
	for i := range 5 {
		s := l.start(t, n)
		if i > 0 && !slices.Equal(protocols, n.Protocols()) {
			t.Errorf("serves %v, the instance before it %v", n.Protocols(), protocols)
		}
		protocols = n.Protocols()
		mustClose(t, s)
	}
	n.checkEmpty(t)
}

func (l *lifecycle) testOutlivesContext(t *testing.T, n *FakeNode) {
	ctx, cancel := context.WithCancel(t.Context())
	s := l.newService(t)
	if err := s.Start(ctx, n); err != nil {
		t.Fatalf("start: %v", err)
	}
	before := n.Protocols()
	cancel()
	if after := n.Protocols(); !slices.Equal(before, after) {
		t.Errorf("serves %v after the context of Start ended, before it %v", after, before)
	}
	mustClose(t, s)
}

// testSuccessor replaces a service as a reload does.
func (l *lifecycle) testSuccessor(t *testing.T, n *FakeNode) {
	before := l.start(t, n)
	want := n.Protocols()
	after := l.start(t, n)
	mustClose(t, before)
	if got := n.Protocols(); !slices.Equal(got, want) {
		t.Errorf("serves %v after the predecessor has closed, before %v", got, want)
	}
	mustClose(t, after)
	n.checkEmpty(t)
}

func (l *lifecycle) testNodeClosesFirst(t *testing.T, n *FakeNode) {
	s := l.start(t, n)
	n.close()
	mustClose(t, s)
}

// checkEmpty fails the test if something of a service is left on the node.
func (n *FakeNode) checkEmpty(t *testing.T) {
	t.Helper()
	if p := n.Protocols(); len(p) > 0 {
		t.Errorf("still serves %v", p)
	}
	if a := n.Addrs(); len(a) > 1 {
		t.Errorf("still announces %v", a[1:])
	}
	if k := n.subscriptions(); k > 0 {
		t.Errorf("%d subscriptions of events are left", k)
	}
}
