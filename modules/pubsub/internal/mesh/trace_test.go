// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/score"
)

var update = flag.Bool("update", false, "write what happens into the traces")

// TestTraces plays the traces of testdata. A line that begins at the margin is
// an event, or the parameters; the indented lines below it are what the router
// does. See [player.line] for the words.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got, "\n")
			for i := range max(len(wantLines), len(gotLines)) {
				var w, g string
				if i < len(wantLines) {
					w = wantLines[i]
				}
				if i < len(gotLines) {
					g = gotLines[i]
				}
				if w != g {
					t.Fatalf("line %d: got\n%s\nwant\n%s", i+1, g, w)
				}
			}
		})
	}
}

// player plays a trace.
type player struct {
	t       *testing.T
	params  Params
	score   *score.Params
	direct  []peer.ID
	partial *PartialParams
	router  *Router
	seen    map[string]bool
	now     time.Time
}

func play(t *testing.T, text string) string {
	p := &player{t: t, seen: make(map[string]bool), now: time.Unix(1_800_000_000, 0)}
	var out strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for _, a := range p.line(strings.Fields(line), line) {
			out.WriteString("\t" + describe(a) + "\n")
		}
	}
	return out.String()
}

// line plays a line and returns what the router does:
//
//	params JSON | score JSON | direct NAMES | partial JSON   before everything else
//	join NAME VERSION [out]                   a peer is here; left NAME
//	sub NAME TOPICS, unsub NAME TOPICS        it says what it wants; restarted NAME
//	wish NAME TOPIC requests|sends            it wants a topic, or sends its messages, in parts
//	graft NAME TOPICS                         it sends control messages
//	prune NAME TOPIC [BACKOFF [NAMES]]
//	ihave NAME TOPIC IDS, iwant NAME IDS, idontwant NAME IDS, extensions NAME [partial] [late]
//	parts NAME TOPIC GROUP METADATA [DATA]
//	arrive NAME TOPIC ID SIZE                 its messages
//	accept NAME TOPIC ID [AUTHOR], reject NAME TOPIC ID, ignore NAME ID, dup NAME TOPIC ID
//	publish TOPIC ID, enter TOPIC, leave TOPIC   what the node does
//	handle TOPIC [requests], unhandle TOPIC      with partial messages
//	offer TOPIC GROUP METADATA [NAMES]        it sends parts to those who have others
//	beat [N], wait DURATION                   heartbeats, each a second after the last
//	scores                                    of all peers
func (p *player) line(w []string, line string) []Action {
	rest := strings.TrimSpace(strings.TrimPrefix(line, w[0]))
	switch w[0] {
	case "params":
		p.json(rest, &p.params)
		return nil
	case "score":
		p.score = new(score.Params)
		p.json(rest, p.score)
		return nil
	case "partial":
		p.partial = new(PartialParams)
		p.json(rest, p.partial)
		p.partial.Provision()
		return nil
	case "direct":
		for _, name := range w[1:] {
			p.direct = append(p.direct, id(name))
		}
		return nil
	case "wait":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			p.t.Fatal(err)
		}
		p.now = p.now.Add(d)
		return nil
	}
	if p.router == nil {
		p.start()
	}
	if w[0] == "scores" {
		return p.scores()
	}
	if w[0] == "beat" {
		n := 1
		if len(w) > 1 {
			n = p.int(w[1])
		}
		var all []Action
		for range n {
			p.now = p.now.Add(time.Second)
			all = append(all, p.step(Heartbeat{})...)
		}
		return all
	}
	return p.step(p.event(w))
}

// scored is a peer's score, for the trace.
type scored struct {
	name  string
	score float64
}

func (scored) action() {}

func (p *player) scores() (list []Action) {
	for q := range p.router.peers {
		list = append(list, scored{name(q), p.router.Score(q, p.now)})
	}
	slices.SortFunc(list, func(a, b Action) int { return strings.Compare(a.(scored).name, b.(scored).name) })
	return list
}

func (p *player) json(text string, v any) {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
}

