// SPDX-License-Identifier: Apache-2.0 OR MIT

package hosttest_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// An answer that is larger than any window arrives although the asker has
// closed its side: a half-closed stream still grants credit.
func TestLargeAnswerAfterCloseWrite(t *testing.T) {
	const size = 8 << 20
	nodes := hosttest.NewNetwork(memnet.Options{}).Nodes(t, 2, "")
	a, b := nodes[0], nodes[1]
	defer b.Handle("/answer", func(s core.Stream) error {
		question, err := io.ReadAll(s)
		if err != nil {
			return err
		}
		_, err = s.Write(bytes.Repeat(question, size/len(question)))
		return err
	})()
	hosttest.Connect(t, a, b)
	s, err := a.NewStream(t.Context(), b.ID(), "/answer")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(answer, bytes.Repeat([]byte("question"), size/8)) {
		t.Errorf("%d bytes came, not %d like the question", len(answer), size)
	}
	s.Close()
}
