// SPDX-License-Identifier: Apache-2.0 OR MIT

package score

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// begin is when the tests begin.
var begin = time.Unix(1_800_000_000, 0)

const (
	alice = peer.ID("alice")
	bob   = peer.ID("bob")
)

func f(v float64) *float64 { return &v }

// newBoard has the given parameters for the topic "t".
func newBoard(t testing.TB, p Params, topic TopicParams) *Board {
	t.Helper()
	p.Topics = map[string]*TopicParams{"t": &topic}
	p.Provision()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	b := New(&p)
	b.Join(alice)
	return b
}

func wantScore(t *testing.T, b *Board, p peer.ID, now time.Time, want float64) {
	t.Helper()
	if got := b.Score(p, now); math.Abs(got-want) > 1e-9 {
		t.Errorf("the score of %s is %v, want %v", string(p), got, want)
	}
}

func TestTimeInMesh(t *testing.T) {
	b := newBoard(t, Params{}, TopicParams{Weight: f(0.5), TimeInMeshWeight: 2, TimeInMeshCap: 10})
	b.Refresh(begin)
	wantScore(t, b, alice, begin, 0)
	b.Graft(alice, "t", begin)
	for _, tc := range []struct {
		after time.Duration
		want  float64
	}{{time.Second, 1}, {3500 * time.Millisecond, 3}, {time.Minute, 10}} {
		b.Refresh(begin.Add(tc.after))
		wantScore(t, b, alice, begin.Add(tc.after), tc.want)
	}
	b.Prune(alice, "t")
	wantScore(t, b, alice, begin.Add(time.Minute), 0)
}

func TestFirstDeliveries(t *testing.T) {
	b := newBoard(t, Params{}, TopicParams{FirstDeliveriesWeight: 1, FirstDeliveriesDecay: 0.5, FirstDeliveriesCap: 4})
	b.Join(bob)
	b.Refresh(begin)
	for i := range 10 {
		id := fmt.Sprint(i)
		b.Arrive(id, "t", begin)
		b.Duplicate(bob, id, "t", begin)
		b.Accept(alice, id, "t", begin)
	}
	wantScore(t, b, alice, begin, 4)
	wantScore(t, b, bob, begin, 0)
	b.Refresh(begin.Add(time.Second))
	wantScore(t, b, alice, begin, 2)
	for i := range 10 { // below DecayToZero it is nothing
		b.Refresh(begin.Add(time.Duration(i+2) * time.Second))
	}
	wantScore(t, b, alice, begin, 0)
}

func TestMeshDeliveries(t *testing.T) {
	b := newBoard(t, Params{}, TopicParams{
		MeshDeliveriesWeight: -1, MeshDeliveriesDecay: 0.999999, MeshDeliveriesThreshold: 10,
		MeshDeliveriesActivation: core.Duration(5 * time.Second), MeshDeliveriesWindow: core.Duration(10 * time.Millisecond),
		MeshFailureWeight: -2, MeshFailureDecay: 0.5,
	})
	b.Join(bob)
	b.Refresh(begin)
	b.Graft(alice, "t", begin)
	b.Graft(bob, "t", begin)
	deliver := func(id string, now time.Time, late time.Duration) {
		b.Arrive(id, "t", now)
		b.Accept(alice, id, "t", now)
		b.Duplicate(bob, id, "t", now.Add(late))
	}
	for i := range 10 { // bob is near enough the first five times
		late := 5 * time.Millisecond
		if i >= 5 {
			late = 11 * time.Millisecond
		}
		deliver(fmt.Sprint(i), begin, late)
	}
	wantScore(t, b, bob, begin, 0) // not yet active
	now := begin.Add(6 * time.Second)
	b.Refresh(now)
	got := b.Score(bob, now)
	if math.Abs(got+25) > 0.01 {
		t.Errorf("bob's deficit of five gives %v", got)
	}
	b.Prune(bob, "t") // P3b keeps the deficit
	if got := b.Score(bob, now); math.Abs(got+50) > 0.02 {
		t.Errorf("after the prune bob has %v", got)
	}
	b.Refresh(now.Add(time.Second))
	if got := b.Score(bob, now); math.Abs(got+25) > 0.02 {
		t.Errorf("a second later bob has %v", got)
	}
}

