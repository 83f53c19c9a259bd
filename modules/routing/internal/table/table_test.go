// SPDX-License-Identifier: Apache-2.0 OR MIT

package table

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

var start = time.Unix(1_700_000_000, 0)

const self = peer.ID("self")

// id is a peer ID that nobody has, one for each number.
func id(n int) peer.ID {
	b := [34]byte{0x12, 0x20}
	binary.BigEndian.PutUint64(b[26:], uint64(n))
	return peer.ID(b[:])
}

// at finds peers that share exactly cpl bits with self.
func at(cpl, count int) (peers []peer.ID) {
	for n := cpl << 32; len(peers) < count; n++ {
		if p := id(n); keyspace.CommonPrefix(keyspace.OfPeer(p), keyspace.OfPeer(self)) == cpl {
			peers = append(peers, p)
		}
	}
	return peers
}

// ip is an address in a group of its own, for each number below 2^15.
func ip(n int) netip.Addr { return netip.AddrFrom4([4]byte{byte(60 + n>>8), byte(n), 0, 1}) }

var noIP netip.Addr

func members(t *Table) (peers []peer.ID) {
	for m := range t.Members() {
		peers = append(peers, m.ID)
	}
	return peers
}

func TestMembersHaveAnswered(t *testing.T) {
	tab := New(self, Config{})
	p := id(1)
	if !tab.Candidate(p, ip(1), start) {
		t.Error("a candidate for an empty table is not to be asked")
	}
	if tab.Has(p) || tab.Len() != 0 {
		t.Error("a candidate is a member before it has answered")
	}
	if tab.Candidate(p, ip(1), start.Add(time.Second)) {
		t.Error("asked twice")
	}
	if !tab.Answered(p, ip(1), start.Add(time.Second)) || !tab.Has(p) || tab.Len() != 1 {
		t.Error("no member after an answer")
	}
	if tab.Candidate(p, ip(1), start) {
		t.Error("a member is a candidate")
	}
	if tab.Candidate(self, ip(2), start) || tab.Answered(self, ip(2), start) {
		t.Error("the table holds its own peer")
	}
}

func TestFullBucketKeepsItsMembers(t *testing.T) {
	tab := New(self, Config{})
	peers := at(3, 40)
	for i, p := range peers {
		if got, want := tab.Answered(p, ip(i), start), i < 20; got != want {
			t.Errorf("peer %d: member %v", i, got)
		}
	}
	if !slices.Equal(members(tab), peers[:20]) {
		t.Error("other members than those who came first")
	}
	if tab.Candidate(at(3, 41)[40], ip(41), start) {
		t.Error("a candidate for a full bucket is to be asked")
	}

	// A spare takes the place of who fails twice; not of who fails once.
	later := start.Add(2 * time.Minute)
	tab.Answered(peers[1], ip(1), later)
	tab.Failed(peers[0], later)
	if !tab.Has(peers[0]) {
		t.Error("gone after one failure")
	}
	tab.Answered(peers[1], ip(1), later.Add(time.Minute))
	tab.Failed(peers[0], later.Add(time.Minute))
	if tab.Has(peers[0]) || tab.Len() != 20 {
		t.Errorf("after two failures: member %v, %d members", tab.Has(peers[0]), tab.Len())
	}
	if now := members(tab); !slices.ContainsFunc(now, func(p peer.ID) bool { return slices.Contains(peers[20:], p) }) {
		t.Error("no spare took the place")
	}

	// A newcomer takes the place of one who failed once.
	tab.Failed(peers[5], later.Add(time.Minute))
	newcomer := at(3, 41)[40]
	if !tab.Candidate(newcomer, ip(41), later) {
		t.Error("there is a place, but the candidate is not to be asked")
	}
	if !tab.Answered(newcomer, ip(41), later) || tab.Has(peers[5]) || tab.Len() != 20 {
		t.Error("the newcomer did not take the place of who fails")
	}
}

func TestRemovedPeerIsReplaced(t *testing.T) {
	var changes []string
	tab := New(self, Config{Changed: func(p peer.ID, member bool) {
		changes = append(changes, fmt.Sprint(p.Short(), member))
	}})
	peers := at(0, 22)
	for i, p := range peers {
		tab.Answered(p, ip(i), start)
	}
	changes = nil
	tab.Remove(peers[20], start) // a spare
	tab.Remove(peers[3], start)
	tab.Remove(id(1<<40), start) // unknown
	if tab.Has(peers[3]) || !tab.Has(peers[21]) || tab.Has(peers[20]) || tab.Len() != 20 {
		t.Error("wrong members")
	}
	if want := []string{peers[3].Short() + "false", peers[21].Short() + "true"}; !slices.Equal(changes, want) {
		t.Errorf("told of %q, want %q", changes, want)
	}

	// Spares that answered long ago have to answer again first.
	for i, p := range at(0, 25)[22:] {
		tab.Answered(p, ip(i+22), start)
	}
	later := start.Add(time.Hour)
	tab.Remove(peers[4], later)
	if tab.Len() != 19 {
		t.Error("a spare became a member by an old answer")
	}
	if due := tab.Probe(100, later); len(due) != 22 {
		t.Errorf("%d to be probed, want 19 members and 3 spares", len(due))
	}
}

