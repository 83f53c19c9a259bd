// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/wire"
)

// The numbers of the fields of NoiseHandshakePayload and NoiseExtensions.
const (
	fieldIdentity   = 1
	fieldSignature  = 2
	fieldExtensions = 4

	fieldCertHashes = 1
	fieldMuxers     = 2
)

// What a remote may put into the extensions.
const (
	maxCertHashes = 32
	maxMuxers     = 32
	maxExtension  = 128 // bytes of one muxer or certificate hash
)

// payload is a decoded NoiseHandshakePayload. Identity and signature are parts
// of the bytes that were decoded.
type payload struct {
	identity, signature []byte
	certHashes          [][]byte
	muxers              []string
}

// decodePayload decodes what a remote sent with its static key. Unknown fields
// are skipped, of a field that stands twice the last counts.
func decodePayload(b []byte) (payload, error) {
	var p payload
	hashes, muxers := wire.Quota(maxCertHashes), wire.Quota(maxMuxers)
	for f, err := range wire.Fields(b) {
		if err != nil {
			return payload{}, fmt.Errorf("payload: %w", err)
		}
		switch f.Num {
		case fieldIdentity:
			p.identity, err = f.Bytes()
		case fieldSignature:
			p.signature, err = f.Bytes()
		case fieldExtensions:
			var inner []byte
			if inner, err = f.Bytes(); err == nil {
				err = p.decodeExtensions(inner, &hashes, &muxers)
			}
		}
		if err != nil {
			return payload{}, fmt.Errorf("payload: %w", err)
		}
	}
	return p, nil
}

func (p *payload) decodeExtensions(b []byte, hashes, muxers *wire.Quota) error {
	for f, err := range wire.Fields(b) {
		if err != nil {
			return fmt.Errorf("extensions: %w", err)
		}
		switch f.Num {
		case fieldCertHashes:
			var hash []byte
			if hash, err = extension(f, hashes); err == nil {
				p.certHashes = append(p.certHashes, append([]byte(nil), hash...))
			}
		case fieldMuxers:
			var name []byte
			if name, err = extension(f, muxers); err == nil {
				p.muxers = append(p.muxers, string(name))
			}
		}
		if err != nil {
			return fmt.Errorf("extensions: field %d: %w", f.Num, err)
		}
	}
	return nil
}

// extension returns one element of a repeated field.
func extension(f wire.Field, left *wire.Quota) ([]byte, error) {
	if err := left.Take(); err != nil {
		return nil, err
	}
	b, err := f.Bytes()
	if err == nil && len(b) > maxExtension {
		err = fmt.Errorf("%d bytes, limit %d: %w", len(b), maxExtension, wire.ErrTooLarge)
	}
	return b, err
}

// appendIdentity encodes the first two fields of the payload.
func appendIdentity(b, identity, signature []byte) []byte {
	b = protowire.AppendTag(b, fieldIdentity, protowire.BytesType)
	b = protowire.AppendBytes(b, identity)
	b = protowire.AppendTag(b, fieldSignature, protowire.BytesType)
	return protowire.AppendBytes(b, signature)
}

// appendExtensions encodes the extensions; without any it adds nothing.
func appendExtensions(b []byte, certHashes [][]byte, muxers []string) []byte {
	var inner []byte
	for _, hash := range certHashes {
		inner = protowire.AppendTag(inner, fieldCertHashes, protowire.BytesType)
		inner = protowire.AppendBytes(inner, hash)
	}
	for _, m := range muxers {
		inner = protowire.AppendTag(inner, fieldMuxers, protowire.BytesType)
		inner = protowire.AppendString(inner, m)
	}
	if len(inner) == 0 {
		return b
	}
	b = protowire.AppendTag(b, fieldExtensions, protowire.BytesType)
	return protowire.AppendBytes(b, inner)
}
