// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"errors"
	"io"
	"time"

	"github.com/pion/sctp"

	"github.com/xnode-p2p/xnode/core"
)

// start runs the pump of a stream, the one goroutine that reads its channel.
func (st *Stream) start(opened bool) {
	st.session.wg.Go(func() {
		st.pump(opened)
		st.finish()
	})
}

// pump takes what arrives on the channel until that is closed, or until nobody
// wants to know. If the remote opens the channel, the first message says so.
func (st *Stream) pump(opening bool) {
	var partial []byte // a frame that has not arrived whole; bounded by maxFrame
	for {
		b, release, kind, err := st.receive(partial)
		if err == nil {
			st.session.paced.consumed(len(b) - len(partial))
		}
		switch {
		case err != nil:
			st.closed()
			return
		case opening:
			opening = false
			if !st.open(b, kind) {
				_ = st.Reset(core.StreamProtocolViolation)
			}
		case kind == sctp.PayloadTypeWebRTCDCEP: // the remote confirms the opening
		default:
			rest, err := st.take(b)
			if err != nil || len(rest) >= maxFrame {
				rest = nil
				_ = st.Reset(core.StreamProtocolViolation)
			}
			partial = append(partial[:0], rest...)
		}
		release()
	}
}

// receive reads one message, and returns it with what came before it. A pump
// that waits holds no buffer but a small one.
func (st *Stream) receive(before []byte) (b []byte, release func(), kind sctp.PayloadProtocolIdentifier, err error) {
	n, kind, err := st.channel.ReadSCTP(st.small[:])
	if err == nil {
		return append(before, st.small[:n]...), func() {}, kind, nil
	}
	if !errors.Is(err, io.ErrShortBuffer) {
		return nil, nil, 0, err
	}
	if len(before)+n <= maxFrame {
		buffer := frameBuffers.Get().(*[maxFrame]byte)
		b, release = buffer[:], func() { frameBuffers.Put(buffer) }
	} else {
		buffer := messageBuffers.Get().(*[maxMessage]byte)
		b, release = buffer[:], func() { messageBuffers.Put(buffer) }
	}
	copy(b, before)
	n, kind, err = st.channel.ReadSCTP(b[len(before):])
	return b[:min(len(b), len(before)+n)], release, kind, err
}

// open hands a stream that the remote has opened to who accepts streams. It
// returns false if the remote did not do that well.
func (st *Stream) open(b []byte, kind sctp.PayloadProtocolIdentifier) bool {
	label, err := parseOpen(b, kind)
	if err != nil {
		return false
	}
	if st.refused {
		_ = st.Reset(core.StreamLimitExceeded)
		return true
	}
	if _, err := st.channel.WriteSCTP([]byte{channelAck}, sctp.PayloadTypeWebRTCDCEP); err != nil {
		return false
	}
	if string(label) == initLabel {
		st.forgo()
		return true
	}
	select {
	case st.session.arrived <- st:
	default: // there is a place for each that is not refused
		_ = st.Reset(core.StreamLimitExceeded)
	}
	return true
}

// forgo makes the channel one that carries no stream and that the remote closes,
// in time.
func (st *Stream) forgo() {
	st.mu.Lock()
	st.readErr, st.writeErr = errReadClosed, errWriteClosed
	st.over, st.acked = true, true
	st.linger = time.AfterFunc(lingerTime, st.expire)
	st.mu.Unlock()
	st.session.leave(st)
}

// take handles the frames in b, and returns what it has of one that has not
// arrived whole: some implementations write a frame in several messages.
func (st *Stream) take(b []byte) (rest []byte, err error) {
	for len(b) > 0 {
		f, n, err := parseFrame(b)
		if n == 0 || err != nil {
			return b, err
		}
		st.handle(f)
		b = b[n:]
	}
	return nil, nil
}

// handle does what a frame says, its data first.
func (st *Stream) handle(f frame) {
	if len(f.data) > 0 {
		st.deliver(f.data)
	}
	switch f.flag {
	case flagFIN:
		if st.finished() {
			_ = st.send(frame{flag: flagFINACK})
			if st.ignored.Load() {
				_ = st.CloseWrite() // nobody else will
			}
		}
	case flagFINACK:
		st.confirmed(nil)
	case flagStopSending:
		st.confirmed(&core.StreamError{Code: f.code, Remote: true})
	case flagReset:
		st.abandon(&core.StreamError{Code: f.code, Remote: true})
	}
	st.settle()
}

// deliver gives data to the readers and waits until they have read it.
func (st *Stream) deliver(data []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.readErr != nil {
		return // nobody reads, or the remote goes on after its end
	}
	st.chunk = data
	st.readable.Signal()
	for len(st.chunk) > 0 {
		st.drained.Wait()
	}
}

// finished notes that the remote sends no more, and tells whether it is to be
// told that everything has arrived.
func (st *Stream) finished() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.readErr == nil {
		st.readErr = io.EOF
		st.readable.Broadcast()
	}
	return !st.over
}

// confirmed notes that the remote has all that was sent, or wants no more of it.
func (st *Stream) confirmed(stop error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case stop == nil && !st.sentFIN:
		return // there is nothing to confirm yet
	case stop != nil && st.writeErr == nil:
		st.writeErr = stop
	}
	st.acked = true
	st.writable.Broadcast()
}

// closed notes that the channel, or the association, has come to its end.
func (st *Stream) closed() {
	why := &core.StreamError{Remote: true}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.over = true
	if st.readErr == nil {
		st.readErr = why
	}
	if st.writeErr == nil {
		st.writeErr = why
	}
	st.broadcast()
}

// settle closes the channel if both directions have ended, and sees to it that
// this does not take for ever once this side has no more to do.
func (st *Stream) settle() {
	st.mu.Lock()
	done := !st.over && st.readErr != nil && st.acked
	st.over = st.over || done
	if st.readErr != nil && st.writeErr != nil && st.linger == nil {
		st.linger = time.AfterFunc(lingerTime, st.expire)
	}
	st.mu.Unlock()
	if done {
		st.session.leave(st)
		_ = st.channel.Close() // the association has ended if it fails
	}
}

// expire gives up waiting for the remote.
func (st *Stream) expire() {
	_ = st.channel.Close()
	_ = st.channel.SetReadDeadline(time.Unix(1, 0))
}

// finish forgets the stream.
func (st *Stream) finish() {
	_ = st.channel.Close() // the remote has closed the channel
	st.mu.Lock()
	if st.linger != nil {
		st.linger.Stop()
	}
	st.readLine.stop()
	st.writeLine.stop()
	st.mu.Unlock()
	st.session.remove(st)
}
