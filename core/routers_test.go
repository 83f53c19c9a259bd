// SPDX-License-Identifier: Apache-2.0 OR MIT

package core_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// router answers after a while, with an error or with what it has.
type router struct {
	after time.Duration
	err   error
	has   string // the IDs of peers, and the values, each of one letter
	asked *[]string
}

func (r router) wait(ctx context.Context) error {
	if r.asked != nil {
		*r.asked = append(*r.asked, r.has)
	}
	select {
	case <-time.After(r.after):
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r router) peers() (list []peer.AddrInfo) {
	for _, id := range r.has {
		list = append(list, peer.AddrInfo{ID: peer.ID(id)})
	}
	return list
}

func (r router) FindPeer(ctx context.Context, _ peer.ID) (peer.AddrInfo, error) {
	if err := r.wait(ctx); err != nil {
		return peer.AddrInfo{}, err
	}
	return r.peers()[0], nil
}

func (r router) ClosestPeers(ctx context.Context, _ []byte) ([]peer.AddrInfo, error) {
	return r.peers(), r.wait(ctx)
}

func (r router) Provide(ctx context.Context, _ []byte) error { return r.wait(ctx) }

func (r router) FindProviders(ctx context.Context, _ []byte, count int) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		for i, p := range r.peers() {
			if i == count && count > 0 {
				return
			}
			if time.Sleep(r.after); ctx.Err() != nil || !yield(p, nil) {
				return
			}
		}
		if r.err != nil {
			yield(peer.AddrInfo{}, r.err)
		}
	}
}

func (r router) PutValue(ctx context.Context, _ string, _ []byte) error { return r.wait(ctx) }

func (r router) GetValue(ctx context.Context, _ string) ([]byte, error) {
	return []byte(r.has), r.wait(ctx)
}

func (r router) SearchValue(ctx context.Context, _ string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, v := range r.has {
			if time.Sleep(r.after); !yield([]byte(string(v)), nil) {
				return
			}
		}
		if r.err != nil {
			yield(nil, r.err)
		}
	}
}

// told is what was yielded: the letters, then the error.
func told[T any](seq iter.Seq2[T, error], letter func(T) string) string {
	var b strings.Builder
	for v, err := range seq {
		if err != nil {
			fmt.Fprintf(&b, " %v", err)
			break
		}
		b.WriteString(letter(v))
	}
	return strings.ReplaceAll(b.String(), "\n", "+")
}

func TestRouters(t *testing.T) {
	boom, bang := errors.New("boom"), errors.New("bang")
	for name, tt := range map[string]struct {
		modules               running
		peer, closest, put    string
		providers, get, found string
		took                  time.Duration // of FindPeer
	}{
		"none": {
			modules: running{5, "x"},
			peer:    " " + core.ErrNoRouting.Error(), closest: " " + core.ErrNoRouting.Error(), put: core.ErrNoRouting.Error(),
			providers: " " + core.ErrNoRouting.Error(), get: " " + core.ErrNoRouting.Error(), found: " " + core.ErrNoRouting.Error(),
		},
		"one": {
			modules: running{router{has: "ab"}},
			peer:    "a", closest: "ab", put: "<nil>", providers: "ab", get: "ab", found: "ab",
		},
		"one that fails": {
			modules: running{router{has: "ab", err: boom}},
			peer:    " boom", closest: " boom", put: "boom", providers: "ab boom", get: " boom", found: "ab boom",
		},
		"the second is faster": {
			modules: running{router{has: "a", after: time.Minute}, 5, router{has: "b", after: time.Second}},
			peer:    "b", closest: "a", put: "<nil>", providers: "ba", get: "b", found: "b", took: time.Second,
		},
		"the first fails": {
			modules: running{router{err: boom, after: time.Second}, router{has: "b", after: time.Minute}},
			peer:    "b", closest: "b", put: "<nil>", providers: "b", get: "b", found: "b", took: time.Minute,
		},
		"the first has nothing": {
			modules: running{router{err: core.ErrNotFound}, router{has: "b"}},
			peer:    "b", closest: "b", put: "<nil>", providers: "b", get: "b", found: "b",
		},
		"all fail": {
			modules: running{router{err: boom}, router{err: bang, after: time.Second}},
			peer:    " boom+bang", closest: " boom+bang", put: "boom+bang", providers: " boom+bang", get: " boom+bang", found: " boom+bang",
			took: time.Second,
		},
		"the same twice": {
			modules: running{router{has: "ab", after: time.Second}, router{has: "ba", after: time.Minute}},
			peer:    "a", closest: "ab", put: "<nil>", providers: "ab", get: "ab", found: "ab", took: time.Second,
		},
		"fails after a record": {
			modules: running{router{has: "a", err: boom}, router{has: "b", after: time.Second}},
			peer:    "b", closest: "b", put: "<nil>", providers: "ab", get: "b", found: "a", took: time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := core.Routers{Of: tt.modules}
				ctx := t.Context()
				start := time.Now()
				one := func(v any, err error) string {
					if err != nil {
						return " " + strings.ReplaceAll(err.Error(), "\n", "+")
					}
					return fmt.Sprint(v)
				}
				id := func(p peer.AddrInfo) string { return string(p.ID) }
				p, err := r.FindPeer(ctx, "x")
				if got := one(string(p.ID), err); got != tt.peer {
					t.Errorf("peer: %q, want %q", got, tt.peer)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("peer: took %v, want %v", took, tt.took)
				}
				list, err := r.ClosestPeers(ctx, []byte("x"))
				var ids string
				for _, p := range list {
					ids += string(p.ID)
				}
				if got := one(ids, err); got != tt.closest {
					t.Errorf("closest peers: %q, want %q", got, tt.closest)
				}
				for what, err := range map[string]error{"provide": r.Provide(ctx, nil), "put": r.PutValue(ctx, "", nil)} {
					if got := strings.ReplaceAll(fmt.Sprint(err), "\n", "+"); got != tt.put {
						t.Errorf("%s: %q, want %q", what, got, tt.put)
					}
				}
				if got := told(r.FindProviders(ctx, nil, 0), id); got != tt.providers {
					t.Errorf("providers: %q, want %q", got, tt.providers)
				}
				value, err := r.GetValue(ctx, "")
				if got := one(string(value), err); got != tt.get {
					t.Errorf("get: %q, want %q", got, tt.get)
				}
				if got := told(r.SearchValue(ctx, ""), func(b []byte) string { return string(b) }); got != tt.found {
					t.Errorf("search: %q, want %q", got, tt.found)
				}
			})
		})
	}
}

