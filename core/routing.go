// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"
	"iter"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// The roles of modules that find things. Another module reaches them with
// [Find], and does not care which module plays the role: what a random walk
// needs is a [PeerRouting].

// PeerRouting finds where peers are.
type PeerRouting interface {
	// FindPeer returns addresses of p, without /p2p. It fails with
	// [ErrNotFound] if nobody who was asked knows any.
	FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error)
	// ClosestPeers returns the peers closest to a key of at least one byte,
	// the closest first.
	ClosestPeers(ctx context.Context, key []byte) ([]peer.AddrInfo, error)
}

// ContentRouting finds who has content. Its keys are 1 to [MaxContentKey]
// bytes long: for content that has a CID, they are the multihash in the CID.
type ContentRouting interface {
	// Provide tells others that this node has the content of key. It returns
	// when that is done, and does not repeat it later.
	Provide(ctx context.Context, key []byte) error
	// FindProviders yields who has the content of key, as they are found and
	// each once, but not this node. It ends after count of them; zero means
	// when nobody else can be found. An error, if there is one, is the last
	// that it yields.
	FindProviders(ctx context.Context, key []byte, count int) iter.Seq2[peer.AddrInfo, error]
}

// MaxContentKey bounds the keys of [ContentRouting], in bytes.
const MaxContentKey = 80

// ValueStore keeps records that prove themselves, under keys such as
// /ipns/NAME. The part between the first two slashes, the namespace, says how a
// record is checked and which of two is better.
type ValueStore interface {
	// PutValue stores a record. A record that is not valid, or is worse than
	// the one that is known, is refused.
	PutValue(ctx context.Context, key string, value []byte) error
	// GetValue returns the best record. It fails with [ErrNotFound].
	GetValue(ctx context.Context, key string) ([]byte, error)
	// SearchValue yields records as they are found, each better than the one
	// before. An error, if there is one, is the last that it yields.
	SearchValue(ctx context.Context, key string) iter.Seq2[[]byte, error]
}

// ValueJudge is the role of a [ValueStore] that can tell which of some records is
// the best, which several of them together need.
type ValueJudge interface {
	// SelectValue returns which of the valid records of a key is the best. It
	// fails for keys of namespaces that it does not know.
	SelectValue(key string, values [][]byte) (best int, err error)
}

// Meeting lets those find each other who use the same namespace, which is any
// text of 1 to [MaxNamespace] bytes.
type Meeting interface {
	// Advertise tells others that this node is found under the namespace,
	// for ttl or what comes closest to it; zero means whatever is usual. It
	// returns how long that lasts.
	Advertise(ctx context.Context, namespace string, ttl time.Duration) (time.Duration, error)
	// FindPeers yields who is found under the namespace, as FindProviders of
	// [ContentRouting] does.
	FindPeers(ctx context.Context, namespace string, count int) iter.Seq2[peer.AddrInfo, error]
}

// MaxNamespace bounds the namespaces of [Meeting], in bytes.
const MaxNamespace = 255

// PeerDiscovery is the role of a [Discoverer] that can say whom it has found.
type PeerDiscovery interface {
	// Discovered lists the peers that it has found and still takes to be there,
	// in no order.
	Discovered() []PeerDiscovered
}
