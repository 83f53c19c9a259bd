// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core"
)

// TopicValidatorOptions describe the validator that [TestTopicValidator] tests.
type TopicValidatorOptions struct {
	// New makes another instance each time.
	New func(*testing.T) core.TopicValidator
	// Cases are messages and what is to become of them. Each is for an
	// instance of its own.
	Cases []TopicCase
}

// TopicCase is a message, or several that come one after the other.
type TopicCase struct {
	Name string
	// Before are messages that are accepted first.
	Before  []*core.TopicMessage
	Message *core.TopicMessage
	Want    core.TopicVerdict
}

// NewTopicMessage is a message on the topic "news" that the node of
// [NewIdentity] number author has signed, with a number; author 0 means none,
// and then there is no number.
func NewTopicMessage(author, number uint64, data string) *core.TopicMessage {
	m := &core.TopicMessage{Topic: "news", Data: []byte(data), ReceivedFrom: NewIdentity(99).ID()}
	if author > 0 {
		m.From = NewIdentity(author).ID()
		m.Seqno = binary.BigEndian.AppendUint64(nil, number)
	}
	m.ID = string(m.From) + string(m.Seqno)
	return m
}

// TestTopicValidator tests what every validator of messages must do: that it
// says what is expected of it, that no message makes it panic, wait for something
// that does not end with the context, or change the message, and that it may be
// asked from many goroutines. One that is a service has [TestLifecycle] too.
func TestTopicValidator(t *testing.T, options TopicValidatorOptions) {
	v := &topicValidatorSuite{options}
	t.Run("Service", func(t *testing.T) {
		if _, ok := options.New(t).(core.Service); !ok {
			t.Skip("runs nothing")
		}
		TestLifecycle(t, func(t *testing.T) core.Service { return options.New(t).(core.Service) })
	})
	for _, c := range options.Cases {
		t.Run(c.Name, func(t *testing.T) { v.testCase(t, &c) })
	}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"AnyBytes", v.testAnyBytes},
		{"EndsWithContext", v.testEndsWithContext},
		{"Concurrent", v.testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			VerifyNoLeaks(t)
			c.test(t)
		})
	}
}

type topicValidatorSuite struct{ TopicValidatorOptions }

// ask asks and checks what holds for all messages.
func ask(t *testing.T, ctx context.Context, v core.TopicValidator, m *core.TopicMessage) core.TopicVerdict {
	t.Helper()
	before := *m
	before.Data, before.Seqno = slices.Clone(m.Data), slices.Clone(m.Seqno)
	got := v.ValidateMessage(ctx, m)
	if got > core.TopicIgnore {
		t.Errorf("verdict %d is none", got)
	}
	if !reflect.DeepEqual(before, *m) {
		t.Error("the message was changed")
	}
	return got
}

func (s *topicValidatorSuite) testCase(t *testing.T, c *TopicCase) {
	v := s.New(t)
	for i, m := range c.Before {
		if got := ask(t, t.Context(), v, m); got != core.TopicAccept {
			t.Fatalf("message %d: verdict %d, want accept", i, got)
		}
	}
	if got := ask(t, t.Context(), v, c.Message); got != c.Want {
		t.Errorf("verdict %d, want %d", got, c.Want)
	}
}

// strange are messages as peers may make them.
func strange() []*core.TopicMessage {
	id := NewIdentity(1).ID()
	list := []*core.TopicMessage{
		{},
		{Topic: "news", Data: []byte{}, Seqno: []byte{}},
		{Topic: "news", From: id, Seqno: []byte{1}},
		{Topic: "news", From: id, Seqno: make([]byte, 8)},
		{Topic: "news", From: id, Seqno: slices.Repeat([]byte{255}, 8)},
		{Topic: "news", From: id, Seqno: make([]byte, 1000)},
		{Topic: string(make([]byte, 256)), Data: make([]byte, 1<<20), ID: "\xff"},
		{Topic: "news", Data: slices.Repeat([]byte("["), 1<<20), From: id},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := make([]byte, random.IntN(300))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		list = append(list, &core.TopicMessage{Topic: "news", Data: b, Seqno: b[:min(len(b), 8)], From: id, ReceivedFrom: id, ID: string(b)})
	}
	return list
}

func (s *topicValidatorSuite) testAnyBytes(t *testing.T) {
	v := s.New(t)
	for _, m := range strange() {
		ask(t, t.Context(), v, m)
	}
}

// testEndsWithContext does not come to an end with a validator that waits for
// something else.
func (s *topicValidatorSuite) testEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v := s.New(t)
	for _, m := range strange() {
		ask(t, ctx, v, m)
	}
}

func (s *topicValidatorSuite) testConcurrent(t *testing.T) {
	v := s.New(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, c := range s.Cases {
				v.ValidateMessage(t.Context(), c.Message)
			}
			for _, m := range strange() {
				v.ValidateMessage(t.Context(), m)
			}
		})
	}
	wg.Wait()
}
