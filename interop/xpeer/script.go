// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// scriptPort is where all nodes of a script listen.
const scriptPort = 9000

// script is a part in libp2p's gossipsub-interop
// (https://github.com/libp2p/test-plans/tree/master/gossipsub-interop): all nodes
// run the same instructions, of which some are for one of them, and log what they
// receive. Started with --params and nothing else, a node has its number from its
// host name, and the others' addresses from theirs; with --node and --at, node 0
// listens at an address and the others at those behind it.
type script struct {
	Script []instruction `json:"script"`

	id    int
	at    netip.Addr // of node 0; the zero one for host names
	begun time.Time
	log   *slog.Logger
	node  *node

	topics core.Topics
	parts  *parts
	wg     sync.WaitGroup
}

// instruction is one of all types: each has some of the fields.
type instruction struct {
	Type             string                     `json:"type"`
	ConnectTo        []int                      `json:"connectTo"`
	NodeID           int                        `json:"nodeID"`
	Instruction      *instruction               `json:"instruction"`
	ElapsedSeconds   float64                    `json:"elapsedSeconds"`
	MessageID        uint64                     `json:"messageID"`
	MessageSizeBytes int                        `json:"messageSizeBytes"`
	TopicID          string                     `json:"topicID"`
	Partial          bool                       `json:"partial"`
	DelaySeconds     float64                    `json:"delaySeconds"`
	Params           map[string]json.RawMessage `json:"gossipSubParams"`
	Parts            uint8                      `json:"parts"`
	GroupID          uint64                     `json:"groupID"`
	PublishTo        []int                      `json:"publishToNodeIDs"`
}

// instructions are the types that there are.
var instructions = []string{
	"initGossipSub", "setTopicValidationDelay", "ifNodeIDEquals", "connect", "waitUntil",
	"subscribeToTopic", "publish", "addPartialMessage", "publishPartial",
}

// runScript runs the command line of gossipsub-interop.
func runScript(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	begun := time.Now()
	flags := flag.NewFlagSet("xpeer", flag.ContinueOnError)
	flags.SetOutput(stderr)
	params := flags.String("params", "", "file with the script")
	id := flags.Int("node", -1, "number of the node, which the host name has otherwise")
	at := flags.String("at", "", "address of node 0, which its name has otherwise")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return exitUsage
	}
	s := &script{id: *id, begun: begun, log: slog.New(slog.NewJSONHandler(stdout, nil))}
	err := s.read(*params, *at)
	if err == nil {
		ctx, cancel := context.WithCancel(ctx)
		err = s.run(ctx)
		cancel()
		s.wg.Wait()
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
	key, err := scriptKey(s.id)
	if err != nil {
		return err
	}
	ip := "0.0.0.0"
	if s.at.IsValid() {
		ip = s.address(s.id).String()
	}
	o := options{transports: list{"tcp"}, keyType: "ed25519", security: "both", muxer: "yamux"}
	b, err := o.serving(ip, scriptPort)
	if err != nil {
		return err
	}
	b.key = key
	if b.pubsub, err = s.config(); err != nil {
		return err
	}
	if s.node, err = b.start(ctx); err != nil {
		return err
	}
	defer s.node.Close()
	s.log.Info("PeerID", "id", s.node.ID(), "node_id", s.id)
	s.topics, _ = core.Find[core.Topics](s.node)
	partial, _ := core.Find[core.PartialTopics](s.node)
	if s.topics == nil || partial == nil {
		return errors.New("no pub/sub in the node")
	}
	s.parts = newParts(partial, s.log)
	events := s.topics.TraceTopics(ctx)
	s.wg.Go(func() {
		for e := range events {
			s.tell(e)
		}
	})
	for i := range s.Script {
		if err := s.do(ctx, &s.Script[i]); err != nil {
			return fmt.Errorf("instruction %d, %s: %w", i, s.Script[i].Type, err)
		}
	}
	return nil
}

// tell logs messages, again each time they come.
func (s *script) tell(e core.TopicEvent) {
	if e.Missed > 0 {
		s.log.Error("events were missed", "count", e.Missed)
	}
	if e.Kind != core.TopicDelivered && e.Kind != core.TopicDuplicate {
		return
	}
	for _, id := range e.IDs {
		if len(id) == 8 {
			s.log.Info("Received Message", "service", "gossipsub", "from", e.Peer.String(), "topic", e.Topic,
				"id", fmt.Sprint(binary.BigEndian.Uint64([]byte(id))))
		}
	}
}

func (s *script) do(ctx context.Context, i *instruction) error {
	switch i.Type {
	case "initGossipSub", "setTopicValidationDelay": // in the configuration
		return nil
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
		if i.Partial {
			if err := s.parts.handle(i.TopicID, true); err != nil {
				return err
			}
		}
		_, err := s.topics.Subscribe(i.TopicID) // until the node ends; the trace tells what comes
		return err
	case "publish":
		data := make([]byte, max(i.MessageSizeBytes, 8))
		binary.BigEndian.PutUint64(data, i.MessageID)
		_, err := s.topics.Publish(ctx, i.TopicID, data)
		return err
	case "addPartialMessage":
		s.parts.add(i.TopicID, i.GroupID, i.Parts)
		return nil
	case "publishPartial":
		if err := s.parts.handle(i.TopicID, false); err != nil {
			return err
		}
		var to []peer.ID
		for _, id := range i.PublishTo {
			key, err := scriptKey(id)
			if err != nil {
				return err
			}
			to = append(to, peer.FromPublicKey(key.Public()))
		}
		return s.parts.publish(i.TopicID, i.GroupID, to...)
	}
	return fmt.Errorf("%q: no such instruction", i.Type)
}

// connectTime is how long a node may take to be there.
const connectTime = 20 * time.Second

// connect dials a node, until it is there.
func (s *script) connect(ctx context.Context, id int) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	key, err := scriptKey(id)
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
		_, err := s.node.Connect(ctx, peer.AddrInfo{ID: peer.FromPublicKey(key.Public()), Addrs: []ma.Multiaddr{addr}})
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
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

// scriptKey is the key of a node: Ed25519, of its number.
func scriptKey(id int) (peer.PrivateKey, error) {
	o := options{seed: uint64(id), keyType: "ed25519"}
	if id == 0 {
		return peer.GenerateKey(peer.Ed25519, zeros{})
	}
	return o.identity()
}

// zeros reads as nothing but zeros.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
