// SPDX-License-Identifier: Apache-2.0 OR MIT

package file

import (
	"errors"
	"fmt"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/secretfile"
	"github.com/xnode-p2p/xnode/modules/identity/internal/keytext"
)

// Read returns the private key in the file at path. It refuses a file that is a
// symbolic link, belongs to another user or can be read by others, unless
// allowReadable is true, and in any case one that others can write to. If there
// is no file the error is [fs.ErrNotExist].
func Read(path string, allowReadable bool) (peer.PrivateKey, error) {
	b, err := secretfile.Read(path, secretfile.Options{Limit: keytext.MaxSize, Readable: allowReadable, Link: allowReadable})
	if err != nil {
		return nil, err
	}
	key, err := keytext.Decode(b)
	switch {
	case errors.Is(err, keytext.ErrPEM):
		return nil, fmt.Errorf("%s: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: torn or not a key: restore it from a backup, or move it away for a new key and peer ID: %w", path, err)
	}
	return key, nil
}

// Create writes the key to a new file at path, as [secretfile.Create] does.
func Create(path string, key peer.PrivateKey) error {
	return secretfile.Create(path, peer.MarshalPrivateKey(key))
}