func (p *player) int(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *player) start() {
	p.params.Provision()
	if err := p.params.Validate(); err != nil {
		p.t.Fatal(err)
	}
	s := Settings{
		Params:  &p.params,
		Rand:    rand.New(rand.NewPCG(1, 2)),
		Seen:    func(id []byte) bool { return p.seen[string(id)] },
		Record:  func(q peer.ID) []byte { return []byte("record of " + name(q)) },
		Direct:  p.direct,
		Partial: p.partial,
	}
	if p.score != nil {
		p.score.Provision()
		if err := p.score.Validate(); err != nil {
			p.t.Fatal(err)
		}
		s.Board = score.New(p.score)
	}
	p.router = New(s)
}

func (p *player) step(e Event) []Action {
	if b := p.router.Board; b != nil { // as a hub does
		switch e := e.(type) {
		case Joined:
			b.Join(e.Peer)
		case Left:
			b.Leave(e.Peer, p.now)
		}
	}
	return slices.Clone(p.router.Step(e, p.now))
}

var versions = map[string]Version{"flood": Floodsub, "v10": V10, "v11": V11, "v12": V12, "v13": V13}

func (p *player) event(w []string) Event {
	at := func(i int) string {
		if i >= len(w) {
			p.t.Fatalf("%v: too short", w)
		}
		return w[i]
	}
	ids := func(list []string) (out [][]byte) {
		for _, s := range list {
			out = append(out, []byte(s))
		}
		return out
	}
	control := func(c rpc.Control) Event {
		return Controlled{Peer: id(at(1)), Control: &c, First: c.Extensions != nil && !slices.Contains(w, "late")}
	}
	switch w[0] {
	case "join":
		return Joined{Peer: id(at(1)), Version: versions[at(2)], Outbound: slices.Contains(w, "out")}
	case "left":
		return Left{id(at(1))}
	case "restarted":
		return Restarted{id(at(1))}
	case "sub", "unsub":
		var list []rpc.Subscription
		for _, topic := range w[2:] {
			list = append(list, rpc.Subscription{Topic: topic, Subscribe: w[0] == "sub"})
		}
		return Subscribed{id(at(1)), list}
	case "graft":
		return control(rpc.Control{Graft: w[2:]})
	case "prune":
		prune := rpc.Prune{Topic: at(2)}
		if len(w) > 3 {
			prune.Backoff, _ = time.ParseDuration(w[3])
			for _, name := range w[4:] {
				prune.Peers = append(prune.Peers, rpc.PeerInfo{ID: id(name).Bytes()})
			}
		}
		return control(rpc.Control{Prune: []rpc.Prune{prune}})
	case "ihave":
		return control(rpc.Control{IHave: []rpc.IHave{{Topic: at(2), IDs: ids(w[3:])}}})
	case "iwant":
		return control(rpc.Control{IWant: ids(w[2:])})
	case "idontwant":
		return control(rpc.Control{IDontWant: ids(w[2:])})
	case "extensions":
		return control(rpc.Control{Extensions: &rpc.Extensions{PartialMessages: slices.Contains(w, "partial")}})
	case "wish":
		return Subscribed{id(at(1)), []rpc.Subscription{{
			Topic: at(2), Subscribe: true, RequestsPartial: at(3) == "requests", SendsPartial: true,
		}}}
	case "parts":
		partial := &rpc.Partial{Topic: at(2), Group: []byte(at(3)), Metadata: []byte(at(4))}
		if len(w) > 5 {
			partial.Message = []byte(w[5])
		}
		return PartialArrived{id(at(1)), partial}
	case "handle":
		return PartialHandled{Topic: at(1), On: true, Requests: slices.Contains(w, "requests")}
	case "unhandle":
		return PartialHandled{Topic: at(1)}
	case "offer":
		var to []peer.ID
		for _, name := range w[min(4, len(w)):] {
			to = append(to, id(name))
		}
		return PartialPublished{Topic: at(1), Group: []byte(at(2)), To: to, Parts: func(q core.PartialPeer) (out core.PartialParts) {
			if string(q.Metadata) != at(3) {
				out.Data, out.Known = []byte("what "+string(q.Metadata)+" lacks"), []byte(at(3))
			}
			if string(q.Sent) != at(3) {
				out.Metadata = []byte(at(3))
			}
			return out
		}}
	case "arrive":
		p.seen[at(3)] = true
		return Arrived{Peer: id(at(1)), Topic: at(2), ID: at(3), Size: p.int(at(4))}
	case "accept":
		p.seen[at(3)] = true
		m := &Message{Topic: at(2), ID: at(3), Raw: []byte(at(3))}
		if len(w) > 4 {
			m.Author = id(w[4])
		}
		return Accepted{id(at(1)), m}
	case "reject":
		return Rejected{Peer: id(at(1)), Topic: at(2), ID: at(3)}
	case "ignore":
		return Ignored{Peer: id(at(1)), ID: at(2)}
	case "dup":
		return Duplicate{Peer: id(at(1)), Topic: at(2), ID: at(3)}
	case "publish":
		p.seen[at(2)] = true
		return Published{&Message{Topic: at(1), ID: at(2), Raw: []byte(at(2))}}
	case "enter":
		return TopicJoined{at(1)}
	case "leave":
		return TopicLeft{at(1)}
	}
	p.t.Fatalf("%v: no such event", w)
	return nil
}

