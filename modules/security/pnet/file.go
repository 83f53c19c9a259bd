// SPDX-License-Identifier: Apache-2.0 OR MIT

package pnet

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/xnode-p2p/xnode/core/secretfile"
)

// readKey reads the key in the file at path. It refuses a file that is a
// symbolic link, belongs to another user or can be read by others, unless
// allowReadable is true, and in any case one that others can write to.
func readKey(path string, allowReadable bool) (secret, error) {
	b, err := secretfile.Read(path, secretfile.Options{Limit: maxKeyFile, Readable: allowReadable, Link: allowReadable})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file: copy the one of another member of the network there: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	key, err := parseKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
