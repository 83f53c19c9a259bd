// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"runtime/debug"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// modulePath is the Go module this package is part of.
const modulePath = "github.com/xnode-p2p/xnode"

// identity signs for the node.
type identity struct {
	key peer.PrivateKey
	id  peer.ID
}

func newIdentity(key peer.PrivateKey) *identity {
	return &identity{key, peer.FromPublicKey(key.Public())}
}

// ID implements [core.Identity].
func (i *identity) ID() peer.ID { return i.id }

// PublicKey implements [core.Identity].
func (i *identity) PublicKey() peer.PublicKey { return i.key.Public() }

// Sign implements [core.Identity].
func (i *identity) Sign(data []byte) ([]byte, error) { return i.key.Sign(data) }

// version is the version of this module in the running binary; "dev" if it was
// built from a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path != modulePath {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return "dev"
}

var _ core.Identity = (*identity)(nil)
