// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/wire"
)

// The bounds of messages, in bytes.
const (
	maxRequest = 64 << 10
	maxAnswer  = 1 << 20 // what other implementations read at most
	maxRecord  = 4 << 10 // a signed peer record
	maxCookie  = 512
	// maxRegistrations bounds those of one answer.
	maxRegistrations = 1000
)

// kind is the type of a message.
type kind uint64

// The types of messages.
const (
	register kind = iota
	registerResponse
	unregister
	discover
	discoverResponse
)

// status is how a request went.
type status uint64

// The statuses.
const (
	ok               status = 0
	invalidNamespace status = 100
	invalidRecord    status = 101
	invalidTTL       status = 102
	invalidCookie    status = 103
	notAuthorized    status = 200
	internalError    status = 300
	unavailable      status = 400
)

// String returns the status's name in the specification.
func (s status) String() string {
	switch s {
	case ok:
		return "OK"
	case invalidNamespace:
		return "E_INVALID_NAMESPACE"
	case invalidRecord:
		return "E_INVALID_SIGNED_PEER_RECORD"
	case invalidTTL:
		return "E_INVALID_TTL"
	case invalidCookie:
		return "E_INVALID_COOKIE"
	case notAuthorized:
		return "E_NOT_AUTHORIZED"
	case internalError:
		return "E_INTERNAL_ERROR"
	case unavailable:
		return "E_UNAVAILABLE"
	}
	return fmt.Sprintf("status %d", uint64(s))
}

// message is any message. Of optional fields only those count that its kind has.
type message struct {
	kind      kind
	namespace *string // of a registration, its end, and a search
	record    []byte
	ttl       *uint64 // seconds
	status    status
	text      string
	limit     *uint64
	cookie    []byte
	found     []registration
}

// registration is one of the results of a search.
type registration struct {
	namespace string
	record    []byte
	ttl       uint64 // seconds that are left
}

// The numbers of the fields: of Message the type and then one for each kind, in
// their order; of the others as their names say.
const (
	fieldType = 1

	registerNamespace, registerRecord, registerTTL              = 1, 2, 3
	answerStatus, answerText, answerTTL                         = 1, 2, 3
	unregisterNamespace                                         = 1
	discoverNamespace, discoverLimit, discoverCookie            = 1, 2, 3
	foundRegistrations, foundCookie, foundStatus, foundTextNote = 1, 2, 3, 4
)

// marshal returns the bytes of a message, its fields in ascending order.
func (m *message) marshal() []byte {
	var body []byte
	switch m.kind {
	case register:
		body = appendRegister(nil, m.namespace, m.record, m.ttl)
	case registerResponse:
		body = appendVarint(nil, answerStatus, uint64(m.status))
		body = appendText(body, answerText, m.text)
		if m.ttl != nil {
			body = appendVarint(body, answerTTL, *m.ttl)
		}
	case unregister:
		body = appendNamespace(nil, unregisterNamespace, m.namespace)
	case discover:
		body = appendNamespace(nil, discoverNamespace, m.namespace)
		if m.limit != nil {
			body = appendVarint(body, discoverLimit, *m.limit)
		}
		if m.cookie != nil {
			body = appendBytes(body, discoverCookie, m.cookie)
		}
	case discoverResponse:
		for _, r := range m.found {
			body = appendBytes(body, foundRegistrations, appendRegister(nil, &r.namespace, r.record, &r.ttl))
		}
		if m.cookie != nil {
			body = appendBytes(body, foundCookie, m.cookie)
		}
		body = appendVarint(body, foundStatus, uint64(m.status))
		body = appendText(body, foundTextNote, m.text)
	}
	b := appendVarint(nil, fieldType, uint64(m.kind))
	return appendBytes(b, protowire.Number(m.kind)+2, body)
}

func appendRegister(b []byte, namespace *string, record []byte, ttl *uint64) []byte {
	b = appendNamespace(b, registerNamespace, namespace)
	b = appendBytes(b, registerRecord, record)
	if ttl != nil {
		b = appendVarint(b, registerTTL, *ttl)
	}
	return b
}

func appendNamespace(b []byte, num protowire.Number, namespace *string) []byte {
	if namespace == nil {
		return b
	}
	return appendBytes(b, num, []byte(*namespace))
}

