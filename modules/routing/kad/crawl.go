// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

const (
	// maxCrawling is how many peers a crawl asks at a time.
	maxCrawling = 64
	// maxCrawled is how many peers a crawl comes by at most.
	maxCrawled = 200_000
)

// Crawl implements [core.DHT].
func (k *Kad) Crawl(ctx context.Context) iter.Seq2[core.CrawledPeer, error] {
	return func(yield func(core.CrawledPeer, error) bool) {
		dhts, err := k.running()
		if err != nil {
			yield(core.CrawledPeer{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		found := newStream[core.CrawledPeer](ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			found.end(dhts[0].crawl(ctx, found.send))
		})
		found.all(yield)
	}
}

// crawl is a crawl of a network.
type crawl struct {
	d    *dht
	send func(core.CrawledPeer) bool

	mu    sync.Mutex
	more  *sync.Cond
	seen  map[peer.ID]bool // at most maxCrawled
	queue []peer.AddrInfo  // those to be asked
	busy  int              // how many are being asked
	over  bool             // nobody wants more
}

// crawl asks all peers of the network for all peers they know, and sends each
// when it has been asked, until send returns false.
func (d *dht) crawl(ctx context.Context, send func(core.CrawledPeer) bool) error {
	ctx, end := d.begin(ctx, 0)
	defer end()
	c := &crawl{d: d, send: send, seen: map[peer.ID]bool{d.node.ID(): true}}
	c.more = sync.NewCond(&c.mu)
	for _, seed := range d.contacts.seeds(keyspace.OfPeer(d.node.ID()), d.contacts.size(), nil) {
		c.queue = append(c.queue, peer.AddrInfo{ID: seed.ID})
		c.seen[seed.ID] = true
	}
	if len(c.queue) == 0 {
		return errNoPeers
	}
	stop := context.AfterFunc(ctx, func() { c.done(peer.AddrInfo{}, true, nil) })
	defer stop()
	var wg sync.WaitGroup
	for range maxCrawling {
		wg.Go(func() { c.work(ctx) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

// work asks peers until there are no more.
func (c *crawl) work(ctx context.Context) {
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for {
		p, ok := c.next()
		if !ok {
			return
		}
		crawled, heard := c.visit(ctx, p, rng)
		over := ctx.Err() != nil || !c.send(crawled)
		c.done(p, over, heard)
	}
}

// next returns the next peer to be asked.
func (c *crawl) next() (peer.AddrInfo, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && c.busy > 0 && !c.over {
		c.more.Wait()
	}
	if len(c.queue) == 0 || c.over {
		return peer.AddrInfo{}, false
	}
	p := c.queue[0]
	c.queue = c.queue[1:]
	c.busy++
	return p, true
}

// done adds the peers that one has named to the queue. Without a peer, it only
// ends the crawl.
func (c *crawl) done(p peer.AddrInfo, over bool, heard []peer.AddrInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.ID != "" {
		c.busy--
	}
	c.over = c.over || over
	for _, q := range heard {
		if !c.seen[q.ID] && len(c.seen) < maxCrawled {
			c.seen[q.ID] = true
			c.queue = append(c.queue, q)
		}
	}
	c.more.Broadcast()
}

// visit asks a peer for the peers in each of its buckets, until one is empty.
func (c *crawl) visit(ctx context.Context, p peer.AddrInfo, rng *rand.Rand) (crawled core.CrawledPeer, heard []peer.AddrInfo) {
	d := c.d
	began := time.Now()
	before := len(d.node.ConnsTo(p.ID)) > 0
	crawled.AddrInfo = p
	if len(p.Addrs) > 0 {
		d.node.AddPeerAddrs(p.ID, core.TempTTL, p.Addrs...)
	} else {
		crawled.Addrs = d.scope.own(d.node.PeerAddrs(p.ID))
	}
	known := make(map[peer.ID]bool)
	place := keyspace.OfPeer(p.ID)
	for bucket := 0; crawled.Err == nil; bucket++ {
		target, ok := keyspace.Preimage(place, bucket, rng)
		if !ok {
			break
		}
		message := kadwire.NewBuffer(kadwire.FindNode, []byte(target), 0)
		answer, err := d.exchange(ctx, p.ID, kadwire.FindNode, message.Frame())
		message.Free()
		if err != nil {
			crawled.Err = err
			break
		}
		deep := 0 // how many lie in this bucket or beyond
		for _, q := range answer.Closer {
			if keyspace.CommonPrefix(place, keyspace.OfPeer(q.ID)) >= bucket && q.ID != p.ID {
				deep++
			}
			if known[q.ID] || q.ID == p.ID {
				continue
			}
			known[q.ID] = true
			crawled.Knows = append(crawled.Knows, q.ID)
			if addrs := d.heardAddrs(q, d.addrOf(p.ID)); d.scope.admits(addrs) {
				heard = append(heard, peer.AddrInfo{ID: q.ID, Addrs: addrs})
			}
		}
		if deep == 0 {
			break
		}
	}
	crawled.Took, crawled.Agent = time.Since(began), d.node.PeerAgent(p.ID)
	if !before {
		d.lines.hangUp(p.ID)
		for _, conn := range d.node.ConnsTo(p.ID) {
			if len(conn.Streams()) == 0 { // it was for the crawl alone
				conn.Close()
			}
		}
	}
	return crawled, heard
}

// heardAddrs are the addresses of a peer in an answer that are remembered.
func (d *dht) heardAddrs(p kadwire.Peer, from ma.Multiaddr) []ma.Multiaddr {
	addrs := d.scope.filter(p, from)
	return addrs[:min(len(addrs), maxHeardAddrs)]
}

var _ core.DHT = (*Kad)(nil)
