// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package message makes, signs, checks and names the messages of pub/sub
// (https://github.com/libp2p/specs/blob/master/pubsub/README.md).
package message

import (
	"errors"
	"fmt"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// Policy says whether messages have an author and a signature.
type Policy struct {
	// Sign: the node's own messages are signed.
	Sign bool
	// Strict: the messages of others must be like the node's own. Otherwise
	// they may be either, and a signature that is there must be right.
	Strict bool
}

// policies by their names in configurations.
var policies = map[string]Policy{
	"strict_sign":    {Sign: true, Strict: true},
	"strict_no_sign": {Strict: true},
	"lax_sign":       {Sign: true},
	"lax_no_sign":    {},
}

// ParsePolicy finds a policy by its name.
func ParsePolicy(name string) (Policy, error) {
	p, ok := policies[name]
	if !ok {
		return p, fmt.Errorf("%q is no policy; there are strict_sign, strict_no_sign, lax_sign and lax_no_sign", name)
	}
	return p, nil
}

// prefix stands before what is signed.
const prefix = "libp2p-pubsub:"

// What can be wrong with a message.
var (
	ErrNoTopic     = errors.New("no topic")
	ErrNoSignature = errors.New("not signed")
	ErrSigned      = errors.New("has an author, a sequence number, a key or a signature, which the policy forbids")
	ErrAuthor      = errors.New("author is no peer ID")
	ErrSeqno       = errors.New("sequence number is not 8 bytes long")
	ErrKey         = errors.New("no key, or one that is not the author's")
	ErrSignature   = errors.New("signature is wrong")
)

// Reason is what is wrong with a message, in the words of go-libp2p-pubsub's traces.
func Reason(err error) string {
	switch {
	case errors.Is(err, ErrNoSignature):
		return "missing signature"
	case errors.Is(err, ErrSigned):
		return "unexpected auth info"
	case errors.Is(err, ErrSignature), errors.Is(err, ErrKey), errors.Is(err, ErrAuthor):
		return "invalid signature"
	}
	return "validation failed"
}

// Author is who wrote a message; empty if it does not say.
func Author(m *rpc.Message) (peer.ID, error) {
	if len(m.From) == 0 {
		return "", nil
	}
	id, err := peer.FromBytes(m.From)
	if err != nil {
		return "", ErrAuthor
	}
	return id, nil
}

// Check says what is wrong with the form of a message of a peer, before its
// signature is looked at.
func (p Policy) Check(m *rpc.Message) error {
	if !m.HasTopic {
		return ErrNoTopic
	}
	switch {
	case p.Strict && !p.Sign:
		if m.From != nil || m.Seqno != nil || m.Signature != nil || m.Key != nil {
			return ErrSigned
		}
		return nil
	case p.Strict && len(m.Signature) == 0:
		return ErrNoSignature
	case p.Strict && len(m.Seqno) != 8:
		return ErrSeqno
	case p.Strict && len(m.From) == 0:
		return ErrAuthor
	}
	return nil
}

// Verify checks the signature of a message that has passed Check, if the policy
// wants one or the message has one. Its author is remembered.
func (p Policy) Verify(m *rpc.Message, authors *Authors) error {
	if len(m.Signature) == 0 {
		return nil // Check has seen to it where it may not be
	}
	author, err := Author(m)
	if err != nil {
		return err
	}
	signed := append(make([]byte, 0, len(prefix)+len(m.Raw)), prefix...)
	signed = m.AppendSigned(signed)
	right := false
	if len(m.Key) == 0 {
		if right, err = authors.verify(author, signed, m.Signature); err != nil {
			return ErrKey
		}
	} else {
		key, err := peer.UnmarshalPublicKey(m.Key)
		if err != nil || !author.Matches(key) {
			return ErrKey
		}
		right = key.Verify(signed, m.Signature)
	}
	if !right {
		return ErrSignature
	}
	return nil
}

// New makes a message of the node's own. Seqno is not used without a signature.
func (p Policy) New(s record.Signer, topic string, data []byte, seqno [8]byte) (*rpc.Message, error) {
	m := &rpc.Message{Data: data, Topic: topic, HasTopic: true}
	if data == nil {
		m.Data = []byte{}
	}
	if p.Sign {
		id := peer.FromPublicKey(s.PublicKey())
		m.From, m.Seqno = id.Bytes(), seqno[:]
		signature, err := s.Sign(m.AppendSigned([]byte(prefix)))
		if err != nil {
			return nil, fmt.Errorf("sign a message: %w", err)
		}
		m.Signature = signature
		if _, err := id.PublicKey(); err != nil { // the ID does not hold the key
			m.Key = peer.MarshalPublicKey(s.PublicKey())
		}
	}
	m.Encode()
	return m, nil
}
