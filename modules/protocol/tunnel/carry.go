// SPDX-License-Identifier: Apache-2.0 OR MIT

package tunnel

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/wire"
)

// carry copies what comes on either side to the other, until both have ended.
// An end of one direction is passed on, and so the other goes on; after an error
// nothing does.
func carry(stream core.Stream, conn net.Conn) error {
	var once sync.Once
	var failure error
	fail := func(err error) {
		once.Do(func() {
			failure = err
			_ = stream.Reset(core.StreamNoError)
			_ = conn.Close()
		})
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := flow(conn, stream, func() error { return closeWrite(conn) }); err != nil {
			fail(err)
		}
	})
	if err := flow(stream, conn, stream.CloseWrite); err != nil {
		fail(err)
	}
	wg.Wait()
	if failure != nil {
		return failure
	}
	return errors.Join(stream.Close(), conn.Close())
}

// flow copies one direction and passes its end on.
func flow(to io.Writer, from io.Reader, end func() error) error {
	_, err := wire.Copy(writer{to}, reader{from})
	if err != nil {
		return err
	}
	return end()
}

// reader and writer hide that a socket could do the copying by itself: it would
// with buffers of its own.
type (
	reader struct{ io.Reader }
	writer struct{ io.Writer }
)

// closeWrite ends what a connection sends. Where it cannot do that alone, it
// ends.
func closeWrite(conn net.Conn) error {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		if err := c.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) && !isNotConnected(err) {
			return err
		}
		return nil
	}
	return conn.Close()
}
