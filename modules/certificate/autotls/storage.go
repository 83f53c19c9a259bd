// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/xnode-p2p/xnode/core/secretfile"
)

// maxFile bounds a file, in bytes.
const maxFile = 256 << 10

// folder names what belongs to one authority and one domain.
func folder(directory, domain string) string {
	sum := sha256.Sum256([]byte(directory + "\n" + domain))
	return domain + "-" + hex.EncodeToString(sum[:4])
}

// path is where the certificate is kept, with its key in front.
func (a *AutoTLS) path() string {
	return filepath.Join(a.dir, a.identity.ID().CID()+".pem")
}

// kept reads the certificate from the data folder. It is nil if there is none
// that is whole, and this peer's.
func (a *AutoTLS) kept() *issued {
	b, err := secretfile.Read(a.path(), secretfile.Options{Limit: maxFile})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var c *issued
	if err == nil {
		c, err = parse(b, a.names.wildcard)
	}
	if err != nil {
		a.log.Warn("the certificate in the data folder is no good; there will be a new one", "file", a.path(), "error", err)
		return nil
	}
	return c
}

func (a *AutoTLS) keep(c *issued) error { return secretfile.Replace(a.path(), c.pem) }

// accountKey returns the key of the account with the authority. One that is
// missing or torn is made anew.
func (a *AutoTLS) accountKey() (*ecdsa.PrivateKey, error) {
	path := filepath.Join(a.dir, "account.key")
	b, err := secretfile.Read(path, secretfile.Options{Limit: maxFile})
	if err == nil {
		key, err := parseKey(b)
		if err == nil {
			return key, nil
		}
		a.log.Warn("the key of the account is no good; there will be a new account", "file", path, "error", err)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	if b, err = keyPEM(key); err != nil {
		return nil, err
	}
	return key, secretfile.Replace(path, b)
}
