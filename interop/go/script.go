// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// scriptPort is where all nodes of a script listen.
const scriptPort = 9000

// script is a part in libp2p's gossipsub-interop
// (https://github.com/libp2p/test-plans/tree/master/gossipsub-interop): all nodes run the same
// instructions, of which some are for one of them, and log what they receive. Started with --params
// and nothing else, a node has its number from its host name, and the others' addresses from theirs;
// with --node and --at, node 0 listens at an address and the others at those behind it.
type script struct {
	Script []instruction `json:"script"`

	id    int
	at    netip.Addr // of node 0; the zero one for host names
	begun time.Time
	log   *slog.Logger
	node  *node

	ps     *pubsub.PubSub
	parts  *groupParts
	topics map[string]*pubsub.Topic
}

// instruction is one of all types: each has some of the fields.
type instruction struct {
	Type             string          `json:"type"`
	ConnectTo        []int           `json:"connectTo"`
	NodeID           int             `json:"nodeID"`
	Instruction      *instruction    `json:"instruction"`
	ElapsedSeconds   float64         `json:"elapsedSeconds"`
	MessageID        uint64          `json:"messageID"`
	MessageSizeBytes int             `json:"messageSizeBytes"`
	TopicID          string          `json:"topicID"`
	Partial          bool            `json:"partial"`
	DelaySeconds     float64         `json:"delaySeconds"`
	Params           json.RawMessage `json:"gossipSubParams"`
	Parts            uint8           `json:"parts"`
	GroupID          uint64          `json:"groupID"`
	PublishTo        []int           `json:"publishToNodeIDs"`
}

// instructions are the types that there are.
var instructions = []string{
	"initGossipSub", "setTopicValidationDelay", "ifNodeIDEquals", "connect", "waitUntil",
	"subscribeToTopic", "publish", "addPartialMessage", "publishPartial",
}

// runScript runs the command line of gossipsub-interop.
func runScript(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	begun := time.Now()
	flags := flag.NewFlagSet("go", flag.ContinueOnError)
	flags.SetOutput(stderr)
	params := flags.String("params", "", "file with the script")
	id := flags.Int("node", -1, "number of the node, which the host name has otherwise")
	at := flags.String("at", "", "address of node 0, which its name has otherwise")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return exitUsage
	}
	s := &script{
		id: *id, begun: begun, log: slog.New(slog.NewJSONHandler(stdout, nil)), topics: make(map[string]*pubsub.Topic),
	}
	err := s.read(*params, *at)
	if err == nil {
		ctx, cancel := context.WithCancel(ctx)
		err = s.run(ctx)
		cancel()
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return exitDone
}

func (s *script) read(path, at string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, s); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := checkScript(s.Script); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if at != "" {
		if s.at, err = netip.ParseAddr(at); err != nil {
			return fmt.Errorf("--at: %w", err)
		}
	}
	if s.id >= 0 {
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(name, "node%d", &s.id); err != nil {
		return fmt.Errorf("host name %q: want node and a number", name)
	}
	return nil
}

// checkScript refuses a script of which the node would not know what to do at some time.
func checkScript(list []instruction) error {
	for n := range list {
		for i := &list[n]; ; i = i.Instruction {
			if i == nil {
				return fmt.Errorf("script/%d: ifNodeIDEquals: no instruction", n)
			}
			if !slices.Contains(instructions, i.Type) {
				return fmt.Errorf("script/%d: %q: no such instruction; there are %s", n, i.Type, strings.Join(instructions, ", "))
			}
			if i.Type != "ifNodeIDEquals" {
				break
			}
		}
	}
	return nil
}

// run starts the node and does what the script says, in its order.
func (s *script) run(ctx context.Context) error {
	key, _, err := scriptKey(s.id)
	if err != nil {
		return err
	}
	ip := "0.0.0.0"
	if s.at.IsValid() {
		ip = s.address(s.id).String()
	}
	o := options{transports: list{"tcp"}, security: "both"}
	kinds, err := o.namedTransports()
	if err != nil {
		return err
	}
	listen, err := ma.NewMultiaddr(fmt.Sprintf("/ip4/%s/tcp/%d", ip, scriptPort))
	if err != nil {
		return err
	}
	p := plan{shape: full, key: key, kinds: kinds, security: o.security, listen: []ma.Multiaddr{listen}}
	if s.node, err = p.start(); err != nil {
		return err
	}
	defer s.node.Close()
	s.log.Info("PeerID", "id", s.node.ID(), "node_id", s.id)
	for i := range s.Script {
		if err := s.do(ctx, &s.Script[i]); err != nil {
			return fmt.Errorf("instruction %d, %s: %w", i, s.Script[i].Type, err)
		}
	}
	return nil
}

// scriptTracer logs messages, again each time they come.
type scriptTracer struct {
	counter
	log *slog.Logger
}

func (t *scriptTracer) DeliverMessage(m *pubsub.Message)   { t.tell(m) }
func (t *scriptTracer) DuplicateMessage(m *pubsub.Message) { t.tell(m) }

