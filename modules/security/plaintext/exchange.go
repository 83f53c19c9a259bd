// SPDX-License-Identifier: Apache-2.0 OR MIT

package plaintext

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// maxExchange bounds an Exchange message, in bytes. That of the largest key that
// is accepted, RSA of 8192 bits, has about 1,110.
const maxExchange = 2 << 10

// The numbers of the fields of Exchange.
const (
	fieldID  = 1
	fieldKey = 2
)

// encodeExchange encodes what a peer says of itself.
func encodeExchange(key peer.PublicKey) []byte {
	b := protowire.AppendTag(nil, fieldID, protowire.BytesType)
	b = protowire.AppendBytes(b, peer.FromPublicKey(key).Bytes())
	b = protowire.AppendTag(b, fieldKey, protowire.BytesType)
	return protowire.AppendBytes(b, peer.MarshalPublicKey(key))
}

// decodeExchange returns the key of who has said that it is its own, and whose ID
// belongs to it. Unknown fields are skipped, of a field that stands twice the last
// counts.
func decodeExchange(b []byte) (peer.PublicKey, error) {
	var id, encoded []byte
	for f, err := range wire.Fields(b) {
		if err != nil {
			return nil, err
		}
		switch f.Num {
		case fieldID:
			id, err = f.Bytes()
		case fieldKey:
			encoded, err = f.Bytes()
		}
		if err != nil {
			return nil, err
		}
	}
	if encoded == nil {
		return nil, errors.New("has no public key")
	}
	key, err := peer.UnmarshalPublicKey(encoded)
	if err != nil {
		return nil, err
	}
	if want := peer.FromPublicKey(key); !bytes.Equal(id, want.Bytes()) {
		return nil, fmt.Errorf("the peer ID %x is not that of the key, %s", id[:min(len(id), 64)], want)
	}
	return key, nil
}
