// SPDX-License-Identifier: Apache-2.0 OR MIT

package seqno

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/storage/memory"
)

func load(t *testing.T, config string) *Validator {
	return coretest.MustLoad[*Validator](t, "seqno", config)
}

var message = coretest.NewTopicMessage

// numbered is a message of author 1 with a number of any length.
func numbered(seqno []byte) *core.TopicMessage {
	m := message(1, 1, "x")
	m.Seqno = seqno
	return m
}

func TestValidator(t *testing.T) {
	other := message(1, 1, "x")
	other.Topic = "other"
	highest := binary.BigEndian.AppendUint64(nil, 1<<64-1)
	coretest.TestTopicValidator(t, coretest.TopicValidatorOptions{
		New: func(t *testing.T) core.TopicValidator { return load(t, `{}`) },
		Cases: []coretest.TopicCase{
			{Name: "first", Message: message(1, 1, "x"), Want: core.TopicAccept},
			{Name: "zero", Message: message(1, 0, "x"), Want: core.TopicIgnore},
			{Name: "highest", Message: numbered(highest), Want: core.TopicAccept},
			{Name: "next", Before: []*core.TopicMessage{message(1, 1, "x")}, Message: message(1, 2, "x"), Want: core.TopicAccept},
			{Name: "gap", Before: []*core.TopicMessage{message(1, 1, "x")}, Message: message(1, 1000, "x"), Want: core.TopicAccept},
			{Name: "again", Before: []*core.TopicMessage{message(1, 7, "x")}, Message: message(1, 7, "x"), Want: core.TopicIgnore},
			{Name: "other data", Before: []*core.TopicMessage{message(1, 7, "x")}, Message: message(1, 7, "y"), Want: core.TopicIgnore},
			{Name: "older", Before: []*core.TopicMessage{message(1, 7, "x"), message(1, 8, "x")}, Message: message(1, 7, "x"), Want: core.TopicIgnore},
			{Name: "another author", Before: []*core.TopicMessage{message(1, 7, "x")}, Message: message(2, 3, "x"), Want: core.TopicAccept},
			{Name: "another topic", Before: []*core.TopicMessage{message(1, 7, "x")}, Message: other, Want: core.TopicAccept},
			{Name: "no author", Message: message(0, 0, "x"), Want: core.TopicIgnore},
			{Name: "no number", Message: numbered(nil), Want: core.TopicReject},
			{Name: "short number", Message: numbered([]byte{1}), Want: core.TopicReject},
			{Name: "long number", Message: numbered(make([]byte, 9)), Want: core.TopicReject},
		},
	})
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.TopicValidator](t, "seqno", []coretest.Config{
		{Name: "authors", JSON: `{"authors": -1}`, WantErr: "authors: want 1 to 10000000, have -1"},
		{Name: "save", JSON: `{"save": "1ms"}`, WantErr: "save: want 100ms to 1h"},
	})
}

// However many authors there are, only so many are remembered: those who were
// heard of last.
func TestEvil_G8_ManyAuthors(t *testing.T) {
	v := load(t, `{"authors": 10}`)
	ask := func(author, number uint64) core.TopicVerdict {
		return v.ValidateMessage(t.Context(), message(author, number, "x"))
	}
	ask(1, 5)
	for author := range uint64(100) {
		ask(2+author, 5)
		if got := ask(1, 5); got != core.TopicIgnore {
			t.Fatalf("after %d others a replay gets verdict %d", author+1, got)
		}
	}
	if n := len(v.numbers.authors); n != 10 || v.numbers.order.Len() != 10 || len(v.numbers.dirty) > 10 {
		t.Errorf("%d authors are remembered, %d in order, %d to be written", n, v.numbers.order.Len(), len(v.numbers.dirty))
	}
	if got := ask(50, 5); got != core.TopicAccept {
		t.Errorf("one that was forgotten gets verdict %d", got)
	}
}

// What has been seen is known after a restart, and to an instance that takes the
// place of another.
func TestPersistence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 1)[0]
		storage := coretest.MustLoad[core.Storage](t, "memory", `{}`)
		if err := storage.Start(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		defer storage.Close()
		n.SetModules(storage)
		start := func() *Validator {
			v := load(t, `{"save": "10s"}`)
			if err := v.Start(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			return v
		}
		ask := func(v *Validator, number uint64, want core.TopicVerdict) {
			t.Helper()
			if got := v.ValidateMessage(t.Context(), message(1, number, "x")); got != want {
				t.Errorf("number %d: verdict %d, want %d", number, got, want)
			}
		}
		a := start()
		ask(a, 5, core.TopicAccept)
		time.Sleep(11 * time.Second)
		b := start() // while a runs
		ask(b, 5, core.TopicIgnore)
		ask(a, 7, core.TopicAccept)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		ask(b, 7, core.TopicIgnore)
		ask(b, 8, core.TopicAccept)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		c := start()
		defer c.Close()
		ask(c, 8, core.TopicIgnore)
		ask(c, 9, core.TopicAccept)
	})
}

// Whatever is in the storage, it is read without harm.
func FuzzTake(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{3, 1, 2}, make([]byte, 8))
	f.Add([]byte{2, 1, 2, 'a'}, make([]byte, 8))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		n := newNumbers(2)
		n.take(key, value)
		if len(n.authors) > 1 {
			t.Error("one entry makes several authors")
		}
	})
}
