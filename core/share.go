// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"io"
	"sync"
)

// Shares holds what several modules of a node use together, such as the one UDP
// socket of a port, counted by reference. The function [Share] is the same with
// a type.
type Shares interface {
	// Share returns the thing that is kept under key; the first who asks for
	// it opens it. It is closed when all have called their release; release
	// returns the error of that, and may be called more than once. So that
	// nobody else has the same key, it is of a type of the caller's package,
	// as keys of a context are.
	Share(key any, open func() (io.Closer, error)) (shared io.Closer, release func() error, err error)
}

// Share returns the T that is kept under key in s. It panics if something else
// is.
func Share[T io.Closer](s Shares, key any, open func() (T, error)) (shared T, release func() error, err error) {
	value, release, err := s.Share(key, func() (io.Closer, error) { return open() })
	if err != nil {
		return shared, nil, err
	}
	return value.(T), release, nil
}

// ShareTable is a set of shared things. It plays the role [Shares]. The zero
// ShareTable is empty.
type ShareTable struct {
	mu      sync.Mutex
	entries map[any]*shareEntry // one each thing in use
}

// shareEntry is one thing. Its lock is held while the thing opens and closes, so
// that who asks meanwhile waits for how that ends.
type shareEntry struct {
	mu      sync.Mutex
	value   io.Closer // nil if it is not open
	holders int       // who have it, and have not called their release

	users int // holders and who waits to be one; under the table's lock
}

// Share implements [Shares].
func (t *ShareTable) Share(key any, open func() (io.Closer, error)) (shared io.Closer, release func() error, err error) {
	e := t.enter(key)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.value == nil {
		opened, err := open()
		if err != nil {
			t.leave(key, e)
			return nil, nil, err
		}
		e.value = opened
	}
	e.holders++
	return e.value, sync.OnceValue(func() (err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.holders--; e.holders == 0 {
			err = e.value.Close()
			e.value = nil
		}
		t.leave(key, e)
		return err
	}), nil
}

func (t *ShareTable) enter(key any) *shareEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[key]
	if e == nil {
		if t.entries == nil {
			t.entries = make(map[any]*shareEntry)
		}
		e = new(shareEntry)
		t.entries[key] = e
	}
	e.users++
	return e
}

func (t *ShareTable) leave(key any, e *shareEntry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.users--; e.users == 0 {
		delete(t.entries, key)
	}
}

var _ Shares = (*ShareTable)(nil)