func TestInvalidMessages(t *testing.T) {
	b := newBoard(t, Params{}, TopicParams{InvalidWeight: f(-1), InvalidDecay: 0.5})
	b.Join(bob)
	b.Arrive("1", "t", begin)
	b.Duplicate(bob, "1", "t", begin) // while it is validated
	b.Reject(alice, "1", "t")
	b.Duplicate(alice, "1", "t", begin) // and after
	wantScore(t, b, alice, begin, -4)
	wantScore(t, b, bob, begin, -1)
	b.Reject(bob, "", "t") // before it had an ID
	wantScore(t, b, bob, begin, -4)
	b.Arrive("2", "t", begin)
	b.Ignore("2")
	b.Duplicate(alice, "2", "t", begin)
	wantScore(t, b, alice, begin, -4)
	b.Reject(alice, "3", "other topic")
	wantScore(t, b, alice, begin, -4)
}

func TestGivenScores(t *testing.T) {
	id := "12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5"
	p, err := peer.Decode(id)
	if err != nil {
		t.Fatal(err)
	}
	b := newBoard(t, Params{Peers: map[string]float64{id: 7}}, TopicParams{})
	wantScore(t, b, p, begin, 7)
	b.Join(p)
	wantScore(t, b, p, begin, 7)
}

func TestColocation(t *testing.T) {
	same, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	b := newBoard(t, Params{IPColocationWeight: -1, IPColocationThreshold: 2, IPColocationAllow: []string{"198.51.100.0/24"}}, TopicParams{})
	for i := range 5 {
		b.Join(peer.ID(fmt.Sprint("same", i)), same, netip.MustParseAddr("::ffff:192.0.2.1"))
		b.Join(peer.ID(fmt.Sprint("other", i)), other)
		b.Join(peer.ID(fmt.Sprint("here", i)), netip.MustParseAddr("127.0.0.1"))
	}
	wantScore(t, b, "same0", begin, -9)
	wantScore(t, b, "other0", begin, 0)
	wantScore(t, b, "here0", begin, 0)
	for i := range 3 {
		b.Leave(peer.ID(fmt.Sprint("same", i)), begin)
	}
	wantScore(t, b, "same4", begin, 0)
}

func TestBehaviour(t *testing.T) {
	b := newBoard(t, Params{BehaviourWeight: f(-1), BehaviourThreshold: 2, BehaviourDecay: 0.5}, TopicParams{})
	b.Refresh(begin)
	b.Penalize(alice, 2)
	wantScore(t, b, alice, begin, 0)
	b.Penalize(alice, 2)
	wantScore(t, b, alice, begin, -4)
	b.Refresh(begin.Add(time.Second))
	wantScore(t, b, alice, begin, 0)
}

func TestTopicCap(t *testing.T) {
	b := newBoard(t, Params{TopicCap: 3, BehaviourWeight: f(-1)}, TopicParams{FirstDeliveriesWeight: 1})
	for i := range 10 {
		b.Accept(alice, fmt.Sprint(i), "t", begin)
	}
	wantScore(t, b, alice, begin, 3)
	b.Penalize(alice, 1)
	wantScore(t, b, alice, begin, 2)
}

// Nobody loses a bad score by coming back, and nobody keeps a good one.
func TestEvil_G12_Reconnect(t *testing.T) {
	b := newBoard(t, Params{}, TopicParams{InvalidWeight: f(-1), FirstDeliveriesWeight: 1})
	b.Join(bob)
	b.Reject(alice, "1", "t")
	b.Accept(bob, "2", "t", begin)
	b.Leave(alice, begin)
	b.Leave(bob, begin)
	now := begin.Add(59 * time.Minute)
	b.Refresh(now)
	b.Join(alice)
	b.Join(bob)
	wantScore(t, b, alice, now, -1)
	wantScore(t, b, bob, now, 0)
	b.Leave(alice, now)
	b.Refresh(now.Add(61 * time.Minute))
	b.Join(alice)
	wantScore(t, b, alice, now, 0)
}

