// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// firstRetry is how long a point is left alone after a failure; with every
	// further one it doubles, up to lastRetry. All times vary by a quarter.
	firstRetry = 5 * time.Second
	lastRetry  = 10 * time.Minute
	// afterChange is how long after a change of the node's addresses they are
	// registered: changes come in flocks.
	afterChange = 2 * time.Second
	// maxPages bounds the answers that one search goes through.
	maxPages = 10
)

// task is what is done at a point again and again: with a registration it is to
// register, and otherwise to search.
type task struct {
	namespace    string
	registration *registrationOf
	cookie       []byte
	due          time.Time
	retry        time.Duration
}

// tasks are those of one point.
type tasks struct {
	module  *Rendezvous
	client  *client
	list    []*task
	changed chan struct{} // holds one sign that the node's addresses have changed
}

// run does each task when it is due.
func (t *tasks) run(ctx context.Context) {
	if len(t.list) == 0 {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.changed:
			for _, k := range t.list {
				if soon := time.Now().Add(afterChange); k.registration != nil && k.due.After(soon) {
					k.due = soon
				}
			}
		case <-timer.C:
		}
		for _, k := range t.list {
			if now := time.Now(); !k.due.After(now) {
				wait := t.do(ctx, k)
				k.due = time.Now().Add(wait)
			}
		}
		next := t.list[0].due
		for _, k := range t.list {
			if k.due.Before(next) {
				next = k.due
			}
		}
		timer.Reset(time.Until(next))
	}
}

// do does a task and returns when to do it again.
func (t *tasks) do(ctx context.Context, k *task) (wait time.Duration) {
	var err error
	if k.registration != nil {
		var ttl time.Duration
		if ttl, err = t.client.register(ctx, k.namespace, time.Duration(t.module.TTL)); err == nil {
			k.registration.made(t.client)
			wait = max(ttl/2, firstRetry)
		}
	} else {
		err = t.search(ctx, k)
		wait = time.Duration(t.module.Interval)
	}
	if err == nil {
		k.retry = 0
		return vary(wait)
	}
	if ctx.Err() != nil {
		return lastRetry
	}
	if k.retry == 0 {
		k.retry = firstRetry
		t.module.log.Warn("a rendezvous point does not do what it was asked; it is asked again later", "error", err)
	} else {
		k.retry = min(2*k.retry, lastRetry)
	}
	return vary(k.retry)
}

func vary(d time.Duration) time.Duration { return d - d/4 + rand.N(d/2) }

// search asks for those who have come since the last time.
func (t *tasks) search(ctx context.Context, k *task) error {
	for range maxPages {
		found, cookie, err := t.client.search(ctx, k.namespace, k.cookie, maxRegistrations)
		if no, refused := errors.AsType[*refusal](err); refused && no.status == invalidCookie && k.cookie != nil {
			k.cookie = nil // it is another point than before, or has forgotten
			continue
		}
		if err != nil {
			return err
		}
		for _, f := range found {
			t.module.member.Found(f.peer, max(f.ttl, time.Second))
		}
		k.cookie = cookie
		if len(found) < maxRegistrations/2 || cookie == nil {
			return nil
		}
	}
	return nil
}

// errNoPoints means that a node uses no rendezvous points.
var errNoPoints = errors.New("no rendezvous points are configured, or the module does not run")

// Advertise implements [core.Meeting]. One point that takes the registration is
// enough; the time is the shortest that one of them has given.
func (r *Rendezvous) Advertise(ctx context.Context, namespace string, ttl time.Duration) (lasts time.Duration, err error) {
	if no := checkNamespace(&namespace); no != nil {
		return 0, no
	}
	if ttl == 0 {
		ttl = time.Duration(r.TTL)
	}
	errs := []error{errNoPoints}
	for i, c := range r.clients {
		if i == 0 {
			errs = nil
		}
		got, err := c.register(ctx, namespace, ttl)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if lasts == 0 || got < lasts {
			lasts = got
		}
	}
	if lasts == 0 {
		return 0, errors.Join(errs...)
	}
	return lasts, nil
}

// FindPeers implements [core.Meeting].
func (r *Rendezvous) FindPeers(ctx context.Context, namespace string, count int) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		if no := checkNamespace(&namespace); no != nil {
			yield(peer.AddrInfo{}, no)
			return
		}
		if len(r.clients) == 0 {
			yield(peer.AddrInfo{}, errNoPoints)
			return
		}
		seen := make(map[peer.ID]bool) // bounded by maxPages pages of each point
		var errs []error
		for _, c := range r.clients {
			var cookie []byte
			for range maxPages {
				found, next, err := c.search(ctx, namespace, cookie, maxRegistrations)
				if err != nil {
					errs = append(errs, err)
					break
				}
				for _, f := range found {
					if seen[f.peer.ID] {
						continue
					}
					seen[f.peer.ID] = true
					if !yield(f.peer, nil) || count > 0 && len(seen) == count {
						return
					}
				}
				if cookie = next; len(found) == 0 || cookie == nil {
					break
				}
			}
		}
		if err := errors.Join(errs...); err != nil {
			yield(peer.AddrInfo{}, err)
		}
	}
}

var _ core.Meeting = (*Rendezvous)(nil)
