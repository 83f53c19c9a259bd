// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"io"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// node is a transport that runs on a fake node.
type node struct {
	*coretest.FakeNode
	transport *Transport
}

func newNodes(t testing.TB, n int) (list []*node) {
	t.Helper()
	for _, fake := range coretest.FakeNodes(t, n) {
		tr := coretest.MustLoad[core.Transport](t, "webrtcdirect", `{}`).(*Transport)
		if err := tr.Start(t.Context(), fake); err != nil {
			t.Fatal(err)
		}
		list = append(list, &node{fake, tr})
	}
	return list
}

// serve accepts connections and echoes on their streams until l is closed and
// they have ended.
func serve(l core.MuxedListener) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, admission, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer admission.Done()
				defer c.Close()
				for {
					st, err := c.AcceptStream()
					if err != nil {
						return
					}
					wg.Go(func() {
						_, _ = io.Copy(st, st)
						_ = st.Close()
					})
				}
			})
		}
	})
	return wg.Wait
}

// echo fails unless the other side of a connection echoes.
func echo(t *testing.T, c core.Session) {
	t.Helper()
	st, err := c.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(st, "hello"); err != nil {
		t.Error(err)
	}
	if err := st.CloseWrite(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(st); err != nil || string(got) != "hello" {
		t.Errorf("the echo is %q, %v", got, err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}
