// SPDX-License-Identifier: Apache-2.0 OR MIT

package ipns

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

// MaxSize bounds an encoded record, in bytes.
const MaxSize = 10 << 10

// signaturePrefix is in front of the document when it is signed.
const signaturePrefix = "ipns-signature:"

// validityEOL is the one type of validity: there is an end.
const validityEOL = 0

// Record is what the holder of a key says that the name of the key stands for.
type Record struct {
	// Value is a path, such as /ipfs/CID or /ipns/NAME.
	Value []byte
	// Validity is when the record ends.
	Validity time.Time
	// Sequence orders the records of a name: the greatest is the newest.
	Sequence uint64
	// TTL is how long the record need not be looked up again.
	TTL time.Duration
}

// Numbers of the fields of the IpnsEntry message. All but the last three are of
// the first version of the format.
const (
	entryValue        protowire.Number = 1
	entrySignatureV1  protowire.Number = 2
	entryValidityType protowire.Number = 3
	entryValidity     protowire.Number = 4
	entrySequence     protowire.Number = 5
	entryTTL          protowire.Number = 6
	entryPublicKey    protowire.Number = 7
	entrySignatureV2  protowire.Number = 8
	entryData         protowire.Number = 9
)

// fields are those of the message, or of the document within it.
type fields struct {
	value, validity             []byte
	validityType, sequence, ttl uint64
}

// entry is a record as it is encoded.
type entry struct {
	old                       fields
	signatureV1, signatureV2  []byte
	publicKey, data           []byte
	document                  fields
	hasValidityType, hasValue bool // in the document
}

// decode reads a record. Whether it is signed is not looked at.
func decode(b []byte) (*entry, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%d bytes, limit %d: %w", len(b), MaxSize, wire.ErrTooLarge)
	}
	e := new(entry)
	if err := e.readMessage(b); err != nil {
		return nil, fmt.Errorf("%w: %w", record.ErrInvalid, err)
	}
	if len(e.signatureV2) == 0 || len(e.data) == 0 {
		return nil, fmt.Errorf("without document or signature: %w", record.ErrInvalid)
	}
	if err := readMap(e.data, e.readDocument); err != nil {
		return nil, fmt.Errorf("document: %w: %w", record.ErrInvalid, err)
	}
	if !e.hasValue || !e.hasValidityType || e.document.validityType != validityEOL {
		return nil, fmt.Errorf("document without value, or without an end: %w", record.ErrInvalid)
	}
	return e, nil
}

