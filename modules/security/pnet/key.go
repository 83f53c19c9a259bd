// SPDX-License-Identifier: Apache-2.0 OR MIT

package pnet

import (
	"bytes"
	"crypto/sha3"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/salsa20"
)

const (
	// keySize is the length of a key, in bytes.
	keySize = 32
	// maxKeyFile is the longest file that is read, in bytes; the longest that
	// makes sense has 97.
	maxKeyFile = 512
)

// secret returns a key. It is a function so that nothing that prints, compares
// or encodes values by reflection can get at the bytes.
type secret func() *[keySize]byte

// String implements [fmt.Stringer].
func (secret) String() string { return "***" }

func newSecret(key [keySize]byte) secret { return func() *[keySize]byte { return &key } }

// parseKey reads the text of a key's file. Its errors tell nothing of what is
// in the file, which may be a key though it is not in its place.
func parseKey(b []byte) (secret, error) {
	header, b := cutLine(b)
	if string(header) != protocol {
		return nil, fmt.Errorf("the first line is not %s", protocol)
	}
	encoding, b := cutLine(b)
	var decoded []byte
	var err error
	switch string(encoding) {
	case "/base16/":
		decoded, err = hex.DecodeString(string(bytes.TrimSpace(b)))
	case "/base64/":
		decoded, err = base64.StdEncoding.DecodeString(string(bytes.TrimSpace(b)))
	case "/bin/":
		decoded = b
		if len(b) > keySize && len(bytes.TrimRight(b[keySize:], "\r\n")) == 0 {
			decoded = b[:keySize]
		}
	default:
		return nil, errors.New("the second line is not /base16/, /base64/ or /bin/")
	}
	if err != nil {
		// The error itself has a part of the text.
		return nil, fmt.Errorf("what follows %s is not encoded so", encoding)
	}
	if len(decoded) != keySize {
		return nil, fmt.Errorf("the key has %d bytes, want %d", len(decoded), keySize)
	}
	return newSecret([keySize]byte(decoded)), nil
}

// cutLine returns the first line, without its end, and what follows.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest
}

// fingerprint hashes what the key makes of zeros, and so not the key itself.
func fingerprint(key *[keySize]byte) string {
	var b [64]byte
	salsa20.XORKeyStream(b[:], b[:], []byte("finprint"), key)
	return hex.EncodeToString(sha3.SumSHAKE128(b[:], 16))
}
