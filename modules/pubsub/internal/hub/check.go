// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
)

// Why messages go no further, in the words of go-libp2p-pubsub's traces.
const (
	reasonFailed    = "validation failed"
	reasonIgnored   = "validation ignored"
	reasonThrottled = "validation throttled"
	reasonSelf      = "self originated message"
)

// checks are what the messages of a topic have to pass.
type checks struct {
	ordered []core.TopicValidator // asked at once
	others  []core.TopicValidator // then, elsewhere
	slots   chan struct{}         // one each message that those are busy with
	timeout time.Duration
}

// none reports whether there is nothing to pass.
func (c *checks) none() bool { return len(c.ordered)+len(c.others) == 0 }

// CheckLimits bound what the modules for checking may take.
type CheckLimits struct {
	// Concurrency is how many messages of a topic they may be busy with.
	Concurrency int
	// Timeout is how long they may take for one.
	Timeout time.Duration
}

// checksOf are those of a topic.
func (h *Hub) checksOf(topic string) checks {
	limits, ok := h.TopicLimits[topic]
	if !ok {
		limits = h.CheckLimits
	}
	c := checks{timeout: limits.Timeout, slots: make(chan struct{}, limits.Concurrency)}
	for _, list := range [...][]core.TopicValidator{h.Checks, h.TopicChecks[topic]} {
		for _, v := range list {
			if _, ok := v.(core.OrderedTopicValidator); ok {
				c.ordered = append(c.ordered, v)
			} else {
				c.others = append(c.others, v)
			}
		}
	}
	return c
}

// check finds out what is to become of a message of a peer, and sees to it.
func (h *Hub) check(c *checks, m *core.TopicMessage, raw []byte) {
	v := core.TopicAccept
	if len(c.ordered) > 0 {
		v = h.askInTime(h.ctx, c.timeout, c.ordered, m)
	}
	if v != core.TopicAccept || len(c.others) == 0 {
		h.decide(m, raw, v)
		return
	}
	if !reserve(h.checking, c.slots) {
		h.step(mesh.Ignored{Peer: m.ReceivedFrom, ID: m.ID, Topic: m.Topic, Throttled: true, Reason: reasonThrottled})
		return
	}
	h.wg.Go(func() {
		defer release(h.checking, c.slots)
		ctx, cancel := context.WithTimeout(h.ctx, c.timeout)
		defer cancel()
		var once sync.Once
		decide := func(v core.TopicVerdict) { once.Do(func() { h.decide(m, raw, v) }) }
		// A module that does not come back keeps its slots; the message does not
		// wait for it.
		defer context.AfterFunc(ctx, func() { decide(core.TopicIgnore) })()
		decide(h.ask(ctx, c.others, m))
	})
}

// reserve takes a slot of each, or none.
func reserve(all ...chan struct{}) bool {
	for i, slots := range all {
		select {
		case slots <- struct{}{}:
		default:
			release(all[:i]...)
			return false
		}
	}
	return true
}

func release(all ...chan struct{}) {
	for _, slots := range all {
		<-slots
	}
}

// checkOwn asks about a message of the node's own.
func (h *Hub) checkOwn(ctx context.Context, m *core.TopicMessage) error {
	if len(h.Checks)+len(h.TopicChecks[m.Topic]) == 0 {
		return nil
	}
	c := h.checksOf(m.Topic)
	if h.askInTime(ctx, c.timeout, append(c.ordered, c.others...), m) == core.TopicAccept {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("topic %q: the topic's validators do not accept the message", wire.Text(m.Topic, 64))
}

func (h *Hub) askInTime(ctx context.Context, timeout time.Duration, list []core.TopicValidator, m *core.TopicMessage) core.TopicVerdict {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return h.ask(ctx, list, m)
}

// ask asks modules for checking, one after the other.
func (h *Hub) ask(ctx context.Context, list []core.TopicValidator, m *core.TopicMessage) (v core.TopicVerdict) {
	defer func() {
		if p := recover(); p != nil {
			h.Log.Error("panic in a module that checks messages", "topic", wire.Text(m.Topic, 64), "panic", fmt.Sprint(p))
			v = core.TopicIgnore
		}
	}()
	for _, c := range list {
		v := c.ValidateMessage(ctx, m)
		if ctx.Err() != nil {
			return core.TopicIgnore
		}
		if v != core.TopicAccept {
			return v
		}
	}
	return core.TopicAccept
}

// decide does what follows from a verdict.
func (h *Hub) decide(m *core.TopicMessage, raw []byte, v core.TopicVerdict) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.decideLocked(m, raw, v)
}

func (h *Hub) decideLocked(m *core.TopicMessage, raw []byte, v core.TopicVerdict) {
	if h.closed {
		return
	}
	switch v {
	case core.TopicAccept:
		h.stepLocked(mesh.Accepted{
			Peer:    m.ReceivedFrom,
			Message: &mesh.Message{ID: m.ID, Topic: m.Topic, Raw: raw, Author: m.From},
		})
		h.hand(m)
	case core.TopicReject:
		h.stepLocked(mesh.Rejected{Peer: m.ReceivedFrom, ID: m.ID, Topic: m.Topic, Reason: reasonFailed})
	default:
		h.stepLocked(mesh.Ignored{Peer: m.ReceivedFrom, ID: m.ID, Topic: m.Topic, Reason: reasonIgnored})
	}
}

// services are the modules for checking that run, each once.
func (h *Hub) services() (list []core.Service) {
	add := func(validators []core.TopicValidator) {
		for _, v := range validators {
			if s, ok := v.(core.Service); ok {
				list = append(list, s)
			}
		}
	}
	add(h.Checks)
	for _, validators := range h.TopicChecks {
		add(validators)
	}
	return list
}
