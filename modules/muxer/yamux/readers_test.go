// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

const readers = 5

// readers has several readers wait on a stream for one byte each.
func (p *rawPeer) readers(st core.MuxedStream) <-chan error {
	read := make(chan error, readers)
	for range readers {
		p.wg.Go(func() {
			_, err := st.Read(make([]byte, 1))
			read <- err
		})
	}
	synctest.Wait()
	return read
}

// However a stream ends, all who read from it learn of it.
func TestEndWakesAllReaders(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(p *rawPeer, st core.MuxedStream) error
		want error
	}{
		"FIN": {func(p *rawPeer, _ core.MuxedStream) error {
			p.send(typeWindowUpdate, flagFIN, 1, 0)
			return nil
		}, io.EOF},
		"RST": {func(p *rawPeer, _ core.MuxedStream) error {
			p.send(typeWindowUpdate, flagRST, 1, 0)
			return nil
		}, core.ErrReset},
		"Reset":           {func(_ *rawPeer, st core.MuxedStream) error { return st.Reset(0) }, core.ErrReset},
		"CloseRead":       {func(_ *rawPeer, st core.MuxedStream) error { return st.CloseRead() }, net.ErrClosed},
		"Close":           {func(_ *rawPeer, st core.MuxedStream) error { return st.Close() }, net.ErrClosed},
		"deadline":        {func(_ *rawPeer, st core.MuxedStream) error { return st.SetReadDeadline(time.Now().Add(time.Second)) }, os.ErrDeadlineExceeded},
		"session":         {func(p *rawPeer, _ core.MuxedStream) error { return p.session.Close() }, core.ErrConnClosed},
		"remote":          {func(p *rawPeer, _ core.MuxedStream) error { return p.conn.Close() }, core.ErrConnClosed},
		"breach":          {func(p *rawPeer, _ core.MuxedStream) error { p.send(9, 0, 0, 0); return nil }, core.ErrConnClosed},
		"a byte for each": {func(p *rawPeer, _ core.MuxedStream) error { p.send(typeData, 0, 1, readers); return nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			withRawPeer(t, func(t *testing.T, p *rawPeer) {
				st := p.accept(1)
				read := p.readers(st)
				if err := tc.end(p, st); err != nil {
					t.Fatal(err)
				}
				for range readers {
					if err := <-read; !errors.Is(err, tc.want) {
						t.Errorf("read: %v, want %v", err, tc.want)
					}
				}
			})
		})
	}
}

// Some bytes, then the end: as many readers get one each.
func TestReadersShareWhatComes(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		st := p.accept(1)
		read := p.readers(st)
		p.send(typeData, flagFIN, 1, readers-2)
		got := map[error]int{}
		for range readers {
			got[<-read]++
		}
		if got[nil] != readers-2 || got[io.EOF] != 2 {
			t.Errorf("the readers ended with %v", got)
		}
	})
}
