// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package file keeps the node's private key in a file,
// https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md.
//
//	{"identity": {"module": "file", "path": "{xnode.data}/identity.key"}}
//
// A file that does not exist is made when the node first starts. One that
// exists is never written to, whatever is wrong with it. The key is not
// encrypted: the file's permissions protect it.
package file

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func init() { core.Register(new(File), core.Beta) }

// defaultPath is where the key is if the configuration does not say.
const defaultPath = "{xnode.data}/identity.key"

// File is the module.
type File struct {
	// Path of the file. It holds the key in libp2p's protobuf form, or base64
	// of that. Placeholders are replaced. Default: {xnode.data}/identity.key.
	Path string `json:"path,omitempty"`
	// Type is the type of the key that is made if there is none: ed25519,
	// secp256k1, ecdsa or rsa. If it is given, a key of another type in the
	// file is an error. Default: ed25519.
	Type string `json:"type,omitempty" xnode:"one_of=ed25519|secp256k1|ecdsa|rsa"`
	// AllowReadable accepts a file that others can read, that is a symbolic
	// link, or that belongs to another user, as the files of mounted secrets
	// do. Default: false.
	AllowReadable bool `json:"allow_readable,omitempty"`

	path string       // absolute, without placeholders
	kind peer.KeyType // of a new key
	mu   sync.Mutex
	key  peer.PrivateKey
}

// CaddyModule implements [caddy.Module].
func (*File) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "xnode.identity.file",
		New: func() caddy.Module { return new(File) },
	}
}

// Provision implements [caddy.Provisioner]. It does not look at the file.
func (f *File) Provision(caddy.Context) error {
	f.kind = peer.Ed25519
	if f.Type != "" {
		kind, err := peer.ParseKeyType(f.Type)
		if err != nil {
			return fmt.Errorf("type: %w", err)
		}
		f.kind = kind
	}
	path := f.Path
	if path == "" {
		path = defaultPath
	}
	path, err := core.Expand(path)
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if f.path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	return nil
}

// Validate implements [caddy.Validator]. If the file exists, it must hold a key
// that can be used.
func (f *File) Validate() error {
	if _, err := f.read(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// PrivateKey implements [core.KeySource].
func (f *File) PrivateKey() (peer.PrivateKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.key != nil {
		return f.key, nil
	}
	key, err := f.read()
	if errors.Is(err, fs.ErrNotExist) {
		key, err = f.create()
	}
	if err != nil {
		return nil, err
	}
	f.key = key
	return key, nil
}

func (f *File) read() (peer.PrivateKey, error) {
	if f.path == "" {
		return nil, errors.New("identity file: the module is not provisioned")
	}
	key, err := Read(f.path, f.AllowReadable)
	if err != nil {
		return nil, err
	}
	if f.Type != "" && key.Type() != f.kind {
		return nil, fmt.Errorf("%s: holds a key of type %v, but the configuration wants %v: remove %q there, or move the file away for a new key and peer ID",
			f.path, key.Type(), f.kind, "type")
	}
	return key, nil
}

// create makes the file, or reads the one that somebody else made meanwhile.
func (f *File) create() (peer.PrivateKey, error) {
	key, err := peer.GenerateKey(f.kind, nil)
	if err != nil {
		return nil, err
	}
	err = Create(f.path, key)
	if errors.Is(err, fs.ErrExist) {
		return f.read()
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}

var (
	_ caddy.Provisioner = (*File)(nil)
	_ caddy.Validator   = (*File)(nil)
	_ core.KeySource    = (*File)(nil)
)
