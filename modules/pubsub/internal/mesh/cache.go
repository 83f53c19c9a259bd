// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import "github.com/xnode-p2p/xnode/core/peer"

// maxCacheBytes bounds what the cache of messages holds, in bytes of encoded
// messages. The oldest go first.
const maxCacheBytes = 64 << 20

// cache has the messages of the last heartbeats, for those who ask for them.
type cache struct {
	messages map[string]*cached
	windows  [][]*cached // one each heartbeat, the latest first
	gossip   int         // how many of them are gossiped about
	bytes    int
}

type cached struct {
	*Message
	asked map[peer.ID]int // how often each peer has asked for it
}

func newCache(gossip, length int) *cache {
	return &cache{messages: make(map[string]*cached), windows: make([][]*cached, length), gossip: gossip}
}

func (c *cache) put(m *Message) {
	if c.messages[m.ID] != nil {
		return
	}
	entry := &cached{Message: m}
	c.messages[m.ID] = entry
	c.windows[0] = append(c.windows[0], entry)
	c.bytes += len(m.Raw)
	for i := len(c.windows) - 1; c.bytes > maxCacheBytes && i >= 0; {
		if len(c.windows[i]) == 0 {
			i--
			continue
		}
		c.drop(c.windows[i][0])
		c.windows[i] = c.windows[i][1:]
	}
}

func (c *cache) drop(e *cached) {
	delete(c.messages, e.ID)
	c.bytes -= len(e.Raw)
}

// ask returns a message that a peer asks for, unless it did so too often.
func (c *cache) ask(id string, p peer.ID, most int) *Message {
	e := c.messages[id]
	if e == nil {
		return nil
	}
	if e.asked == nil {
		e.asked = make(map[peer.ID]int)
	}
	if e.asked[p] >= most {
		return nil
	}
	e.asked[p]++
	return e.Message
}

// recent are the IDs of the messages that are gossiped about, by topic.
func (c *cache) recent() map[string][][]byte {
	topics := make(map[string][][]byte)
	for _, window := range c.windows[:c.gossip] {
		for _, e := range window {
			topics[e.Topic] = append(topics[e.Topic], []byte(e.ID))
		}
	}
	return topics
}

// shift begins a new heartbeat.
func (c *cache) shift() {
	last := len(c.windows) - 1
	for _, e := range c.windows[last] {
		c.drop(e)
	}
	copy(c.windows[1:], c.windows[:last])
	c.windows[0] = nil
}
