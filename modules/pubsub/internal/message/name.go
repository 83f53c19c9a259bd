// SPDX-License-Identifier: Apache-2.0 OR MIT

package message

import (
	"crypto/sha256"
	"fmt"

	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// Name makes the ID of a message: messages of the same ID are the same.
type Name func(*rpc.Message) string

// names by what they are called in configurations.
var names = map[string]Name{
	"from_seqno": func(m *rpc.Message) string {
		return string(append(append(make([]byte, 0, len(m.From)+len(m.Seqno)), m.From...), m.Seqno...))
	},
	"sha256": func(m *rpc.Message) string {
		sum := sha256.Sum256(m.Data)
		return string(sum[:])
	},
	"first_8_bytes": func(m *rpc.Message) string { return string(m.Data[:min(8, len(m.Data))]) },
	"sha256_topic": func(m *rpc.Message) string {
		h := sha256.New()
		h.Write([]byte(m.Topic))
		h.Write([]byte{0})
		h.Write(m.Data)
		return string(h.Sum(make([]byte, 0, sha256.Size))[:20])
	},
}

// ParseName finds a way to make IDs by its name.
func ParseName(name string) (Name, error) {
	n, ok := names[name]
	if !ok {
		return nil, fmt.Errorf("%q makes no IDs; there are from_seqno, sha256, sha256_topic and first_8_bytes", name)
	}
	return n, nil
}

// NeedsAuthor reports whether the IDs of that name are the same for all messages
// without an author.
func NeedsAuthor(name string) bool { return name == "from_seqno" }
