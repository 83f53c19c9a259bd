// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
)

// makeNetworkKey leaves a new key of a private network in a file. forget
// removes it.
func makeNetworkKey() (path string, forget func() error, err error) {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		return "", nil, err
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	path = filepath.Join(dir, "swarm.key")
	err = os.WriteFile(path, fmt.Appendf(nil, "/key/swarm/psk/1.0.0/\n/base16/\n%x\n", key), 0o600)
	return path, func() error { return os.RemoveAll(dir) }, err
}
