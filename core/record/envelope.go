// SPDX-License-Identifier: Apache-2.0 OR MIT

package record

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// MaxEnvelope bounds an encoded envelope, in bytes. Identify, the largest
// carrier, allows as much for its whole message.
const MaxEnvelope = 64 << 10

var (
	// ErrInvalid says that bytes are not an envelope or not a record. The text
	// that wraps it tells why.
	ErrInvalid = errors.New("invalid record")

	// ErrSignature says that the signature of an envelope does not fit its
	// key, domain, payload type and payload.
	ErrSignature = errors.New("invalid signature")

	// ErrPayloadType says that an envelope holds something else than asked for.
	ErrPayloadType = errors.New("unexpected payload type")
)

// Signer signs in the name of a peer. The node's identity is one.
type Signer interface {
	PublicKey() peer.PublicKey
	Sign(data []byte) ([]byte, error)
}

// Envelope is a payload signed by a peer, as RFC 0002 defines it. Nothing in it
// may be believed before [Envelope.Verify] returns nil.
type Envelope struct {
	// PublicKey is the key that verifies the signature.
	PublicKey peer.PublicKey
	// PayloadType tells what the payload is; often a multicodec.
	PayloadType []byte
	// Payload is the signed content.
	Payload []byte
	// Signature covers domain, payload type and payload.
	Signature []byte
}

// Seal signs a payload. The domain is a name that separates the uses of a key;
// it is not in the envelope, both sides know it, and it cannot be empty.
func Seal(s Signer, domain string, payloadType, payload []byte) (*Envelope, error) {
	if domain == "" {
		return nil, fmt.Errorf("seal: empty domain: %w", ErrInvalid)
	}
	sig, err := s.Sign(signedBytes(domain, payloadType, payload))
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", domain, err)
	}
	return &Envelope{
		PublicKey:   s.PublicKey(),
		PayloadType: payloadType,
		Payload:     payload,
		Signature:   sig,
	}, nil
}

// signedBytes is what the signature is made over: each part behind its length.
func signedBytes(domain string, payloadType, payload []byte) []byte {
	b := make([]byte, 0, len(domain)+len(payloadType)+len(payload)+3*5)
	b = wire.AppendUvarint(b, uint64(len(domain)))
	b = append(b, domain...)
	b = wire.AppendUvarint(b, uint64(len(payloadType)))
	b = append(b, payloadType...)
	b = wire.AppendUvarint(b, uint64(len(payload)))
	return append(b, payload...)
}

// Numbers of the fields of the Envelope message. There is no 4.
const (
	envelopePublicKey   protowire.Number = 1
	envelopePayloadType protowire.Number = 2
	envelopePayload     protowire.Number = 3
	envelopeSignature   protowire.Number = 5
)

// Marshal returns the envelope as the protobuf message of RFC 0002.
func (e *Envelope) Marshal() []byte {
	key := peer.MarshalPublicKey(e.PublicKey)
	b := make([]byte, 0, len(key)+len(e.PayloadType)+len(e.Payload)+len(e.Signature)+4*6)
	b = appendBytes(b, envelopePublicKey, key)
	b = appendBytes(b, envelopePayloadType, e.PayloadType)
	b = appendBytes(b, envelopePayload, e.Payload)
	return appendBytes(b, envelopeSignature, e.Signature)
}

// appendBytes appends a bytes field, or nothing if it is empty, as proto3 does.
func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, v)
}

// Unmarshal decodes an envelope of at most [MaxEnvelope] bytes. It checks the
// form and the key, not the signature. The parts of the result share memory
// with b.
func Unmarshal(b []byte) (*Envelope, error) {
	if len(b) > MaxEnvelope {
		return nil, fmt.Errorf("envelope of %d bytes, limit %d: %w", len(b), MaxEnvelope, wire.ErrTooLarge)
	}
	var key []byte
	e := new(Envelope)
	for f, err := range wire.Fields(b) {
		if err != nil {
			return nil, fmt.Errorf("envelope: %w: %w", ErrInvalid, err)
		}
		switch f.Num {
		case envelopePublicKey:
			err = setOnce(&key, f)
		case envelopePayloadType:
			err = setOnce(&e.PayloadType, f)
		case envelopePayload:
			err = setOnce(&e.Payload, f)
		case envelopeSignature:
			err = setOnce(&e.Signature, f)
		}
		if err != nil {
			return nil, fmt.Errorf("envelope: %w: %w", ErrInvalid, err)
		}
	}
	var err error
	if e.PublicKey, err = peer.UnmarshalPublicKey(key); err != nil {
		return nil, fmt.Errorf("envelope: %w: %w", ErrInvalid, err)
	}
	if len(e.Signature) == 0 {
		return nil, fmt.Errorf("envelope: no signature: %w", ErrInvalid)
	}
	return e, nil
}

// setOnce stores a bytes field that may not occur twice, so that two readers
// never see two different envelopes in the same bytes.
func setOnce(dst *[]byte, f wire.Field) error {
	v, err := f.Bytes()
	if err != nil {
		return err
	}
	if *dst != nil {
		return fmt.Errorf("field %d twice", f.Num)
	}
	*dst = v
	return nil
}

// Verify checks that the envelope holds a payload of the given type, signed for
// the given domain by the holder of its key. Who that is, is for the caller to
// compare. The errors are [ErrPayloadType] and [ErrSignature].
func (e *Envelope) Verify(domain string, payloadType []byte) error {
	if string(e.PayloadType) != string(payloadType) {
		return fmt.Errorf("envelope: %w %.16x, want %x", ErrPayloadType, e.PayloadType, payloadType)
	}
	if domain == "" || !e.PublicKey.Verify(signedBytes(domain, e.PayloadType, e.Payload), e.Signature) {
		return fmt.Errorf("envelope for %s: %w", domain, ErrSignature)
	}
	return nil
}
