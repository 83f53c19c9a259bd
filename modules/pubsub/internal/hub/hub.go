// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package hub runs pub/sub: it has the streams, the queues, the checks of
// messages and the subscriptions, and does what the router of package mesh
// says.
//
// # The way of a message
//
// A peer's stream has one goroutine, which reads a frame, finds the messages
// that have not been seen, and checks their signatures, all at once with those
// of other peers. What the modules for checking have to say is waited for
// elsewhere. A message that is accepted goes, under the hub's lock, through one
// step of the router, into the queues of subscriptions, and as the bytes that
// it came in into the queues of peers. A peer's queue has a goroutine for as long
// as there is something in it, which writes all that is ready at once.
package hub

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/gater"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/message"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/score"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/seek"
)

// Protocol is a protocol that the hub speaks.
type Protocol struct {
	ID      string
	Version mesh.Version
}

// Settings are what a hub is made of.
type Settings struct {
	// Protocols are those it speaks, the preferred one first.
	Protocols []Protocol
	Params    *mesh.Params
	Score     *score.Params // nil: peers are not judged
	Gater     *gater.Params // nil: messages are taken from all peers alike
	// Partial are the parameters of partial messages; nil if that extension is
	// not spoken.
	Partial *mesh.PartialParams
	// Discovery says how peers of topics are looked for; nil: they are not.
	Discovery *seek.Params
	Policy    message.Policy
	// Name makes the IDs of messages, Names those of some topics.
	Name  message.Name
	Names map[string]message.Name
	// Checks are asked about the messages of all topics, TopicChecks about
	// those of some.
	Checks      []core.TopicValidator
	TopicChecks map[string][]core.TopicValidator
	// CheckLimits bound them, TopicLimits for some topics. MaxChecks is how
	// many messages they may be busy with in all topics.
	CheckLimits CheckLimits
	TopicLimits map[string]CheckLimits
	MaxChecks   int
	// Topics are those to subscribe to for as long as the hub runs.
	Topics []string
	// Allow says which topics the node may subscribe to, and whose
	// subscriptions of peers are remembered; nil means all.
	Allow func(topic string) bool
	// Direct are peers that always get every message.
	Direct []peer.AddrInfo
	// MaxMessage bounds a frame, in bytes.
	MaxMessage int
	// TraceFile is written what happens, in protobuf; empty means none.
	TraceFile string
	// TraceFileSize bounds it, in bytes.
	TraceFileSize int64
	// SeenTTL is how long the IDs of messages are remembered.
	SeenTTL time.Duration
	Log     *slog.Logger
}

// Hub is pub/sub in a node.
type Hub struct {
	Settings
	node core.Node
	self peer.ID
	seen *seen
	// authors are those of messages that have come.
	authors message.Authors

	ctx  context.Context // of all that runs; ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup
	undo []func() // what Start registered
	// running are the modules for checking that Start has started.
	running []core.Service

	recording atomic.Bool // there are recorders
	seqno     atomic.Uint64
	checking  chan struct{} // one each message that is being checked, MaxChecks
	dialing   chan struct{} // one each dial, maxDials
	toSend    chan *remote  // to goroutines that wait for somebody to send to
	idle      atomic.Int32  // how many do, maxIdle

	mu       sync.Mutex
	closed   bool
	router   *mesh.Router
	rand     *rand.Rand
	seeker   *seek.Seeker // nil if there is none
	gater    *gater.Gater // nil if there is none
	remotes  map[peer.ID]*remote
	topics   map[string]*topicSubscriptions // those that the node is subscribed to
	flights  map[string]*flight             // messages that are being verified, by their IDs
	partials map[string]*partialTopic
	// partialGossip is what a heartbeat has left to be said, and handlePartial
	// whether the partial message of the latest step is to be handled.
	partialGossip []mesh.PartialGossip
	handlePartial bool
	recorders     []*recorder
	tracers       []*tracer
	counts        core.TopicCounts
}