func (e *entry) readMessage(b []byte) error {
	var seen uint // a bit for each field
	for f, err := range wire.Fields(b) {
		if err == nil && f.Num <= entryData {
			if seen&(1<<f.Num) != 0 {
				err = fmt.Errorf("field %d twice", f.Num)
			}
			seen |= 1 << f.Num
		}
		if err != nil {
			return err
		}
		switch f.Num {
		case entryValue:
			e.old.value, err = f.Bytes()
		case entrySignatureV1:
			e.signatureV1, err = f.Bytes()
		case entryValidityType:
			e.old.validityType, err = f.Uint64()
		case entryValidity:
			e.old.validity, err = f.Bytes()
		case entrySequence:
			e.old.sequence, err = f.Uint64()
		case entryTTL:
			e.old.ttl, err = f.Uint64()
		case entryPublicKey:
			e.publicKey, err = f.Bytes()
		case entrySignatureV2:
			e.signatureV2, err = f.Bytes()
		case entryData:
			e.data, err = f.Bytes()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readDocument takes one entry of the document. Those that it does not know are
// for others.
func (e *entry) readDocument(key string, value item) error {
	want := byte(cborUint)
	switch d := &e.document; key {
	case "Value":
		d.value, want, e.hasValue = value.data, cborBytes, true
	case "Validity":
		d.validity, want = value.data, cborBytes
	case "ValidityType":
		d.validityType, e.hasValidityType = value.arg, true
	case "Sequence":
		d.sequence = value.arg
	case "TTL":
		d.ttl = value.arg
	default:
		return nil
	}
	if value.major != want {
		return fmt.Errorf("%s of CBOR's type %d: %w", key, value.major, errCBOR)
	}
	return nil
}

// agrees tells whether the message says what the document says, if it has to.
func (e *entry) agrees() bool {
	if len(e.signatureV1) == 0 && len(e.old.value) == 0 {
		return true
	}
	return bytes.Equal(e.old.value, e.document.value) && bytes.Equal(e.old.validity, e.document.validity) &&
		e.old.validityType == e.document.validityType && e.old.sequence == e.document.sequence && e.old.ttl == e.document.ttl
}

// record returns what the document says.
func (e *entry) record() (*Record, error) {
	end, err := time.Parse(time.RFC3339Nano, string(e.document.validity))
	if err != nil {
		return nil, fmt.Errorf("end %q: %w", wire.Text(string(e.document.validity), 64), record.ErrInvalid)
	}
	return &Record{
		Value:    e.document.value,
		Validity: end,
		Sequence: e.document.sequence,
		TTL:      time.Duration(min(e.document.ttl, math.MaxInt64)),
	}, nil
}

// key returns the public key that a record of a name has to be signed with.
func (e *entry) key(name peer.ID) (peer.PublicKey, error) {
	if len(e.publicKey) == 0 {
		public, err := name.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("neither name nor record has the public key: %w: %w", record.ErrInvalid, err)
		}
		return public, nil
	}
	public, err := peer.UnmarshalPublicKey(e.publicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", record.ErrInvalid, err)
	}
	if !name.Matches(public) {
		return nil, fmt.Errorf("with the key of %s: %w", peer.FromPublicKey(public).CID(), record.ErrWrongPeer)
	}
	return public, nil
}

// Open decodes a record that must be of a name, and verifies its signature. It
// does not look at the time: the record may have ended. Errors are those of
// package record, and [wire.ErrTooLarge].
func Open(name peer.ID, b []byte) (*Record, error) {
	e, err := decode(b)
	if err != nil {
		return nil, err
	}
	public, err := e.key(name)
	if err != nil {
		return nil, err
	}
	if !public.Verify(signed(e.data), e.signatureV2) {
		return nil, record.ErrSignature
	}
	if !e.agrees() {
		return nil, fmt.Errorf("what is signed and what is not differ: %w", record.ErrInvalid)
	}
	return e.record()
}

// signed is what the signature is made over.
func signed(document []byte) []byte {
	return append([]byte(signaturePrefix), document...)
}

// Seal makes a record of the name that is the signer's, and signs it. It is in
// the second version of the format alone, which all who check records since
// 2021 take.
func Seal(s record.Signer, r Record) ([]byte, error) {
	if r.TTL < 0 || r.Validity.IsZero() {
		return nil, errors.New("seal record: a record has an end, and no TTL below zero")
	}
	document := appendHead(nil, cborMap, 5)
	field := func(key string) { document = appendString(document, cborText, key) }
	field("TTL")
	document = appendHead(document, cborUint, uint64(r.TTL))
	field("Value")
	document = appendString(document, cborBytes, r.Value)
	field("Sequence")
	document = appendHead(document, cborUint, r.Sequence)
	field("Validity")
	document = appendString(document, cborBytes, r.Validity.UTC().Format(time.RFC3339Nano))
	field("ValidityType")
	document = appendHead(document, cborUint, validityEOL)
	signature, err := s.Sign(signed(document))
	if err != nil {
		return nil, fmt.Errorf("seal record: %w", err)
	}
	var b []byte
	add := func(num protowire.Number, v []byte) {
		b = protowire.AppendTag(b, num, protowire.BytesType)
		b = protowire.AppendBytes(b, v)
	}
	if _, err := peer.FromPublicKey(s.PublicKey()).PublicKey(); err != nil {
		add(entryPublicKey, peer.MarshalPublicKey(s.PublicKey()))
	}
	add(entrySignatureV2, signature)
	add(entryData, document)
	if len(b) > MaxSize {
		return nil, fmt.Errorf("seal record: %d bytes, limit %d: %w", len(b), MaxSize, wire.ErrTooLarge)
	}
	return b, nil
}
