// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// instruction is one of all types that scripts have: each has some of the fields.
type instruction struct {
	Type           string       `json:"type"`
	ConnectTo      []int        `json:"connectTo"`
	NodeID         int          `json:"nodeID"`
	Instruction    *instruction `json:"instruction"`
	ElapsedSeconds float64      `json:"elapsedSeconds"`
	MessageID      uint64       `json:"messageID"`
	TopicID        string       `json:"topicID"`
	Partial        bool         `json:"partial"`
	Parts          uint8        `json:"parts"`
	GroupID        uint64       `json:"groupID"`
	PublishTo      []int        `json:"publishToNodeIDs"`
}

// outcome is what a script is to come to, by itself: whoever wrote it.
type outcome struct {
	// nodes is how many it is for, and lasts how long they run.
	nodes int
	lasts time.Duration
	// wants are the nodes that each message has to reach, by its ID.
	wants map[string][]int
	// groups are those of parts that a node has to complete, by the node.
	groups map[int][]uint64
}

// allParts is a group of which nothing is missing.
const allParts = 0xff

// group is a group of parts, as it is at the nodes.
type group struct {
	topic string
	id    uint64
}

// follower goes through a script and notes what comes of it.
type follower struct {
	outcome
	subscribed map[string]map[int]bool // by topic, those who are, and whether they want parts
	parts      map[group]map[int]uint8 // by node
	published  map[group]bool
}

// follow finds out what a script comes to. A message reaches all who were in its
// topic when it was published, and all who are in a group's topic complete it, if
// somebody publishes it and together they have all parts.
func follow(text []byte) (outcome, error) {
	var file struct {
		Script []instruction `json:"script"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return outcome{}, err
	}
	f := &follower{
		outcome:    outcome{wants: make(map[string][]int), groups: make(map[int][]uint64)},
		subscribed: make(map[string]map[int]bool), parts: make(map[group]map[int]uint8), published: make(map[group]bool),
	}
	for i := range file.Script {
		f.count(&file.Script[i])
	}
	for i := range file.Script {
		if err := f.do(&file.Script[i], f.all()); err != nil {
			return outcome{}, fmt.Errorf("script/%d: %w", i, err)
		}
	}
	for g, have := range f.parts {
		f.complete(g, have)
	}
	return f.outcome, nil
}

// count sees to it that there is every node that an instruction names.
func (f *follower) count(i *instruction) {
	for ; i != nil; i = i.Instruction {
		for _, id := range slices.Concat([]int{i.NodeID}, i.ConnectTo, i.PublishTo) {
			f.nodes = max(f.nodes, id+1)
		}
	}
}

func (f *follower) all() (nodes []int) {
	for i := range f.nodes {
		nodes = append(nodes, i)
	}
	return nodes
}

// do notes what an instruction leads to that some nodes follow.
func (f *follower) do(i *instruction, nodes []int) error {
	g := group{i.TopicID, i.GroupID}
	switch i.Type {
	case "ifNodeIDEquals":
		if i.Instruction == nil {
			return fmt.Errorf("%s: no instruction", i.Type)
		}
		return f.do(i.Instruction, slices.DeleteFunc(slices.Clone(nodes), func(n int) bool { return n != i.NodeID }))
	case "waitUntil":
		f.lasts = max(f.lasts, time.Duration(i.ElapsedSeconds*float64(time.Second)))
	case "subscribeToTopic":
		for _, n := range nodes {
			put(f.subscribed, i.TopicID, n, i.Partial)
		}
	case "publish":
		id := strconv.FormatUint(i.MessageID, 10)
		for to := range f.subscribed[i.TopicID] {
			if !slices.Contains(nodes, to) && !slices.Contains(f.wants[id], to) {
				f.wants[id] = append(f.wants[id], to)
			}
		}
		slices.Sort(f.wants[id])
	case "addPartialMessage":
		for _, n := range nodes {
			put(f.parts, g, n, f.parts[g][n]|i.Parts)
		}
	case "publishPartial":
		f.published[g] = true
	case "connect", "initGossipSub", "setTopicValidationDelay":
	default:
		return fmt.Errorf("%q: no such instruction", i.Type)
	}
	return nil
}

func put[K comparable, V any](m map[K]map[int]V, key K, node int, v V) {
	if m[key] == nil {
		m[key] = make(map[int]V)
	}
	m[key][node] = v
}

// complete notes who completes a group: whoever has all of it, and who gets what
// is missing.
func (f *follower) complete(g group, have map[int]uint8) {
	var together uint8
	for _, parts := range have {
		together |= parts
	}
	for n := range f.nodes {
		if have[n] == allParts || f.published[g] && together == allParts && f.subscribed[g.topic][n] {
			f.groups[n] = append(f.groups[n], g.id)
		}
	}
}
