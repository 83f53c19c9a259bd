// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// ErrNoRouting means that no module of the node does what it was asked for.
var ErrNoRouting = errors.New("no module does that: add one to routing, such as kad")

// Routers are all modules of a node that find things, as one: a node may have a
// DHT, and others that it asks. It plays the roles [PeerRouting],
// [ContentRouting] and [ValueStore] with those modules that run at the time of
// each call, and fails with [ErrNoRouting] if there are none.
type Routers struct{ Of Modules }

// FindAll returns the running modules that are a T, in the order of their start.
func FindAll[T any](n Modules) []T {
	var list []T
	for _, m := range n.Modules() {
		if t, ok := m.(T); ok {
			list = append(list, t)
		}
	}
	return list
}

// FindPeer implements [PeerRouting]: all are asked at once, and the first answer
// with an address counts.
func (r Routers) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	routers := FindAll[PeerRouting](r.Of)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	found := make(chan peer.AddrInfo, len(routers))
	ended := make(chan struct{}, len(routers))
	errs := make([]error, len(routers))
	for i, router := range routers {
		wg.Go(func() {
			info, err := router.FindPeer(ctx, p)
			if errs[i] = err; err != nil {
				ended <- struct{}{}
				return
			}
			found <- info
		})
	}
	for range routers {
		select {
		case info := <-found:
			return info, nil
		case <-ended:
		}
	}
	return peer.AddrInfo{}, failure(errs)
}

// ClosestPeers implements [PeerRouting]: the first counts that knows any.
func (r Routers) ClosestPeers(ctx context.Context, key []byte) ([]peer.AddrInfo, error) {
	return first(ctx, FindAll[PeerRouting](r.Of), func(router PeerRouting) ([]peer.AddrInfo, error) {
		list, err := router.ClosestPeers(ctx, key)
		if err == nil && len(list) == 0 {
			err = ErrNotFound
		}
		return list, err
	})
}

// Provide implements [ContentRouting]: with all, of which one must succeed.
func (r Routers) Provide(ctx context.Context, key []byte) error {
	return each(FindAll[ContentRouting](r.Of), func(router ContentRouting) error { return router.Provide(ctx, key) })
}

// FindProviders implements [ContentRouting]: all are asked at once. It yields an
// error if all have failed.
func (r Routers) FindProviders(ctx context.Context, key []byte, count int) iter.Seq2[peer.AddrInfo, error] {
	routers := FindAll[ContentRouting](r.Of)
	if len(routers) == 1 {
		return routers[0].FindProviders(ctx, key, count)
	}
	return func(yield func(peer.AddrInfo, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		found := make(chan peer.AddrInfo)
		ended := make(chan error, len(routers))
		errs := make([]error, len(routers))
		for i, router := range routers {
			wg.Go(func() {
				errs[i] = send(ctx, found, router.FindProviders(ctx, key, count))
				ended <- errs[i]
			})
		}
		seen := make(map[peer.ID]bool) // as many as were yielded
		failed := 0
		for running := len(routers); running > 0; {
			select {
			case p := <-found:
				if seen[p.ID] {
					continue
				}
				seen[p.ID] = true
				if !yield(p, nil) || len(seen) == count {
					return
				}
			case err := <-ended:
				running--
				if err != nil {
					failed++
				}
			}
		}
		if failed == len(routers) {
			yield(peer.AddrInfo{}, failure(errs))
		}
	}
}

// PutValue implements [ValueStore]: with all, of which one must succeed.
func (r Routers) PutValue(ctx context.Context, key string, value []byte) error {
	return each(FindAll[ValueStore](r.Of), func(store ValueStore) error { return store.PutValue(ctx, key, value) })
}

// GetValue implements [ValueStore]: all are asked at once, and the best record
// counts that any of them has.
func (r Routers) GetValue(ctx context.Context, key string) ([]byte, error) {
	stores := FindAll[ValueStore](r.Of)
	if len(stores) == 1 {
		return stores[0].GetValue(ctx, key)
	}
	var best []byte
	for value, err := range r.values(ctx, key, stores, func(ctx context.Context, store ValueStore) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) { yield(store.GetValue(ctx, key)) }
	}) {
		if err != nil {
			return nil, err
		}
		best = value
	}
	return best, nil
}

