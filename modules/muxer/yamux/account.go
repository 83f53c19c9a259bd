// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import "github.com/xnode-p2p/xnode/core"

const (
	// initialPriority is the priority with which the initial window of a
	// stream is reserved.
	initialPriority = 255
	// growthPriority is that for a window that grows, and for small frames.
	growthPriority = 128

	// Data lies in the library's buffer frame by frame, and small frames cost
	// far more than they carry. Of frames with less than smallFrame bytes,
	// 2*smallBlock may lie unread on one stream for the price of its window;
	// every further block of them costs smallCost each. A stream that cannot pay
	// is reset.
	smallFrame = 64
	smallBlock = 2048
	smallCost  = 96
)

// newAccount returns an account for a stream, which has the initial window.
func newAccount(memory core.ConnMemory) (core.StreamMemory, error) {
	account := memory.Stream()
	if err := account.Reserve(initialWindow, initialPriority); err != nil {
		account.Done()
		return nil, err
	}
	return account, nil
}

// prepare makes an account for a stream that the library is about to open,
// under an ID that nobody knows yet. All such accounts are alike.
func (l *ledger) prepare() error {
	account, err := newAccount(l.memory)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		account.Done() // and the library opens nothing any more
		return nil
	}
	l.prepared = append(l.prepared, account)
	return nil
}

// take returns one of the accounts; nil if the connection has ended.
func (l *ledger) take() core.StreamMemory {
	last := len(l.prepared) - 1
	if last < 0 {
		return nil
	}
	account := l.prepared[last]
	l.prepared[last], l.prepared = nil, l.prepared[:last]
	return account
}

// abandon is for a stream that the library could not open.
func (l *ledger) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if account := l.take(); account != nil {
		account.Done()
	}
}

// open records a stream that the library opens, with one of the accounts.
func (l *ledger) open(id uint32) *stream {
	st := newStream(id, l.take())
	l.streams[id] = st
	l.ours = max(l.ours, id)
	return st
}

// small counts a small frame and pays for it if too many wait for the reader.
// It reports false if there is no memory for that.
func (st *stream) small() bool {
	if st.smalls++; st.smalls < smallBlock {
		return true
	}
	if st.read.Load() >= st.mark {
		st.account.Release(int(st.paid) * smallBlock * smallCost)
		st.paid = 0
	} else if st.account.Reserve(smallBlock*smallCost, growthPriority) != nil {
		return false
	} else {
		st.paid++
	}
	st.mark, st.smalls = st.arrived, 0
	return true
}
