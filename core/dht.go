// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"
	"iter"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// DHT is the role of a module that is a part of a distributed hash table, for
// those who want to look into it.
type DHT interface {
	// Stats says how each of the module's tables is: one for each network.
	Stats() []DHTStats
	// Crawl asks all peers of the network of the first table for all peers
	// they know, and yields each when it has answered or has failed to. An
	// error, if there is one, is the last that it yields.
	Crawl(ctx context.Context) iter.Seq2[CrawledPeer, error]
	// Keep provides content, as [ContentRouting] does, and again and again
	// until Unkeep is called. That outlives the node.
	Keep(ctx context.Context, key []byte) error
	// Unkeep ends what Keep began. Others forget it in time.
	Unkeep(key []byte) error
	// KeepValue stores a record, as [ValueStore] does, and again and again until
	// UnkeepValue is called, the record has ended, or others have a better one.
	// That outlives the node.
	KeepValue(ctx context.Context, key string, value []byte) error
	// UnkeepValue ends what KeepValue began. Others forget it in time.
	UnkeepValue(key string) error
	// Kept yields the keys of the content that is kept provided.
	Kept() iter.Seq2[[]byte, error]
}

// DHTStats describes a part of a [DHT].
type DHTStats struct {
	Protocol string `json:"protocol"`
	// Server is true while the node answers others.
	Server bool `json:"server"`
	// Peers are how many are in the routing table, Buckets those of each
	// bucket, in the order of the bits they share with this node.
	Peers   int   `json:"peers"`
	Buckets []int `json:"buckets"`
	// NetworkSize is an estimate; zero if there is none yet.
	NetworkSize int `json:"network_size"`
	// Records and Providers are what is kept for others.
	Records   TableStat `json:"records"`
	Providers TableStat `json:"providers"`
	// Kept is how much content this node keeps provided, KeptRecords how many
	// records it keeps stored with others.
	Kept        int `json:"kept"`
	KeptRecords int `json:"kept_records"`
	// Served counts requests of others by type, Refused those that were not
	// answered, Delayed those of peers that sent too many.
	Served  map[string]uint64 `json:"served"`
	Refused uint64            `json:"refused"`
	Delayed uint64            `json:"delayed"`
	// Asked counts this node's requests by type, Failed those without answer.
	Asked  map[string]uint64 `json:"asked"`
	Failed uint64            `json:"failed"`
	// Streams is how many streams are kept open for the next requests.
	Streams int `json:"streams"`
}

// CrawledPeer is a peer that a crawl came by.
type CrawledPeer struct {
	peer.AddrInfo
	// Agent is what the peer said it is.
	Agent string
	// Knows are the peers that it named.
	Knows []peer.ID
	// Took is how long it took to ask it all.
	Took time.Duration
	// Err says why it could not be asked.
	Err error
}

// LookupStep is a request of a look-up: it is reported when it is sent, and when
// it has ended.
type LookupStep struct {
	// Protocol is that of the table.
	Protocol string
	// Peer is who is asked, and Request what, such as "FIND_NODE".
	Peer    peer.ID
	Request string
	// Near is how many leading bits the peer's place in the key space shares
	// with the target's.
	Near int
	// At is how long after the look-up's start the request was sent.
	At time.Duration
	// Done is true once it has ended, and the rest is set then.
	Done bool
	// Took is how long it took.
	Took time.Duration
	// Heard is how many peers the answer named, New how many of them the
	// look-up did not know, and Found how many providers or records came.
	Heard, New, Found int
	// Err says why there is no answer.
	Err error
}

type lookupTraceKey struct{}

// TraceLookup makes look-ups with the returned context report what they do to f,
// which may be called from many goroutines and does not block.
func TraceLookup(ctx context.Context, f func(LookupStep)) context.Context {
	return context.WithValue(ctx, lookupTraceKey{}, f)
}

// LookupTraceOf returns the function of a context from [TraceLookup], or nil.
func LookupTraceOf(ctx context.Context) func(LookupStep) {
	f, _ := ctx.Value(lookupTraceKey{}).(func(LookupStep))
	return f
}