// maxDials is how many recommended peers are dialled at once.
const maxDials = 8

// New returns a hub that does not run yet.
func New(s Settings) *Hub {
	h := &Hub{
		Settings: s,
		seen:     newSeen(s.SeenTTL),
		checking: make(chan struct{}, s.MaxChecks),
		dialing:  make(chan struct{}, maxDials),
		toSend:   make(chan *remote),
		remotes:  make(map[peer.ID]*remote),
		topics:   make(map[string]*topicSubscriptions),
		partials: make(map[string]*partialTopic),
		flights:  make(map[string]*flight),
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// Start serves and looks for peers.
func (h *Hub) Start(ctx context.Context, n core.Node) error {
	h.node, h.self = n, n.ID()
	for _, s := range h.services() {
		h.running = append(h.running, s)
		if err := s.Start(ctx, n); err != nil {
			return errors.Join(fmt.Errorf("validators: %w", err), h.Close())
		}
	}
	h.seqno.Store(uint64(time.Now().UnixNano()))
	h.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	h.seeker = h.newSeeker()
	settings := mesh.Settings{
		Params:  h.Params,
		Rand:    h.rand,
		Seen:    h.seen.has,
		Record:  h.record,
		Partial: h.Partial,
	}
	if h.Score != nil {
		settings.Board = score.New(h.Score)
	}
	for _, info := range h.Direct {
		settings.Direct = append(settings.Direct, info.ID)
		n.AddPeerAddrs(info.ID, core.PermanentTTL, info.Addrs...)
		h.undo = append(h.undo, n.Protect(info.ID, "pubsub direct"))
	}
	h.mu.Lock()
	h.router = mesh.New(settings)
	if h.Gater != nil {
		h.gater = gater.New(h.Gater, h.rand)
	}
	h.mu.Unlock()
	if err := h.recordToFile(); err != nil {
		return errors.Join(err, h.Close())
	}
	for _, topic := range h.Topics {
		sub, err := h.Subscribe(topic)
		if err != nil {
			return errors.Join(err, h.Close())
		}
		h.undo = append(h.undo, func() { sub.Close() })
	}
	for _, p := range h.Protocols {
		h.undo = append(h.undo, n.Handle(p.ID, h.serve, core.HandleAtMost(maxInbound)))
	}
	h.undo = append(h.undo,
		core.On(n, func(e core.Identified) { h.meet(e.Conn) }),
		core.On(n, func(e core.PeerProtocolsChanged) {
			for _, c := range n.ConnsTo(e.Peer) {
				h.meet(c)
			}
		}),
		core.On(n, func(e core.Disconnected) {
			if e.Last {
				h.part(e.Conn.RemotePeer())
			}
		}))
	for _, c := range n.Conns() {
		h.meet(c)
	}
	h.wg.Go(h.beat)
	if h.seeker != nil {
		h.wg.Go(h.seeks)
	}
	return nil
}

// record is the signed record of a peer, to be given to others.
func (h *Hub) record(p peer.ID) []byte {
	if e := h.node.PeerRecord(p); e != nil {
		return e.Marshal()
	}
	return nil
}

// beat is the heartbeat. Nodes that start together do not beat together: each
// would fill its mesh without knowing of those that others fill theirs with, and
// all meshes would be too large.
func (h *Hub) beat() {
	if len(h.Direct) > 0 {
		h.connect(h.directs())
	}
	interval := time.Duration(h.Params.HeartbeatInterval)
	select {
	case <-h.ctx.Done():
		return
	case <-time.After(rand.N(interval)):
		h.step(mesh.Heartbeat{})
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
			h.step(mesh.Heartbeat{})
			if h.Partial != nil {
				h.gossipPartials()
			}
		}
	}
}

func (h *Hub) directs() []peer.ID {
	var list []peer.ID
	for _, info := range h.Direct {
		list = append(list, info.ID)
	}
	return list
}

// step takes the router through an event and does what it says.
func (h *Hub) step(e mesh.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stepLocked(e)
}

// stepLocked returns how many peers a message goes to.
func (h *Hub) stepLocked(e mesh.Event) (delivered int) {
	h.count(e)
	h.gateLocked(e)
	h.traceEvent(e)
	h.recordEvent(e)
	for _, a := range h.router.Step(e, time.Now()) {
		switch a := a.(type) {
		case mesh.Deliver:
			_, own := e.(mesh.Published)
			for _, p := range a.Peers {
				r := h.remotes[p]
				if r == nil {
					continue
				}
				sent := r.queue.publish(a.Message, own)
				if sent {
					delivered++
				} else {
					h.counts.Dropped++
					h.trace(core.TopicDropped, p, a.Message.Topic, a.Message.ID)
				}
				h.recordSent(p, a.Message, sent)
			}
		case mesh.Send:
			if r := h.remotes[a.Peer]; r != nil {
				r.queue.control(a.Control)
			}
		case mesh.SendPartial:
			if r := h.remotes[a.Peer]; r != nil && r.queue.partial(a.Partial) {
				delivered++
			}
		case mesh.PartialReceived:
			h.handlePartial = true
		case mesh.PartialGossip:
			h.partialGossip = append(h.partialGossip, a)
		case mesh.Dial:
			h.recommended(a.Peers)
		case mesh.Reconnect:
			h.connect(a.Peers)
		}
		h.traceAction(a)
		h.recordAction(a)
	}
	h.counts.Sent += uint64(delivered)
	return delivered
}

// count counts an event.
func (h *Hub) count(e mesh.Event) {
	switch e.(type) {
	case mesh.Published:
		h.counts.Published++
	case mesh.Accepted:
		h.counts.Delivered++
	case mesh.Duplicate:
		h.counts.Duplicates++
	case mesh.Rejected:
		h.counts.Rejected++
	case mesh.Ignored:
		h.counts.Ignored++
	}
}

// Counts implements [core.Topics].
func (h *Hub) Counts() core.TopicCounts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts
}