func (t *scriptTracer) tell(m *pubsub.Message) {
	if len(m.Data) >= 8 && !m.Local {
		t.log.Info("Received Message", "service", "gossipsub", "from", m.ReceivedFrom.String(), "topic", m.GetTopic(),
			"id", fmt.Sprint(binary.BigEndian.Uint64(m.Data)))
	}
}

func (s *script) init(ctx context.Context, given json.RawMessage) (err error) {
	params := pubsub.DefaultGossipSubParams()
	if err := json.Unmarshal(given, &params); err != nil {
		return err
	}
	s.parts = newParts(s.log)
	s.ps, err = pubsub.NewGossipSub(ctx, s.node.Host,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pb.Message) string { return string(m.Data[:min(8, len(m.Data))]) }),
		pubsub.WithMaxMessageSize(10<<20), pubsub.WithGossipSubParams(params),
		pubsub.WithRawTracer(&scriptTracer{log: s.log}), pubsub.WithPartialMessagesExtension(s.parts.extension()))
	s.parts.ps = s.ps
	return err
}

func (s *script) topic(name string, options ...pubsub.TopicOpt) (t *pubsub.Topic, err error) {
	if t = s.topics[name]; t == nil {
		if t, err = s.ps.Join(name, options...); err == nil {
			s.topics[name] = t
		}
	}
	return t, err
}

func (s *script) do(ctx context.Context, i *instruction) error {
	switch i.Type {
	case "initGossipSub":
		return s.init(ctx, i.Params)
	case "setTopicValidationDelay":
		wait := time.Duration(i.DelaySeconds * float64(time.Second))
		return s.ps.RegisterTopicValidator(i.TopicID, func(context.Context, peer.ID, *pubsub.Message) bool {
			time.Sleep(wait)
			return true
		})
	case "ifNodeIDEquals":
		if i.NodeID != s.id {
			return nil
		}
		return s.do(ctx, i.Instruction)
	case "connect":
		for _, id := range i.ConnectTo {
			if err := s.connect(ctx, id); err != nil {
				return fmt.Errorf("node %d: %w", id, err)
			}
		}
		return nil
	case "waitUntil":
		select {
		case <-time.After(time.Until(s.begun.Add(time.Duration(i.ElapsedSeconds * float64(time.Second))))):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	case "subscribeToTopic":
		return s.subscribe(ctx, i)
	case "publish":
		t, err := s.topic(i.TopicID)
		if err != nil {
			return err
		}
		data := make([]byte, max(i.MessageSizeBytes, 8))
		binary.BigEndian.PutUint64(data, i.MessageID)
		return t.Publish(ctx, data)
	case "addPartialMessage":
		s.parts.add(i.TopicID, i.GroupID, i.Parts)
		return nil
	case "publishPartial":
		if _, err := s.topic(i.TopicID, pubsub.SupportsPartialMessages()); err != nil {
			return err
		}
		var to []peer.ID
		for _, id := range i.PublishTo {
			_, p, err := scriptKey(id)
			if err != nil {
				return err
			}
			to = append(to, p)
		}
		return s.parts.publish(i.TopicID, i.GroupID, to)
	}
	return fmt.Errorf("%q: no such instruction", i.Type)
}

func (s *script) subscribe(ctx context.Context, i *instruction) error {
	var options []pubsub.TopicOpt
	if i.Partial {
		options = append(options, pubsub.RequestPartialMessages())
	}
	t, err := s.topic(i.TopicID, options...)
	if err != nil {
		return err
	}
	sub, err := t.Subscribe()
	if err != nil {
		return err
	}
	go func() { // until ctx ends; the tracer tells what comes
		for err == nil {
			_, err = sub.Next(ctx)
		}
	}()
	return nil
}

// connectTime is how long a node may take to be there.
const connectTime = 20 * time.Second

// connect dials a node, until it is there.
func (s *script) connect(ctx context.Context, id int) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	_, p, err := scriptKey(id)
	if err != nil {
		return err
	}
	ip := ""
	if s.at.IsValid() {
		ip = s.address(id).String()
	} else if found, err := net.DefaultResolver.LookupHost(ctx, fmt.Sprintf("node%d", id)); err != nil {
		return err
	} else {
		ip = found[0]
	}
	addr, err := ma.NewMultiaddr(fmt.Sprintf("/ip4/%s/tcp/%d", ip, scriptPort))
	if err != nil {
		return err
	}
	for {
		err := s.node.Connect(ctx, peer.AddrInfo{ID: p, Addrs: []ma.Multiaddr{addr}})
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
			s.node.swarm.Backoff().Clear(p)
		case <-ctx.Done():
			return err
		}
	}
}

// address is where a node listens.
func (s *script) address(id int) netip.Addr {
	b := s.at.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(id))
	return netip.AddrFrom4(b)
}

// scriptKey is the key of a node, and its peer ID.
func scriptKey(id int) (crypto.PrivKey, peer.ID, error) {
	key, err := seededIdentity(uint64(id))
	if err != nil {
		return nil, "", err
	}
	p, err := peer.IDFromPrivateKey(key)
	return key, p, err
}
