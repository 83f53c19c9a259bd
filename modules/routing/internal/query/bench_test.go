// SPDX-License-Identifier: Apache-2.0 OR MIT

package query

import (
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/table"
)

// BenchmarkQuery replays a look-up in a network of 1,000 peers: all of its
// steps, without the work of those who answer.
func BenchmarkQuery(b *testing.B) {
	n := newNetwork(1000, 1, Config{})
	n.meet(table.Config{})
	type step struct {
		event Event
		at    time.Time
	}
	target := keyspace.Of([]byte("target"))
	from := n.honest()
	var steps []step
	n.lookup(from, target, func(_ *Query, e Event, at time.Time) { steps = append(steps, step{e, at}) })
	b.ReportAllocs()
	for b.Loop() {
		q := New(target, Config{Self: from.id})
		for _, s := range steps {
			q.Step(s.event, s.at)
		}
		if q.Result().Reason != Converged {
			b.Fatal(q.Result())
		}
	}
	b.ReportMetric(float64(len(steps)), "steps")
}

// BenchmarkQueryOfLiars has everybody tell of others all the time.
func BenchmarkQueryOfLiars(b *testing.B) {
	n := newNetwork(1, 2, Config{})
	lies := make([][]Peer, 300)
	for i := range lies {
		for _, p := range n.fakes(40) {
			lies[i] = append(lies[i], Peer{ID: p})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		q := New(keyspace.Key{}, Config{})
		asks := append([]peer.ID(nil), q.Step(Start{lies[0]}, start).Ask...)
		for i := 0; len(asks) > 0; i++ {
			next := q.Step(Answer{Peer{ID: asks[0]}, lies[i%len(lies)]}, start).Ask
			asks = append(asks[1:], next...)
		}
	}
}
