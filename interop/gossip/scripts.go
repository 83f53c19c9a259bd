// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
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

// writeScripts writes scripts like those of the suite's scenarios to a folder.
func writeScripts(dir string, nodes int) (files []string, err error) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, s := range []struct {
		name   string
		script []step
	}{
		{"subnet-blob-msg", subnetBlob(nodes, r)},
		{"simple-fanout", simpleFanout(nodes, r)},
		{"partial-messages", partialMessages(nodes, r)},
		{"partial-messages-chain", partialChain(nodes / 2)},
		{"partial-messages-fanout", partialFanout(nodes, r)},
	} {
		text, err := json.Marshal(map[string]any{"script": s.script})
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, s.name+".json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
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

// publish publishes by nodes and on topics of chance.
func publish(nodes int, r *rand.Rand, size int, topics ...string) []step {
	now := meshTime
	list := []step{until(now)}
	for i := range messages {
		from, topic := r.IntN(nodes), topics[r.IntN(len(topics))]
		now += everyTime
		list = append(list, only(from, of("publish", "messageID", i, "messageSizeBytes", size, "topicID", topic)), until(now))
	}
	return append(list, until(now+flushTime))
}

// subnetBlob: large messages, which take time to be checked, on one topic.
func subnetBlob(nodes int, r *rand.Rand) []step {
	const topic = "a-subnet"
	list := append(begin(nodes), of("setTopicValidationDelay", "topicID", topic, "delaySeconds", blobDelay))
	list = append(list, mesh(nodes, r)...)
	list = append(list, of("subscribeToTopic", "topicID", topic, "partial", false))
	return append(list, publish(nodes, r, blobBytes, topic)...)
}

// simpleFanout: half of the nodes are in one topic, the others in another one, and
// all publish on both.
func simpleFanout(nodes int, r *rand.Rand) []step {
	topics := []string{"topic-a", "topic-b"}
	list := append(begin(nodes), mesh(nodes, r)...)
	for i := range nodes {
		// Both kinds of node are in both topics.
		list = append(list, only(i, of("subscribeToTopic", "topicID", topics[i/2%2])))
	}
	return append(list, publish(nodes, r, smallBytes, topics...)...)
}

// partialMessages: every node has some parts of a message, and gets the others.
func partialMessages(nodes int, r *rand.Rand) []step {
	const topic, group = "a-subnet", 77
	list := append(begin(nodes), mesh(nodes, r)...)
	list = append(list, of("subscribeToTopic", "topicID", topic, "partial", true), until(meshTime))
	for i := range nodes {
		// Together they have all.
		parts := r.IntN(256) | 1<<(i%part)
		list = append(list, only(i, of("addPartialMessage", "topicID", topic, "groupID", group, "parts", parts)))
	}
	for i := nodes; i < part; i++ {
		list = append(list, only(0, of("addPartialMessage", "topicID", topic, "groupID", group, "parts", 1<<i)))
	}
	return append(list, of("publishPartial", "topicID", topic, "groupID", group), until(meshTime+2*flushTime))
}

// partialChain: nodes in a row, and messages whose parts are spread over all.
func partialChain(nodes int) []step {
	const topic = "partial-msg-chain"
	list := begin(nodes)
	for i := range nodes - 1 {
		list = append(list, only(i, of("connect", "connectTo", []int{i + 1})))
	}
	list = append(list, of("subscribeToTopic", "topicID", topic, "partial", true), until(meshTime))
	for group := range messages {
		for i := range part {
			list = append(list, only((group*part+i)%nodes, of("addPartialMessage", "topicID", topic, "groupID", group, "parts", 1<<i)))
		}
	}
	now := meshTime
	for group := range messages {
		now += everyTime
		list = append(list, until(now), of("publishPartial", "topicID", topic, "groupID", group))
	}
	return append(list, until(now+2*flushTime))
}

// partialFanout: a node that is not in the topic has all parts, and sends them to
// some that are.
func partialFanout(nodes int, r *rand.Rand) []step {
	const topic, group = "a-subnet", 9
	list := append(begin(nodes), mesh(nodes, r)...)
	for i := 1; i < nodes; i++ {
		list = append(list, only(i, of("subscribeToTopic", "topicID", topic, "partial", true)))
	}
	return append(list, until(meshTime),
		only(0, of("addPartialMessage", "topicID", topic, "groupID", group, "parts", allParts)),
		only(0, of("publishPartial", "topicID", topic, "groupID", group, "publishToNodeIDs", fanout(nodes))),
		until(meshTime+2*flushTime))
}

// fanout are the nodes that the first one publishes to.
func fanout(nodes int) (to []int) {
	for i := 1; i < min(nodes, 8); i++ {
		to = append(to, i)
	}
	return to
}