// SearchValue implements [ValueStore]: all are asked at once, and what is yielded
// is better than what any of them had before.
func (r Routers) SearchValue(ctx context.Context, key string) iter.Seq2[[]byte, error] {
	stores := FindAll[ValueStore](r.Of)
	if len(stores) == 1 {
		return stores[0].SearchValue(ctx, key)
	}
	return r.values(ctx, key, stores, func(ctx context.Context, store ValueStore) iter.Seq2[[]byte, error] {
		return store.SearchValue(ctx, key)
	})
}

// lateness is how long the others are waited for once one of several has told all
// that it knows of a record.
const lateness = 3 * time.Second

// values yields what stores have for a key, each better than the one before, or
// an error if none has anything.
func (r Routers) values(ctx context.Context, key string, stores []ValueStore, of func(context.Context, ValueStore) iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		type known struct {
			value []byte
			by    int
		}
		found := make(chan known)
		ended := make(chan bool, len(stores)) // whether it had any
		errs := make([]error, len(stores))
		for i, store := range stores {
			wg.Go(func() {
				some := false
				errs[i] = send(ctx, found, func(yield func(known, error) bool) {
					for value, err := range of(ctx, store) {
						if some = some || err == nil; !yield(known{value, i}, err) {
							return
						}
					}
				})
				if errs[i] == nil && !some {
					errs[i] = ErrNotFound
				}
				ended <- some
			})
		}
		var best known
		var late <-chan time.Time
		for running := len(stores); running > 0; {
			select {
			case f := <-found:
				if best.value != nil && f.by != best.by && !r.better(key, f.value, best.value) {
					continue
				}
				if best = f; !yield(f.value, nil) {
					return
				}
			case some := <-ended:
				if running--; some && late == nil {
					timer := time.NewTimer(lateness)
					defer timer.Stop()
					late = timer.C
				}
			case <-late:
				return
			}
		}
		if best.value == nil {
			yield(nil, failure(errs))
		}
	}
}

// better tells whether a record is better than another, if any module knows.
func (r Routers) better(key string, value, than []byte) bool {
	if bytes.Equal(value, than) {
		return false
	}
	for _, judge := range FindAll[ValueJudge](r.Of) {
		if best, err := judge.SelectValue(key, [][]byte{than, value}); err == nil {
			return best == 1
		}
	}
	return false
}

// send passes on what is found, and returns the error that is last.
func send[T any](ctx context.Context, to chan<- T, found iter.Seq2[T, error]) error {
	for v, err := range found {
		if err != nil {
			return err
		}
		select {
		case to <- v:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// first returns the first answer without an error.
func first[R, T any](ctx context.Context, routers []R, ask func(R) (T, error)) (answer T, err error) {
	var errs []error
	for _, router := range routers {
		if answer, err = ask(router); err == nil {
			return answer, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return answer, failure(errs)
}

// each does something with all routers at once. Where one has succeeded, the
// failure of another is no error.
func each[R any](routers []R, do func(R) error) error {
	errs := make([]error, len(routers))
	var wg sync.WaitGroup
	for i, router := range routers {
		wg.Go(func() { errs[i] = do(router) })
	}
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			return nil
		}
	}
	return failure(errs)
}

// failure is the error of routers that have all failed.
func failure(errs []error) error {
	switch len(errs) {
	case 0:
		return ErrNoRouting
	case 1:
		return errs[0]
	}
	return errors.Join(errs...)
}

var (
	_ PeerRouting    = Routers{}
	_ ContentRouting = Routers{}
	_ ValueStore     = Routers{}
)
