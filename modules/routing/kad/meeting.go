// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// meetingKey returns the key of the content that stands for a namespace: the
// multihash in the CID, version 1 and raw, of the SHA-256 of its text. All stacks
// that meet over the DHT use it.
func meetingKey(namespace string) ([]byte, error) {
	if namespace == "" || len(namespace) > core.MaxNamespace {
		return nil, fmt.Errorf("namespace of %d bytes, want 1 to %d", len(namespace), core.MaxNamespace)
	}
	hash := sha256.Sum256([]byte(namespace))
	return append([]byte{0x12, sha256.Size}, hash[:]...), nil
}

// Advertise implements [core.Meeting]. How long it lasts is for the others to
// say; it is to be repeated as often as providing is.
func (k *Kad) Advertise(ctx context.Context, namespace string, _ time.Duration) (time.Duration, error) {
	key, err := meetingKey(namespace)
	if err != nil {
		return 0, err
	}
	if err := k.Provide(ctx, key); err != nil {
		return 0, err
	}
	return time.Duration(k.Republish), nil
}

// FindPeers implements [core.Meeting].
func (k *Kad) FindPeers(ctx context.Context, namespace string, count int) iter.Seq2[peer.AddrInfo, error] {
	key, err := meetingKey(namespace)
	if err != nil {
		return func(yield func(peer.AddrInfo, error) bool) { yield(peer.AddrInfo{}, err) }
	}
	return k.FindProviders(ctx, key, count)
}

var (
	_ core.PeerRouting    = (*Kad)(nil)
	_ core.ContentRouting = (*Kad)(nil)
	_ core.ValueStore     = (*Kad)(nil)
	_ core.ValueJudge     = (*Kad)(nil)
	_ core.Meeting        = (*Kad)(nil)
)
