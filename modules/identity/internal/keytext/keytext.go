// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package keytext reads private keys in the forms in which operators keep them.
package keytext

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/xnode-p2p/xnode/core/peer"
)

// MaxSize is the most that a key takes in any form, in bytes. An RSA key of
// 8192 bits in base64 takes half of it.
const MaxSize = 16 << 10

var (
	// ErrEmpty says that there is nothing where a key should be.
	ErrEmpty = errors.New("empty")
	// ErrPEM says that the key is in a form that other programs use.
	ErrPEM = errors.New("a key in PEM, want the libp2p form (a protobuf message, or base64 of it)")
)

// Decode reads a private key: the PrivateKey message of
// https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md as bytes, or
// base64 of it, with or without padding, spaces around it and line breaks. Errors
// never contain parts of the key.
func Decode(b []byte) (peer.PrivateKey, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%d bytes, limit %d: %w", len(b), MaxSize, peer.ErrInvalidKey)
	}
	text := bytes.TrimSpace(b)
	if len(text) == 0 {
		return nil, ErrEmpty
	}
	if bytes.HasPrefix(text, []byte("-----BEGIN")) {
		return nil, ErrPEM
	}
	key, err := peer.UnmarshalPrivateKey(b)
	if err == nil {
		return key, nil
	}
	text = bytes.TrimRight(text, "=")
	message := make([]byte, base64.RawStdEncoding.DecodedLen(len(text)))
	n, notBase64 := base64.RawStdEncoding.Decode(message, text)
	if notBase64 != nil {
		return nil, err
	}
	return peer.UnmarshalPrivateKey(message[:n])
}

// Encode returns the key in base64, in one line without its end.
func Encode(key peer.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(peer.MarshalPrivateKey(key))
}
