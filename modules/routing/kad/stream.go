// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import "context"

// maxUnread is how many values a stream has room for. More wait to be sent.
const maxUnread = 16

// stream hands what goroutines find to the iterator that the caller runs.
type stream[T any] struct {
	done <-chan struct{}
	c    chan T // has room for maxUnread
	over chan error
}

// newStream returns a stream that ends with ctx.
func newStream[T any](ctx context.Context) *stream[T] {
	return &stream[T]{ctx.Done(), make(chan T, maxUnread), make(chan error, 1)}
}

// send waits for room. It returns false if nobody wants more.
func (s *stream[T]) send(v T) bool {
	select {
	case <-s.done:
		return false
	default:
	}
	select {
	case s.c <- v:
		return true
	case <-s.done:
		return false
	}
}

// end ends the stream, once; err may be nil. Nothing is sent after it.
func (s *stream[T]) end(err error) {
	s.over <- err
	close(s.c)
}

// all yields what was sent and then the error, if there is one.
func (s *stream[T]) all(yield func(T, error) bool) {
	for v := range s.c {
		if !yield(v, nil) {
			return
		}
	}
	if err := <-s.over; err != nil {
		var zero T
		yield(zero, err)
	}
}
