// SPDX-License-Identifier: Apache-2.0 OR MIT

package wire_test

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/xnode-p2p/xnode/core/wire"
)

// plain hides all methods but Write.
type plain struct{ io.Writer }

func TestCopy(t *testing.T) {
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, 1 << 20} {
		data := bytes.Repeat([]byte{7}, size)
		var got bytes.Buffer
		n, err := wire.Copy(plain{&got}, iotest.HalfReader(bytes.NewReader(data)))
		if err != nil || n != int64(size) || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("%d bytes: %d copied, %v", size, n, err)
		}
	}
	if _, err := wire.Copy(io.Discard, iotest.ErrReader(io.ErrUnexpectedEOF)); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, want the reader's error", err)
	}
}
