// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"math/rand/v2"
	"strconv"
)

// step is an instruction of a script.
type step map[string]any

func of(kind string, fields ...any) step {
	s := step{"type": kind}
	for i := 0; i < len(fields); i += 2 {
		s[fields[i].(string)] = fields[i+1]
	}
	return s
}

func only(node int, s step) step { return of("ifNodeIDEquals", "nodeID", node, "instruction", s) }

const (
	messages   = 8
	meshTime   = 8 // seconds until something is published
	everyTime  = 1 // seconds between messages
	flushTime  = 4 // seconds after the last one
	blobBytes  = 96 << 10
	blobDelay  = 0.005 // seconds that a validator takes
	smallBytes = 1 << 10
	part       = 8 // how many parts a partial message has
)

// scenarios are those of the suite.
func scenarios(nodes int) []*scenario {
	r := rand.New(rand.NewPCG(1, 1))
	return []*scenario{
		subnetBlob(nodes, r), simpleFanout(nodes, r),
		partialMessages(nodes, r), partialChain(nodes / 2), partialFanout(nodes, r),
	}
}

// begin initializes all nodes.
func begin(nodes int) (list []step) {
	for i := range nodes {
		list = append(list, only(i, of("initGossipSub", "gossipSubParams", step{"HeartbeatInitialDelay": (i + 1) * 100_000, "D": nil})))
	}
	return list
}

// mesh connects each node with some others, by chance.
func mesh(nodes int, r *rand.Rand) (list []step) {
	for i := range nodes {
		var to []int
		for _, other := range r.Perm(nodes)[:min(4, nodes-1)] {
			if other != i {
				to = append(to, other)
			}
		}
		list = append(list, only(i, of("connect", "connectTo", to)))
	}
	return list
}

func until(seconds int) step { return of("waitUntil", "elapsedSeconds", seconds) }

// publish publishes by nodes and on topics of chance. reach is who has to get what
// is published on each topic.
func (s *scenario) publish(r *rand.Rand, size int, reach map[string][]int, topics ...string) {
	now := meshTime
	s.script = append(s.script, until(now))
	s.wants = make(map[string][]int)
	for i := range messages {
		from, topic := r.IntN(s.nodes), topics[r.IntN(len(topics))]
		s.script = append(s.script, only(from, of("publish", "messageID", i, "messageSizeBytes", size, "topicID", topic)))
		for _, node := range reach[topic] {
			if node != from {
				s.wants[strconv.Itoa(i)] = append(s.wants[strconv.Itoa(i)], node)
			}
		}
		now += everyTime
		s.script = append(s.script, until(now))
	}
	s.script = append(s.script, until(now+flushTime))
}

// subnetBlob: large messages, which take time to be checked, on one topic.
func subnetBlob(nodes int, r *rand.Rand) *scenario {
	const topic = "a-subnet"
	s := &scenario{name: "subnet-blob-msg", nodes: nodes, script: begin(nodes)}
	s.script = append(s.script, of("setTopicValidationDelay", "topicID", topic, "delaySeconds", blobDelay))
	s.script = append(s.script, mesh(nodes, r)...)
	s.script = append(s.script, of("subscribeToTopic", "topicID", topic, "partial", false))
	all := make([]int, nodes)
	for i := range all {
		all[i] = i
	}
	s.publish(r, blobBytes, map[string][]int{topic: all}, topic)
	return s
}

// simpleFanout: half of the nodes are in one topic, the others in another one, and
// all publish on both.
func simpleFanout(nodes int, r *rand.Rand) *scenario {
	topics := []string{"topic-a", "topic-b"}
	s := &scenario{name: "simple-fanout", nodes: nodes, script: append(begin(nodes), mesh(nodes, r)...)}
	reach := make(map[string][]int)
	for i := range nodes {
		// Both kinds of node are in both topics.
		topic := topics[i/2%2]
		reach[topic] = append(reach[topic], i)
		s.script = append(s.script, only(i, of("subscribeToTopic", "topicID", topic)))
	}
	s.publish(r, smallBytes, reach, topics...)
	return s
}

// partialMessages: every node has some parts of a message, and gets the others.
func partialMessages(nodes int, r *rand.Rand) *scenario {
	const topic, group = "a-subnet", 77
	s := &scenario{name: "partial-messages", nodes: nodes, groups: 1, script: append(begin(nodes), mesh(nodes, r)...)}
	s.script = append(s.script, of("subscribeToTopic", "topicID", topic, "partial", true), until(meshTime))
	for i := range nodes {
		// Together they have all.
		parts := r.IntN(256) | 1<<(i%part)
		s.script = append(s.script, only(i, of("addPartialMessage", "topicID", topic, "groupID", group, "parts", parts)))
	}
	for i := nodes; i < part; i++ {
		s.script = append(s.script, only(0, of("addPartialMessage", "topicID", topic, "groupID", group, "parts", 1<<i)))
	}
	s.script = append(s.script, of("publishPartial", "topicID", topic, "groupID", group), until(meshTime+2*flushTime))
	return s
}

// partialChain: nodes in a row, and messages whose parts are spread over all.
func partialChain(nodes int) *scenario {
	const topic = "partial-msg-chain"
	s := &scenario{name: "partial-messages-chain", nodes: nodes, groups: messages, script: begin(nodes)}
	for i := range nodes - 1 {
		s.script = append(s.script, only(i, of("connect", "connectTo", []int{i + 1})))
	}
	s.script = append(s.script, of("subscribeToTopic", "topicID", topic, "partial", true), until(meshTime))
	for group := range messages {
		for i := range part {
			s.script = append(s.script, only((group*part+i)%nodes, of("addPartialMessage", "topicID", topic, "groupID", group, "parts", 1<<i)))
		}
	}
	now := meshTime
	for group := range messages {
		now += everyTime
		s.script = append(s.script, until(now), of("publishPartial", "topicID", topic, "groupID", group))
	}
	s.script = append(s.script, until(now+2*flushTime))
	return s
}

// partialFanout: a node that is not in the topic has all parts, and sends them to
// some that are.
func partialFanout(nodes int, r *rand.Rand) *scenario {
	const topic, group = "a-subnet", 9
	// Node 0 is of the second kind: this project's does not publish parts on topics
	// that it is not in.
	s := &scenario{name: "partial-messages-fanout", nodes: nodes, groups: 1, first: 1, script: append(begin(nodes), mesh(nodes, r)...)}
	var to []int
	for i := 1; i < nodes; i++ {
		to = append(to, i)
		s.script = append(s.script, only(i, of("subscribeToTopic", "topicID", topic, "partial", true)))
	}
	s.script = append(s.script, until(meshTime),
		only(0, of("addPartialMessage", "topicID", topic, "groupID", group, "parts", 255)),
		only(0, of("publishPartial", "topicID", topic, "groupID", group, "publishToNodeIDs", to)),
		until(meshTime+2*flushTime))
	return s
}
