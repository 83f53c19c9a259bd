// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"
	"errors"
	"iter"
	"sync"

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

// GetValue implements [ValueStore]: the first counts that has a record.
func (r Routers) GetValue(ctx context.Context, key string) ([]byte, error) {
	return first(ctx, FindAll[ValueStore](r.Of), func(store ValueStore) ([]byte, error) { return store.GetValue(ctx, key) })
}

// SearchValue implements [ValueStore]: the first counts that has a record.
func (r Routers) SearchValue(ctx context.Context, key string) iter.Seq2[[]byte, error] {
	stores := FindAll[ValueStore](r.Of)
	return func(yield func([]byte, error) bool) {
		var errs []error
		for _, store := range stores {
			some, failed := false, error(nil)
			for value, err := range store.SearchValue(ctx, key) {
				if failed = err; err != nil {
					break
				}
				if some = true; !yield(value, nil) {
					return
				}
			}
			if some && failed == nil {
				return
			}
			if failed == nil {
				failed = ErrNotFound
			}
			errs = append(errs, failed)
			if some || ctx.Err() != nil {
				break
			}
		}
		yield(nil, failure(errs))
	}
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