// id is the ID of a peer with a name: an identity multihash of it, which is what
// recommended peers must have.
func id(name string) peer.ID { return peer.ID("\x00" + string(rune(len(name))) + name) }

func name(p peer.ID) string { return string(p[2:]) }

func describe(a Action) string {
	switch a := a.(type) {
	case Send:
		return "to " + name(a.Peer) + ":" + describeControl(a.Control)
	case Deliver:
		var names []string
		for _, p := range a.Peers {
			names = append(names, name(p))
		}
		what := "deliver"
		if a.Asked {
			what = "answer"
		}
		return fmt.Sprintf("%s %s to %s", what, a.Message.ID, strings.Join(names, " "))
	case Dial:
		var names []string
		for _, info := range a.Peers {
			names = append(names, name(peer.ID(info.ID)))
		}
		return "dial " + strings.Join(names, " ")
	case Reconnect:
		var names []string
		for _, p := range a.Peers {
			names = append(names, name(p))
		}
		return "reconnect " + strings.Join(names, " ")
	case Grafted:
		return fmt.Sprintf("%s is in the mesh of %s", name(a.Peer), a.Topic)
	case Pruned:
		return fmt.Sprintf("%s is out of the mesh of %s", name(a.Peer), a.Topic)
	case SendPartial:
		return fmt.Sprintf("to %s: %s/%s metadata %q data %q", name(a.Peer), a.Partial.Topic, a.Partial.Group, a.Partial.Metadata, a.Partial.Message)
	case PartialReceived:
		return fmt.Sprintf("handle %s/%s of %s", a.Partial.Topic, a.Partial.Group, name(a.Peer))
	case PartialGossip:
		var names []string
		for _, p := range a.Peers {
			names = append(names, name(p))
		}
		return fmt.Sprintf("gossip about %s/%s to %s", a.Topic, a.Group, strings.Join(names, " "))
	case scored:
		return fmt.Sprintf("%s %.4g", a.name, a.score)
	}
	return fmt.Sprintf("%#v", a)
}

func describeControl(c *rpc.Control) string {
	var b strings.Builder
	join := func(ids [][]byte) string {
		var list []string
		for _, id := range ids {
			list = append(list, string(id))
		}
		return strings.Join(list, " ")
	}
	for _, topic := range c.Graft {
		fmt.Fprintf(&b, " GRAFT %s", topic)
	}
	for _, p := range c.Prune {
		fmt.Fprintf(&b, " PRUNE %s for %v", p.Topic, p.Backoff)
		for _, info := range p.Peers {
			fmt.Fprintf(&b, " try %s (%s)", name(peer.ID(info.ID)), info.Record)
		}
	}
	for _, h := range c.IHave {
		fmt.Fprintf(&b, " IHAVE %s %s", h.Topic, join(h.IDs))
	}
	if len(c.IWant) > 0 {
		fmt.Fprintf(&b, " IWANT %s", join(c.IWant))
	}
	if len(c.IDontWant) > 0 {
		fmt.Fprintf(&b, " IDONTWANT %s", join(c.IDontWant))
	}
	return b.String()
}
