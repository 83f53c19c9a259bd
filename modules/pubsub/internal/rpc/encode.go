// SPDX-License-Identifier: Apache-2.0 OR MIT

package rpc

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Encode sets Raw to the encoding of the fields.
func (m *Message) Encode() {
	b := make([]byte, 0, m.size())
	b = m.AppendSigned(b)
	b = appendOptional(b, messageSignature, m.Signature)
	m.Raw = appendOptional(b, messageKey, m.Key)
}

// AppendSigned appends the part of the encoding that a signature is made over:
// all but the signature and the key.
func (m *Message) AppendSigned(b []byte) []byte {
	b = appendOptional(b, messageFrom, m.From)
	b = appendOptional(b, messageData, m.Data)
	b = appendOptional(b, messageSeqno, m.Seqno)
	if m.HasTopic {
		b = appendString(b, messageTopic, m.Topic)
	}
	return b
}

// size is the length of the encoding.
func (m *Message) size() int {
	n := 0
	for _, v := range [...][]byte{m.From, m.Data, m.Seqno, m.Signature, m.Key} {
		if v != nil {
			n += sizeBytes(len(v))
		}
	}
	if m.HasTopic {
		n += sizeBytes(len(m.Topic))
	}
	return n
}

// sizeBytes is how much a field of n bytes takes whose number is below 16.
func sizeBytes(n int) int { return 1 + protowire.SizeBytes(n) }

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, v)
}

func appendString(b []byte, num protowire.Number, v string) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, v)
}

// appendOptional appends a field unless it is nil.
func appendOptional(b []byte, num protowire.Number, v []byte) []byte {
	if v == nil {
		return b
	}
	return appendBytes(b, num, v)
}

func appendFlag(b []byte, num protowire.Number, v bool) []byte {
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, protowire.EncodeBool(v))
}

// AppendPublish appends a message, as a field of an RPC.
func AppendPublish(b []byte, raw []byte) []byte { return appendBytes(b, rpcPublish, raw) }

// SizePublish is how much [AppendPublish] appends.
func SizePublish(raw []byte) int { return sizeBytes(len(raw)) }

// AppendSubscription appends a subscription, as a field of an RPC.
func AppendSubscription(b []byte, s Subscription) []byte {
	var entry []byte
	entry = appendFlag(entry, subSubscribe, s.Subscribe)
	entry = appendString(entry, subTopic, s.Topic)
	if s.RequestsPartial {
		entry = appendFlag(entry, subRequestsPartial, true)
	}
	if s.SendsPartial {
		entry = appendFlag(entry, subSendsPartial, true)
	}
	return appendBytes(b, rpcSubscriptions, entry)
}

// AppendPartial appends a partial message, as a field of an RPC.
func AppendPartial(b []byte, p *Partial) []byte {
	entry := appendString(nil, partialTopic, p.Topic)
	entry = appendOptional(entry, partialGroup, p.Group)
	entry = appendOptional(entry, partialMessage, p.Message)
	entry = appendOptional(entry, partialMetadata, p.Metadata)
	return appendBytes(b, rpcPartial, entry)
}

// maxEntry is how many bytes of IDs one entry of a control message has at most,
// so that whatever bounds the size of an RPC, many entries can be spread over
// several.
const maxEntry = 4 << 10

// Entries yields the entries of a control message, each encoded as a field of
// it, none much longer than 4 KiB but for a Prune with many peers. They are
// joined by [AppendControl].
func (c *Control) Entries(yield func([]byte) bool) {
	if c.Extensions != nil && !yield(appendBytes(nil, controlExtensions, c.Extensions.encode())) {
		return
	}
	for _, topic := range c.Graft {
		if !yield(appendBytes(nil, controlGraft, appendString(nil, graftTopic, topic))) {
			return
		}
	}
	for i := range c.Prune {
		if !yield(appendBytes(nil, controlPrune, c.Prune[i].encode())) {
			return
		}
	}
	for _, h := range c.IHave {
		head := appendString(nil, ihaveTopic, h.Topic)
		if !entriesOf(controlIHave, head, ihaveIDs, h.IDs, yield) {
			return
		}
	}
	if entriesOf(controlIWant, nil, idsIDs, c.IWant, yield) {
		entriesOf(controlIDontWant, nil, idsIDs, c.IDontWant, yield)
	}
}

// entriesOf yields entries that begin with head and hold ids.
func entriesOf(num protowire.Number, head []byte, id protowire.Number, ids [][]byte, yield func([]byte) bool) bool {
	for len(ids) > 0 {
		n, size := 1, len(head)+sizeBytes(len(ids[0]))
		for n < len(ids) && size+sizeBytes(len(ids[n])) <= maxEntry {
			size += sizeBytes(len(ids[n]))
			n++
		}
		entry := protowire.AppendTag(make([]byte, 0, sizeBytes(size)), num, protowire.BytesType)
		entry = append(protowire.AppendVarint(entry, uint64(size)), head...)
		for _, v := range ids[:n] {
			entry = appendBytes(entry, id, v)
		}
		if !yield(entry) {
			return false
		}
		ids = ids[n:]
	}
	return true
}

func (e *Extensions) encode() []byte {
	b := []byte{}
	if e.PartialMessages {
		b = appendFlag(b, extPartialMessages, true)
	}
	return b
}

func (p *Prune) encode() []byte {
	b := appendString(nil, pruneTopic, p.Topic)
	for _, info := range p.Peers {
		entry := appendBytes(nil, peerID, info.ID)
		entry = appendOptional(entry, peerRecord, info.Record)
		b = appendBytes(b, prunePeers, entry)
	}
	if p.Backoff > 0 {
		b = protowire.AppendTag(b, pruneBackoff, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(p.Backoff/time.Second))
	}
	return b
}

// AppendControl appends a control message of encoded entries, as a field of an
// RPC.
func AppendControl(b []byte, entries ...[]byte) []byte {
	size := 0
	for _, entry := range entries {
		size += len(entry)
	}
	if size == 0 {
		return b
	}
	b = protowire.AppendTag(b, rpcControl, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	for _, entry := range entries {
		b = append(b, entry...)
	}
	return b
}

// SizeControl is how much [AppendControl] appends for entries of size bytes.
func SizeControl(size int) int { return sizeBytes(size) }
