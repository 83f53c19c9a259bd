// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/libp2p/go-libp2p/core/crypto"
)

const rsaBits = 2048

// identity returns the private key that --seed, --key or --key-type ask for.
func (o *options) identity() (crypto.PrivKey, error) {
	switch {
	case o.keyFile != "":
		return readIdentity(o.keyFile)
	case o.seed != 0:
		return seededIdentity(o.seed)
	default:
		return randomIdentity(o.keyType)
	}
}

// seededIdentity returns the Ed25519 key whose 32-byte seed is n in little endian, then zeros.
func seededIdentity(n uint64) (crypto.PrivKey, error) {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], n)
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(seed[:]))
	return key, err
}

func randomIdentity(keyType string) (crypto.PrivKey, error) {
	types := map[string]int{"ed25519": crypto.Ed25519, "rsa": crypto.RSA, "secp256k1": crypto.Secp256k1, "ecdsa": crypto.ECDSA}
	typ, ok := types[keyType]
	if !ok {
		return nil, usagef("--key-type %q: want ed25519, rsa, secp256k1 or ecdsa", keyType)
	}
	key, _, err := crypto.GenerateKeyPairWithReader(typ, rsaBits, rand.Reader)
	return key, err
}

// readIdentity reads libp2p's PrivateKey message from a file, plain or in base64.
func readIdentity(path string) (crypto.PrivKey, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := crypto.UnmarshalPrivateKey(raw)
	if err == nil {
		return key, nil
	}
	plain, textErr := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(raw)))
	if textErr != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if key, err = crypto.UnmarshalPrivateKey(plain); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