func TestNobodyFailsWhileNobodyAnswers(t *testing.T) {
	tab := New(self, Config{})
	peers := at(1, 10)
	for i, p := range peers {
		tab.Answered(p, ip(i), start)
	}
	now := start
	for range 100 { // the network is gone
		now = now.Add(time.Hour)
		for _, p := range tab.Probe(100, now) {
			tab.Failed(p, now.Add(10*time.Second))
		}
	}
	if tab.Len() != 10 {
		t.Errorf("%d members are left", tab.Len())
	}
	if got := tab.Nearest(nil, keyspace.OfPeer(self), 5); len(got) != 5 {
		t.Errorf("only %d to begin with again", len(got))
	}
	tab.Answered(peers[0], ip(0), now.Add(time.Minute)) // it is back
	for range 3 {
		now = now.Add(time.Hour)
		for _, p := range tab.Probe(100, now) {
			if p == peers[0] {
				tab.Answered(p, ip(0), now)
			} else {
				tab.Failed(p, now.Add(10*time.Second))
			}
		}
	}
	if tab.Len() != 1 {
		t.Errorf("%d members, all but one of which fail", tab.Len())
	}
}

func TestProbe(t *testing.T) {
	tab := New(self, Config{})
	peers := at(2, 3)
	for i, p := range peers {
		tab.Answered(p, ip(i), start.Add(time.Duration(i)*time.Minute))
	}
	if due := tab.Probe(10, start.Add(14*time.Minute)); len(due) != 0 {
		t.Errorf("%d are due early", len(due))
	}
	now := start.Add(time.Hour)
	if due := tab.Probe(2, now); !slices.Equal(due, peers[:2]) {
		t.Error("not the oldest first")
	}
	if due := tab.Probe(2, now); !slices.Equal(due, peers[2:]) {
		t.Error("the rest is not next")
	}
	if due := tab.Probe(2, now); len(due) != 0 {
		t.Error("probed again before they could answer")
	}
	tab.Answered(peers[0], ip(0), now)
	tab.Failed(peers[1], now)
	// Who fails is asked again after 2 minutes, then 4.
	if due := tab.Probe(10, now.Add(time.Minute)); !slices.Equal(due, peers[2:]) {
		t.Errorf("%d after a minute", len(due))
	}
	if due := tab.Probe(10, now.Add(2*time.Minute)); !slices.Contains(due, peers[1]) {
		t.Error("not asked again after a failure")
	}
}

func TestSparesAreForgotten(t *testing.T) {
	tab := New(self, Config{})
	tab.Answered(id(0), ip(0), start)
	for n := 1; n < 1000; n++ {
		tab.Candidate(id(n), ip(n), start)
	}
	now := start
	for range 20 {
		now = now.Add(time.Hour)
		tab.Answered(id(0), ip(0), now)
		for _, p := range tab.Probe(1000, now) {
			tab.Failed(p, now)
		}
	}
	for i, b := range tab.buckets {
		if len(b.spares) > 0 {
			t.Errorf("bucket %d still has %d spares that never answered", i, len(b.spares))
		}
	}
}

func TestDue(t *testing.T) {
	tab := New(self, Config{})
	if due := tab.Due(start); len(due) != 0 {
		t.Errorf("an empty table wants look-ups of %v", due)
	}
	tab.Answered(at(3, 1)[0], ip(0), start)
	if due := tab.Due(start); !slices.Equal(due, []int{Self, 0, 1, 2, 3}) {
		t.Errorf("due: %v", due)
	}
	tab.Refreshed(keyspace.OfPeer(self), start)
	tab.Refreshed(keyspace.OfPeer(at(2, 1)[0]), start)
	if due := tab.Due(start.Add(time.Minute)); !slices.Equal(due, []int{0, 1, 3}) {
		t.Errorf("due: %v", due)
	}
	if due := tab.Due(start.Add(time.Hour)); len(due) != 5 {
		t.Errorf("due: %v", due)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	deep := keyspace.Random(tab.self, 40, rng) // deeper than anything that is refreshed
	tab.Refreshed(deep, start)
	b := tab.grow(deep)
	tab.add(b, entry{id: "deep", key: deep})
	if due := tab.Due(start.Add(time.Hour)); due[len(due)-1] != keyspace.MaxPreimage {
		t.Errorf("due: %v", due)
	}
}

func TestRestore(t *testing.T) {
	tab := New(self, Config{})
	for n := range 500 {
		tab.Answered(id(n), ip(n), start.Add(time.Duration(n)*time.Second))
	}
	again := New(self, Config{})
	for m := range tab.Members() {
		if !again.Restore(m) {
			t.Errorf("no place for %+v", m)
		}
		if again.Restore(m) {
			t.Error("restored twice")
		}
	}
	if !slices.Equal(members(tab), members(again)) || tab.Len() != again.Len() {
		t.Error("other members after a restart")
	}
	now := start.Add(time.Hour)
	if due := again.Probe(1000, now); len(due) != again.Len() {
		t.Errorf("%d of %d old members are probed", len(due), again.Len())
	}
	if again.Restore(Member{ID: self, Answered: start}) || again.Restore(Member{ID: id(1 << 20)}) {
		t.Error("restored what was no member")
	}
}

func TestNearestAllocatesNothing(t *testing.T) {
	tab := New(self, Config{})
	for n := range 1000 {
		tab.Answered(id(n), ip(n), start)
	}
	dst := make([]peer.ID, 0, 20)
	target := keyspace.Of([]byte("x"))
	if n := testing.AllocsPerRun(100, func() { dst = tab.Nearest(dst[:0], target, 20) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if len(dst) != 20 {
		t.Errorf("%d peers", len(dst))
	}
}