// Who has enough, or does not want more, leaves nobody at work.
func TestRoutersStopAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := core.Routers{Of: running{router{has: "abcdef", after: time.Second}, router{has: "uvwxyz", after: 1500 * time.Millisecond}}}
		start := time.Now()
		if got := told(r.FindProviders(t.Context(), nil, 3), func(p peer.AddrInfo) string { return string(p.ID) }); len(got) != 3 {
			t.Errorf("asked for 3: %q", got)
		}
		for range r.FindProviders(t.Context(), nil, 0) {
			break
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		n := 0
		for _, err := range r.FindProviders(ctx, nil, 0) {
			if err == nil {
				n++
			}
		}
		if n == 0 || n > 4 {
			t.Errorf("%d within two and a half seconds", n)
		}
	})
}

// The order of the modules is the order of asking, where one is enough.
func TestRoutersAskInOrder(t *testing.T) {
	var asked []string
	r := core.Routers{Of: running{
		router{has: "a", asked: &asked, err: core.ErrNotFound}, router{has: "b", asked: &asked}, router{has: "c", asked: &asked},
	}}
	if _, err := r.ClosestPeers(t.Context(), []byte("k")); err != nil {
		t.Error(err)
	}
	if !slices.Equal(asked, []string{"a", "b"}) {
		t.Errorf("asked %v", asked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	asked = nil
	if _, err := r.ClosestPeers(ctx, []byte("k")); err == nil || len(asked) > 1 {
		t.Errorf("after the end: %v, asked %v", err, asked)
	}
}

// judge takes the later letter for the better record.
type judge struct{}

func (judge) SelectValue(_ string, values [][]byte) (best int, err error) {
	for i, v := range values {
		if bytes.Compare(v, values[best]) > 0 {
			best = i
		}
	}
	return best, nil
}

// Of what several have, the best counts, not what came first; but who is late is
// not waited for without end.
func TestRoutersTakeTheBestValue(t *testing.T) {
	for name, tt := range map[string]struct {
		modules     running
		get, search string
		took        time.Duration // of the first
	}{
		"the best comes later": {running{judge{}, router{has: "b"}, router{has: "c", after: 2 * time.Second}}, "c", "bc", 2 * time.Second},
		"the best comes first": {running{router{has: "c"}, router{has: "b", after: 2 * time.Second}, judge{}}, "c", "c", 2 * time.Second},
		"one is late":          {running{judge{}, router{has: "b"}, router{has: "c", after: time.Hour}}, "b", "b", 3 * time.Second},
		"one fails late":       {running{judge{}, router{has: "b"}, router{err: errors.New("boom"), after: time.Hour}}, "b", "b", 3 * time.Second},
		"nobody judges":        {running{router{has: "b"}, router{has: "c", after: time.Second}}, "b", "b", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, start := core.Routers{Of: tt.modules}, time.Now()
				value, err := r.GetValue(t.Context(), "/v/k")
				if string(value) != tt.get || err != nil {
					t.Errorf("get: %q, %v, want %q", value, err, tt.get)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if got := told(r.SearchValue(t.Context(), "/v/k"), func(b []byte) string { return string(b) }); got != tt.search {
					t.Errorf("search: %q, want %q", got, tt.search)
				}
			})
		})
	}
}
