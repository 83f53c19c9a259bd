// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package certseed gives a node the same secret each time it starts, from which
// a transport derives a TLS key whose certificate others know by its hash.
//
// A module may let the node sign, but never sees its private key. Where the
// key's signatures are always the same for the same bytes, the secret is made
// from one over a text that nothing else signs. Where they are not, the secret
// is random and kept in a file.
package certseed

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/secretfile"
)

// Size is how long a seed is, in bytes.
const Size = 32

// prefix comes before the label in what is signed, so that the signature is
// good for nothing else.
const prefix = "xnode certificate seed:"

// Seed returns the seed of label, such as "webrtc-direct". It is the same for
// the same identity and label; other labels get other seeds. For identities
// whose signatures vary (ECDSA, secp256k1) it is kept in dir, which is made if
// it is missing, in a file that only the user can read; one that others can read
// or change is refused.
func Seed(identity core.Identity, label, dir string) ([Size]byte, error) {
	var seed [Size]byte
	var err error
	switch identity.PublicKey().Type() {
	case peer.Ed25519, peer.RSA:
		seed, err = signed(identity, label)
	default:
		seed, err = kept(filepath.Join(dir, fmt.Sprintf("%s-%s.seed", label, identity.ID())))
	}
	if err != nil {
		return seed, fmt.Errorf("certificate seed of %s: %w", label, err)
	}
	return seed, nil
}

func signed(identity core.Identity, label string) (seed [Size]byte, err error) {
	signature, err := identity.Sign([]byte(prefix + label))
	if err != nil {
		return seed, err
	}
	derived, err := hkdf.Key(sha256.New, signature, nil, prefix+label, Size)
	return [Size]byte(derived), err
}

// kept reads the seed in the file at path, or makes the file. If two do that at
// once, both return what one of them has written.
func kept(path string) (seed [Size]byte, err error) {
	b, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		fresh := make([]byte, Size)
		_, _ = rand.Read(fresh) // it cannot fail
		if err := secretfile.Create(path, fresh); err != nil && !errors.Is(err, fs.ErrExist) {
			return seed, err
		}
		b, err = read(path)
	}
	switch {
	case err != nil:
		return seed, err
	case len(b) != Size:
		return seed, fmt.Errorf("%s: %d bytes, not %d; delete it to get a new one", path, len(b), Size)
	}
	return [Size]byte(b), nil
}

func read(path string) ([]byte, error) {
	return secretfile.Read(path, secretfile.Options{Limit: Size, Link: true})
}
