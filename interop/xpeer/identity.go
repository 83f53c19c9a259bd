// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/xnode-p2p/xnode/core/peer"
)

// identity returns the private key that --seed, --key or --key-type ask for.
func (o *options) identity() (peer.PrivateKey, error) {
	switch {
	case o.keyFile != "":
		return readIdentity(o.keyFile)
	case o.seed != 0:
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], o.seed)
		return peer.Ed25519FromSeed(seed), nil
	default:
		return randomIdentity(o.keyType)
	}
}

func randomIdentity(keyType string) (peer.PrivateKey, error) {
	t, err := peer.ParseKeyType(keyType)
	if err != nil {
		return nil, usagef("--key-type: %w", err)
	}
	return peer.GenerateKey(t, nil)
}

// readIdentity reads libp2p's PrivateKey message from a file, plain or in base64.
func readIdentity(path string) (peer.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := peer.UnmarshalPrivateKey(raw)
	if err == nil {
		return key, nil
	}
	if plain, textErr := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(raw))); textErr == nil {
		key, err = peer.UnmarshalPrivateKey(plain)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
