// SPDX-License-Identifier: Apache-2.0 OR MIT

package record

import (
	"fmt"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// The namespaces whose keys end in the bytes of a peer ID. Others end in whatever
// their users have agreed on.
const (
	namespacePK   = "pk"
	namespaceIPNS = "ipns"
)

// ParseKey reads a key as people write it. Where it ends in a peer ID, as in
// /pk/ID and /ipns/NAME, that is written in one of the forms of [peer.Decode];
// all other keys are written as they are.
func ParseKey(text string) (string, error) {
	namespace, err := Namespace(text)
	if err != nil {
		return "", err
	}
	if namespace == namespacePK || namespace == namespaceIPNS {
		id, err := peer.Decode(text[len(namespace)+2:])
		if err != nil {
			return "", fmt.Errorf("key %s: %w", shown(text), err)
		}
		text = "/" + namespace + "/" + string(id)
	}
	return text, checkSize("key", len(text), MaxKey)
}

// KeyText is the form of a key that people write: [ParseKey] reads it, unless
// the key is one of bytes that are no text, which appear escaped.
func KeyText(key string) string {
	namespace, err := Namespace(key)
	if err == nil && (namespace == namespacePK || namespace == namespaceIPNS) {
		if id, err := peer.FromBytes([]byte(key[len(namespace)+2:])); err == nil && namespace == namespaceIPNS {
			return "/ipns/" + id.CID()
		} else if err == nil {
			return "/pk/" + id.String()
		}
	}
	return wire.Text(key, MaxKey)
}