// recommended dials peers that another one has recommended, if their records are
// right.
func (h *Hub) recommended(list []rpc.PeerInfo) {
	for _, info := range list {
		id, err := peer.FromBytes(info.ID)
		if err != nil || id == h.self {
			continue
		}
		if len(info.Record) > 0 && h.node.ConsumePeerRecord(info.Record, id, core.DiscoveredTTL) != nil {
			continue
		}
		h.connect([]peer.ID{id})
	}
}

// connect dials peers, as far as there is room for more dials.
func (h *Hub) connect(list []peer.ID) {
	for _, p := range list {
		select {
		case h.dialing <- struct{}{}:
		default:
			return
		}
		h.wg.Go(func() {
			defer func() { <-h.dialing }()
			ctx, cancel := context.WithTimeout(h.ctx, 30*time.Second)
			defer cancel()
			if _, err := h.node.Connect(ctx, peer.AddrInfo{ID: p}); err != nil {
				h.Log.Debug("peer of pub/sub not reached", "peer", p, "error", err)
			}
		})
	}
}

// nextSeqno is the number of the next message of the node's own.
func (h *Hub) nextSeqno() (b [8]byte) {
	binary.BigEndian.PutUint64(b[:], h.seqno.Add(1))
	return b
}

// Close ends everything.
func (h *Hub) Close() error {
	h.mu.Lock()
	undo := h.undo
	h.undo = nil
	h.closed = true
	h.mu.Unlock()
	h.stop()
	for _, f := range undo {
		f()
	}
	h.mu.Lock()
	for _, r := range h.remotes {
		r.stop()
	}
	for name, t := range h.topics {
		for s := range t.queues {
			s.end()
		}
		delete(h.topics, name)
	}
	h.mu.Unlock()
	h.wg.Wait()
	var errs []error
	for _, s := range h.running {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