// Ten thousand peers that come and go leave nothing behind in the end, and never
// more than there may be.
func TestEvil_G14_Churn(t *testing.T) {
	b := newBoard(t, Params{IPColocationWeight: -1}, TopicParams{InvalidWeight: f(-1)})
	b.Leave(alice, begin)
	for i := range 2 * maxRetained {
		p := peer.ID(fmt.Sprint(i))
		b.Join(p, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		id := fmt.Sprint("m", i)
		b.Arrive(id, "t", begin)
		b.Reject(p, id, "t")
		b.Leave(p, begin)
	}
	if peers, retained, _ := b.Size(); peers != maxRetained || retained != maxRetained {
		t.Errorf("%d peers, %d of them gone", peers, retained)
	}
	b.Refresh(begin.Add(2 * time.Hour))
	if peers, retained, messages := b.Size(); peers != 0 || retained != 0 || messages != 0 || len(b.ips) != 0 || len(b.order) != 0 {
		t.Errorf("%d peers, %d of them gone, %d messages, %d addresses", peers, retained, messages, len(b.ips))
	}
}

func TestMessagesAreBounded(t *testing.T) {
	b := newBoard(t, Params{}, TopicParams{})
	for i := range maxMessages + 10 {
		b.Arrive(fmt.Sprint(i), "t", begin)
	}
	if _, _, n := b.Size(); n != maxMessages {
		t.Errorf("%d messages", n)
	}
	b.Arrive("one", "t", begin)
	for i := range 2 * maxDeliverers {
		b.Duplicate(peer.ID(fmt.Sprint(i)), "one", "t", begin)
	}
	if n := len(b.messages["one"].peers); n != maxDeliverers {
		t.Errorf("%d deliverers", n)
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		p    Params
		want string
	}{
		{Params{TopicCap: -1}, "topic_cap: must not be negative, is -1"},
		{Params{IPColocationWeight: 1}, "ip_colocation_weight: must not be positive, is 1"},
		{Params{IPColocationThreshold: -1}, "ip_colocation_threshold: must be at least 1, is -1"},
		{Params{IPColocationAllow: []string{"here"}}, `ip_colocation_allow/0: "here" is no subnet; an example is 192.0.2.0/24`},
		{Params{BehaviourWeight: f(1)}, "behaviour_weight: must not be positive, is 1"},
		{Params{BehaviourDecay: 1}, "behaviour_decay: must be between 0 and 1, is 1"},
		{Params{DecayInterval: core.Duration(time.Millisecond)}, "decay_interval: must be at least 1s, is 1ms"},
		{Params{Publish: f(-1)}, "publish_threshold: must not be above gossip_threshold (-10), is -1"},
		{Params{Graylist: f(-1)}, "graylist_threshold: must not be above publish_threshold (-50), is -1"},
		{Params{AcceptPX: f(math.NaN())}, "accept_px_threshold: must not be negative, is NaN"},
		{Params{Topics: map[string]*TopicParams{"t": {TimeInMeshWeight: -1}}}, "topics/t/time_in_mesh_weight: must not be negative, is -1"},
		{Params{Topics: map[string]*TopicParams{"t": {MeshDeliveriesWeight: math.Inf(-1)}}}, "topics/t/mesh_message_deliveries_weight: must not be positive, is -Inf"},
		{Params{Topics: map[string]*TopicParams{"t": {InvalidDecay: 2}}}, "topics/t/invalid_message_deliveries_decay: must be between 0 and 1, is 2"},
	} {
		tc.p.Provision()
		if err := tc.p.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
	good := Params{Topics: map[string]*TopicParams{"t": nil}}
	good.Provision()
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func BenchmarkScore(b *testing.B) {
	topics := make(map[string]*TopicParams)
	for i := range 10 {
		topics[fmt.Sprint(i)] = &TopicParams{FirstDeliveriesWeight: 1}
	}
	p := Params{Topics: topics}
	p.Provision()
	board := New(&p)
	board.Join(alice)
	for i := range 10 {
		board.Accept(alice, "id", fmt.Sprint(i), begin)
	}
	b.ReportAllocs()
	for b.Loop() {
		board.Score(alice, begin)
	}
}