func appendText(b []byte, num protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return appendBytes(b, num, []byte(text))
}

func appendBytes(b []byte, num protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), value)
}

func appendVarint(b []byte, num protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), value)
}

// unmarshal reads a message. The last of a repeated field counts, unknown ones
// are left out. Without a type it is a registration, whose type is zero: py-libp2p
// does not write zeros.
func unmarshal(b []byte) (*message, error) {
	m := new(message)
	bodies := make(map[kind][]byte) // bounded: one for each kind
	for f, err := range wire.Fields(b) {
		if err != nil {
			return nil, err
		}
		switch {
		case f.Num == fieldType:
			v, err := f.Uint64()
			if err != nil {
				return nil, err
			}
			m.kind = kind(v)
		case f.Num <= protowire.Number(discoverResponse)+2:
			v, err := f.Bytes()
			if err != nil {
				return nil, err
			}
			bodies[kind(f.Num-2)] = v
		}
	}
	if m.kind > discoverResponse {
		return nil, fmt.Errorf("message of no known type: %w", wire.ErrProtobuf)
	}
	body, has := bodies[m.kind]
	if !has {
		return nil, fmt.Errorf("message of type %d without its part: %w", m.kind, wire.ErrProtobuf)
	}
	if err := m.unmarshalBody(body); err != nil {
		return nil, fmt.Errorf("message of type %d: %w", m.kind, err)
	}
	return m, nil
}

func (m *message) unmarshalBody(b []byte) error {
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		if err := m.take(f); err != nil {
			return err
		}
	}
	return nil
}

// take reads a field of the part that belongs to the message's kind.
func (m *message) take(f wire.Field) error {
	switch m.kind {
	case register:
		return m.takeRegister(f)
	case registerResponse:
		switch f.Num {
		case answerStatus:
			return number(f, (*uint64)(&m.status))
		case answerText:
			return note(f, &m.text)
		case answerTTL:
			m.ttl = new(uint64)
			return number(f, m.ttl)
		}
	case unregister:
		if f.Num == unregisterNamespace {
			return text(f, &m.namespace)
		}
	case discover:
		switch f.Num {
		case discoverNamespace:
			return text(f, &m.namespace)
		case discoverLimit:
			m.limit = new(uint64)
			return number(f, m.limit)
		case discoverCookie:
			return data(f, &m.cookie)
		}
	case discoverResponse:
		switch f.Num {
		case foundRegistrations:
			return m.takeFound(f)
		case foundCookie:
			return data(f, &m.cookie)
		case foundStatus:
			return number(f, (*uint64)(&m.status))
		case foundTextNote:
			return note(f, &m.text)
		}
	}
	return nil
}

func (m *message) takeRegister(f wire.Field) error {
	switch f.Num {
	case registerNamespace:
		return text(f, &m.namespace)
	case registerRecord:
		return data(f, &m.record)
	case registerTTL:
		m.ttl = new(uint64)
		return number(f, m.ttl)
	}
	return nil
}

func (m *message) takeFound(f wire.Field) error {
	b, err := f.Bytes()
	if err != nil {
		return err
	}
	if len(m.found) == maxRegistrations {
		return fmt.Errorf("registrations: %w", wire.ErrTooMany)
	}
	one := message{kind: register}
	if err := one.unmarshalBody(b); err != nil {
		return err
	}
	r := registration{record: one.record}
	if one.namespace != nil {
		r.namespace = *one.namespace
	}
	if one.ttl != nil {
		r.ttl = *one.ttl
	}
	m.found = append(m.found, r)
	return nil
}

func number(f wire.Field, into *uint64) (err error) {
	*into, err = f.Uint64()
	return err
}

func data(f wire.Field, into *[]byte) (err error) {
	*into, err = f.Bytes()
	return err
}

func text(f wire.Field, into **string) error {
	b, err := f.Bytes()
	if err != nil {
		return err
	}
	s := string(b)
	*into = &s
	return nil
}

// note reads text that is for people.
func note(f wire.Field, into *string) error {
	b, err := f.Bytes()
	if err != nil {
		return err
	}
	*into = wire.Text(string(b[:min(len(b), 256)]), 256)
	return nil
}
