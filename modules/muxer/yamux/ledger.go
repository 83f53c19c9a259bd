// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// maxCredit is what a side may be allowed to send at most: window updates
// that add up to more are a breach of the protocol.
const maxCredit = 1<<32 - 1

// ledger follows the streams of one connection by the headers of their frames,
// in both directions. It refuses what the library would take from a remote,
// charges each stream's account, and decides what the remote may send.
type ledger struct {
	start     time.Time
	initiator bool   // the local IDs are odd
	maxWindow uint32 // what a window may grow to
	memory    core.ConnMemory

	mu        sync.Mutex
	closed    bool
	streams   map[uint32]*stream // bounded by the library's limits, callers, and maxLingering
	theirs    idWindow           // the IDs the remote has used
	ours      uint32             // the highest ID used here
	resets    meter
	abuses    meter
	lingering ring                // the IDs of streams that linger
	prepared  []core.StreamMemory // for streams that are being opened here; bounded by callers
	rtt       roundTrip
}

// received judges a frame of the remote, and changes its header where the
// library must not see it as it is. If refused is true there is no memory for
// the stream: the remote and the library must be told that it is reset. An error
// ends the connection.
func (l *ledger) received(h *header) (refused bool, err error) {
	if h.version() != 0 {
		return false, fmt.Errorf("version %d", h.version())
	}
	flags := h.flags()
	switch h.kind() {
	case typeData, typeWindowUpdate:
		if flags&^allFlags != 0 {
			return false, fmt.Errorf("unknown flags %#x", flags)
		}
		if h.id() == 0 {
			return false, errors.New("stream ID 0")
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.receivedLocked(h)
	case typePing:
		if h.id() != 0 || flags != flagSYN && flags != flagACK {
			return false, fmt.Errorf("ping with stream ID %d and flags %#x", h.id(), flags)
		}
		if flags == flagACK {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.rtt.answered(h.length())
		}
		return false, nil
	case typeGoAway:
		if h.id() != 0 || flags != 0 {
			return false, fmt.Errorf("GoAway with stream ID %d and flags %#x", h.id(), flags)
		}
		return false, nil
	}
	return false, fmt.Errorf("unknown type of frame %d", h.kind())
}

func (l *ledger) receivedLocked(h *header) (refused bool, err error) {
	if l.closed {
		return false, net.ErrClosed
	}
	id, flags := h.id(), h.flags()
	theirs := l.isTheirs(id)
	st := l.streams[id]
	if flags&flagSYN != 0 {
		if st, err = l.syn(h, theirs); err != nil {
			return false, err
		}
	}
	switch {
	case st != nil:
	case theirs && !l.theirs.used(id), !theirs && id > l.ours:
		return false, fmt.Errorf("frame for stream %d, which was never opened", id)
	default:
		// The stream is over on both sides.
		if flags&flagRST != 0 && l.resets.exceeded() {
			return false, errTooManyResets
		}
		if h.body() > 0 && l.abuses.exceeded() {
			return false, errTooManyPointless
		}
		if h.body() > l.maxWindow {
			return false, fmt.Errorf("%d bytes for stream %d, which has ended", h.body(), id)
		}
		h.void()
		return false, nil
	}
	told := flags&flagSYN == 0 && st.sentRST
	err = l.advance(h, st, theirs)
	return st.sentRST && !told, err
}

// isTheirs reports whether streams with this ID are opened by the remote.
func (l *ledger) isTheirs(id uint32) bool { return (id%2 == 1) != l.initiator }

// syn records a stream that the remote opens. If there is no memory for it, it
// is one that has been reset.
func (l *ledger) syn(h *header, theirs bool) (*stream, error) {
	id := h.id()
	switch {
	case !theirs:
		return nil, fmt.Errorf("the remote opened stream %d with an ID of this side", id)
	case h.flags()&flagACK != 0:
		return nil, fmt.Errorf("stream %d is opened and acknowledged at once", id)
	case h.body() > initialWindow:
		return nil, fmt.Errorf("stream %d is opened with %d bytes of data", id, h.body())
	case !l.theirs.take(id):
		return nil, fmt.Errorf("stream %d is opened twice", id)
	}
	account, err := newAccount(l.memory)
	st := newStream(id, account)
	l.streams[id] = st
	if err != nil {
		st.refuse()
		st.handed = true // the library will not even know it
	}
	return st, nil
}

// advance applies a frame of the remote to its stream.
func (l *ledger) advance(h *header, st *stream, theirs bool) error {
	flags, n := h.flags(), h.length()
	if n == 0 && flags == 0 && l.abuses.exceeded() {
		return errTooManyPointless
	}
	if flags&flagACK != 0 && (theirs || st.acked) {
		// The library would count it as another one of our streams accepted.
		flags &^= flagACK
		h.setFlags(flags)
	}
	st.acked = st.acked || flags&flagACK != 0

	unwanted := st.localDone() || st.reset != 0 // who has read all may still write, and needs credit
	if h.kind() == typeData {
		unwanted = unwanted || st.readDone
		if n > st.window {
			return fmt.Errorf("%d bytes for stream %d, whose window is %d", n, st.id, st.window)
		}
		st.window -= n
		st.arrived += uint64(n)
		if st.gotFIN {
			// A writer that races with its own close may send a little.
			unwanted = true
			flags &^= flagFIN
			if n > 0 && l.abuses.exceeded() {
				return errTooManyPointless
			}
		} else if n > 0 && n < smallFrame && !unwanted && !st.small() {
			st.refuse()
		}
	} else if flags&flagRST != 0 {
		if st.reset == 0 {
			st.code = core.StreamCode(n)
		}
		h.setLength(0)
	} else {
		if uint64(st.credit)+uint64(n) > maxCredit {
			return fmt.Errorf("window updates for stream %d add up to more than %d", st.id, uint32(maxCredit))
		}
		st.credit += n
	}

	st.gotFIN = st.gotFIN || flags&flagFIN != 0
	if flags&flagRST != 0 {
		if theirs && l.resets.exceeded() {
			return errTooManyResets
		}
		if st.reset == 0 {
			st.reset = byRemote
		}
		st.gotFIN = true
	}
	if st.reset == byLocal || unwanted && flags == 0 {
		h.void()
	}
	l.settle(st)
	return nil
}

// sent records a frame that the library writes, and puts the code into a reset.
// It reports false for a frame that must not be written: what the library says
// of credit is not meant for the remote.
func (l *ledger) sent(h *header) bool {
	id, flags, n := h.id(), h.flags(), h.length()
	switch h.kind() {
	case typeGoAway:
		return true
	case typeWindowUpdate:
		if flags == 0 {
			return false
		}
		h.setLength(0)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.kind() == typePing {
		if flags == flagSYN {
			l.rtt.asked(n)
		}
		return true
	}
	if l.closed {
		return true
	}
	st := l.streams[id]
	if flags&flagSYN != 0 && st == nil {
		st = l.open(id)
	}
	if st == nil {
		return true
	}
	if st.sentRST {
		return false // nothing follows a reset
	}
	if h.kind() == typeData {
		st.credit -= min(n, st.credit)
	} else if flags&(flagSYN|flagACK) != 0 {
		// The remote may hear of more credit from now on.
		st.announced = true
		h.setLength(l.credit(st))
	}
	st.sentFIN = st.sentFIN || flags&flagFIN != 0
	if flags&flagRST != 0 {
		if !st.handed {
			// The library has no room for it, and will not hand it out.
			st.code, st.handed = core.StreamLimitExceeded, true
		}
		if st.reset == 0 {
			st.reset = byLocal
		}
		st.sentFIN, st.sentRST = true, true
		if h.kind() == typeWindowUpdate {
			h.setLength(uint32(st.code))
		}
	}
	l.settle(st)
	return true
}

// settle gives back the memory of a stream whose buffer is gone, and forgets
// or lets linger the streams that are over.
func (l *ledger) settle(st *stream) {
	local := st.localDone() || st.reset != 0
	if local {
		st.release()
	}
	// A stream that the library still holds ready to hand out stays known.
	if !local || st.lingers || !st.handed {
		if st.lingers && st.gotFIN {
			delete(l.streams, st.id)
		}
		return
	}
	if st.gotFIN && (st.reset != byLocal || st.sentRST) {
		delete(l.streams, st.id)
		return
	}
	l.linger(st)
}

// linger replaces a stream by a small one that only counts what still comes.
func (l *ledger) linger(st *stream) {
	tomb := newStream(st.id, nil)
	tomb.window, tomb.credit, tomb.acked, tomb.code = st.window, st.credit, st.acked, st.code
	tomb.reset, tomb.sentFIN, tomb.readDone = st.reset, true, true
	tomb.gotFIN, tomb.sentRST = st.gotFIN, st.sentRST
	tomb.handed, tomb.lingers = true, true
	l.streams[st.id] = tomb
	if oldest, full := l.lingering.push(st.id); full {
		if old := l.streams[oldest]; old != nil && old.lingers {
			delete(l.streams, oldest)
		}
	}
}

// accept returns the record of a stream that the remote opened and the library
// hands out; nil if it ended while it waited.
func (l *ledger) accept(id uint32) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.streams[id]
	if st == nil {
		return nil
	}
	st.handed = true
	if st.reset != 0 {
		l.settle(st)
		return nil
	}
	st.epoch = time.Since(l.start)
	return st
}

// opened returns the record of a stream that the library has opened with an
// account prepared for it. It reports nil if the connection has ended.
func (l *ledger) opened(id uint32) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	st := l.streams[id]
	if st == nil {
		st = l.open(id)
	}
	st.handed, st.epoch = true, time.Since(l.start)
	l.settle(st)
	return st
}

// finishRead records that st will not be read from any more.
func (l *ledger) finishRead(st *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st.readDone || l.closed {
		return
	}
	st.readDone = true
	if l.streams[st.id] == st {
		l.settle(st)
	}
}

// resetting records that st is about to be reset here.
func (l *ledger) resetting(st *stream, code core.StreamCode) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st.reset == 0 && !(st.sentFIN && (st.gotFIN || st.readDone)) {
		st.reset, st.code = byLocal, code
	}
}

// fate tells how st ended.
func (l *ledger) fate(st *stream) (reset uint8, code core.StreamCode, readDone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return st.reset, st.code, st.readDone
}

// close ends the ledger and gives all memory back.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, st := range l.streams {
		st.release()
	}
	for _, account := range l.prepared {
		account.Done()
	}
	l.streams, l.prepared = nil, nil
}
