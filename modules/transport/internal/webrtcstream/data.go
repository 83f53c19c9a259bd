// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"errors"
	"io"
	"os"

	"github.com/pion/sctp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/wire"
)

// Read implements [core.MuxedStream].
func (st *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		switch {
		case st.readLine.passed():
			return 0, os.ErrDeadlineExceeded
		case len(st.chunk) > 0:
			n := copy(p, st.chunk)
			if st.chunk = st.chunk[n:]; len(st.chunk) == 0 {
				st.chunk = nil
				st.drained.Signal()
			}
			return n, nil
		case st.readErr != nil:
			return 0, st.readErr
		}
		st.readable.Wait()
	}
}

// Write implements [core.MuxedStream].
func (st *Stream) Write(p []byte) (n int, err error) {
	st.writing.Lock()
	defer st.writing.Unlock()
	for n < len(p) || n == 0 {
		data := p[n:min(len(p), n+frameData)]
		if err := st.await(len(data)); err != nil {
			return n, err
		}
		if len(data) == 0 {
			return 0, nil
		}
		switch err := st.send(frame{data: data}); {
		case errors.Is(err, errChannelClosed):
			return n, st.whyNoWrites()
		case err != nil:
			return n, err
		}
		n += len(data)
	}
	return n, nil
}

// await waits until size bytes may be sent.
func (st *Stream) await(size int) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		switch buffered := int(st.channel.BufferedAmount()); {
		case st.writeErr != nil:
			return st.writeErr
		case st.writeLine.passed():
			return os.ErrDeadlineExceeded
		case buffered == 0 || buffered+size <= st.limit, st.grow():
			return nil
		}
		st.writable.Wait()
	}
}

// grow lets the stream send more ahead of the remote's acknowledgement, if there
// is memory for that; the lock is held.
func (st *Stream) grow() bool {
	if st.limit >= maxSend || st.account.Reserve(sendStep, growPriority) != nil {
		return false
	}
	st.limit += sendStep
	st.channel.SetBufferedAmountLowThreshold(uint64(st.limit / 2))
	return true
}

// send writes a frame, which waits behind those before it.
func (st *Stream) send(f frame) error {
	buffer := frameBuffers.Get().(*[maxFrame]byte)
	defer frameBuffers.Put(buffer)
	b := appendFrame(buffer[:0], f)
	st.sending.Lock()
	defer st.sending.Unlock()
	if len(b) > maxWhole {
		_, prefix, _ := wire.Uvarint(b) // it is there
		if err := st.write(b[:prefix]); err != nil {
			return err
		}
		b = b[prefix:]
	}
	return st.write(b)
}

// write writes a message.
func (st *Stream) write(b []byte) error {
	_, err := st.channel.WriteSCTP(b, sctp.PayloadTypeWebRTCBinary)
	if err == nil {
		return nil
	}
	if errors.Is(err, sctp.ErrStreamClosed) || errors.Is(err, io.EOF) {
		return errChannelClosed
	}
	return st.session.explain(err)
}

// whyNoWrites tells why the channel is closed to the writer.
func (st *Stream) whyNoWrites() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.writeErr != nil {
		return st.writeErr
	}
	return &core.StreamError{Remote: true}
}

// tell says that a side of the stream has ended. If the channel is closed the
// remote has said that it does not want to know.
func (st *Stream) tell(f frame) error {
	if err := st.send(f); !errors.Is(err, errChannelClosed) {
		return err
	}
	return nil
}
