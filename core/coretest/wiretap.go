// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"sync"

	"github.com/xnode-p2p/xnode/core/memnet"
)

// wiretap is somebody in the middle of a connection.
type wiretap struct {
	client, server *memnet.Conn // the two ends
	wg             sync.WaitGroup
}

// newWiretap returns a connection of which every chunk passes through change,
// with its direction and the number of bytes that came before it that way. What
// change returns goes on; nil ends the connection.
func newWiretap(change func(toServer bool, offset int, p []byte) []byte) *wiretap {
	client, left := memnet.Pipe()
	right, server := memnet.Pipe()
	w := &wiretap{client: client, server: server}
	w.wg.Go(func() { pass(right, left, func(offset int, p []byte) []byte { return change(true, offset, p) }) })
	w.wg.Go(func() { pass(left, right, func(offset int, p []byte) []byte { return change(false, offset, p) }) })
	return w
}

// close ends both ends and waits until nobody listens any more.
func (w *wiretap) close() {
	w.client.Close()
	w.server.Close()
	w.wg.Wait()
}

// pass copies until the end, which it passes on.
func pass(to, from *memnet.Conn, change func(offset int, p []byte) []byte) {
	p := make([]byte, 64<<10)
	for offset := 0; ; {
		n, err := from.Read(p)
		if n > 0 {
			out := change(offset, p[:n])
			if _, werr := to.Write(out); werr != nil || out == nil {
				to.Close()
				from.Close()
				return
			}
			offset += n
		}
		if err != nil {
			to.CloseWrite()
			return
		}
	}
}
